/**
 * The power is cut at every file operation of a store's life, in every way, and
 * again during the recovery. What was acknowledged as durable is there; what
 * was not is whole or absent.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { eventfulLife } from "../support/crash-life.js";
import type { CrashRun } from "../support/crash-run.js";
import { CrashSweep } from "../support/crash-sweep.js";
import { sweepStride } from "../support/sweep-stride.js";

const stride = sweepStride(1);
const sweep = new CrashSweep({ life: eventfulLife, liveOn });

/** Opens, judges, writes on, closes, opens again: the store works as if nothing had been. */
async function liveOn(run: CrashRun, where: string): Promise<void> {
  await run.openAndJudge(where);
  await run.set("after", "1");
  await run.delete("a");
  await run.close();
  const again = run.next(run.host);
  await again.openAndJudge(`${where}, opened again`);
  assert.ok(
    again.store.stats().open.wasClean,
    `${where}: the second opening follows a clean close`,
  );
  await again.close();
}

test("V1 V2 V8 V15 D1 D2 D4 D5 R2 R8 B1 B3: a power cut at any file operation loses nothing acknowledged", async (t) => {
  const operations = await sweep.countOperations();
  assert.ok(operations >= 120, `${operations} operations`);
  const recoveries = await sweep.cutPower({ stride });
  t.diagnostic(`${operations} file operations, ${recoveries} recoveries`);
});

test("V8 R8: a second power cut at any file operation of the recovery loses nothing either", async (t) => {
  const recoveries = await sweep.cutPowerTwice({ stride: 7 * stride, from: 3 });
  t.diagnostic(`${recoveries} recoveries of recoveries`);
});

test("V1 V8: a killed process loses nothing, also if the power goes while its successor recovers", async () => {
  await sweep.kill({ stride: 3 * stride, from: 2 });
});
