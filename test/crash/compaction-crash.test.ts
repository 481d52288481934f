/**
 * The power is cut, or the process killed, at every file operation of a life with
 * compactions, and again during the recovery. What was acknowledged is there, what
 * was deleted or has expired does not come back, and nothing is left lying about.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { compactedLife } from "../support/crash-life.js";
import { CrashRun } from "../support/crash-run.js";
import { CrashSweep } from "../support/crash-sweep.js";
import { imageOf, segmentDir } from "../support/store-image.js";
import { sweepStride } from "../support/sweep-stride.js";

/** Every operation in a step of .ci/run of its own; every seventh in the suite. */
const stride = sweepStride(7);
const sweep = new CrashSweep({ life: compactedLife, liveOn, newRun });

/** Clean closes write checkpoints; what follows a crash is read from hints and frames. */
function newRun(): CrashRun {
  const run = new CrashRun();
  run.seams = { checkpointKeysMin: 0 };
  return run;
}

/** Opens, judges, writes on, compacts, closes, opens again: the store works as if nothing had been. */
async function liveOn(run: CrashRun, where: string): Promise<void> {
  await run.openAndJudge(where);
  await run.set("after", "1");
  await run.delete("a");
  await run.compact();
  await run.close();
  const again = run.next(run.host);
  await again.openAndJudge(`${where}, opened again`);
  const { open } = again.store.stats();
  assert.ok(open.wasClean, `${where}: the second opening follows a clean close`);
  // The file of a rotation that was cut off is empty; of a compaction nothing may be left.
  const strays = open.strayFiles.filter((name) => sizeOf(again, name) > 0 || /hint/.test(name));
  assert.deepEqual(strays, [], `${where}: nothing is left lying about`);
  await again.close();
}

function sizeOf(run: CrashRun, name: string): number {
  return imageOf(run.host.files).get(`${segmentDir}/${name}`)?.length ?? 0;
}

test("V1 V3 V6 V7 V8 V16 M1 M2 M3 M5 B1 R8: a power cut at any file operation of compactions loses nothing and brings nothing back", async (t) => {
  const operations = await sweep.countOperations(({ store }) => {
    const { segmentsRemoved } = store.stats().compaction;
    assert.ok(segmentsRemoved > 0, "the last session compacts");
  });
  const recoveries = await sweep.cutPower({ stride, rarity: 6 });
  t.diagnostic(`${operations} file operations, ${recoveries} recoveries`);
});

test("V8 R8 M5: a second power cut at any file operation of the recovery loses nothing either", async (t) => {
  const recoveries = await sweep.cutPowerTwice({ stride: 18 * stride, from: 5 });
  t.diagnostic(`${recoveries} recoveries of recoveries`);
});

test("V1 V8 M5: a process that is killed while it compacts loses nothing", async () => {
  await sweep.kill({ stride: 2 * stride, from: 2 });
});
