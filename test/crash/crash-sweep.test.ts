/**
 * The power is cut at file operations of a store's life, in every way, and again
 * during the recovery; or the process is killed. What was acknowledged as durable is
 * there; what was not is whole or absent. A quick look: the lab's sweep does the same
 * at every operation of ever new lives.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { eventfulLife } from "../support/crash-life.js";
import { CrashSweep } from "../support/crash-sweep.js";
import { liveOn } from "../support/live-on.js";

const sweep = new CrashSweep({ life: eventfulLife, liveOn });

test("V1 V2 V8 V15 D1 D2 D4 D5 R2 R8 B1 B3: a power cut at a file operation loses nothing acknowledged", async (t) => {
  const operations = await sweep.countOperations();
  assert.ok(operations >= 120, `${operations} operations`);
  const recoveries = await sweep.cutPower({ stride: 5, rarity: 4 });
  t.diagnostic(`${operations} file operations, ${recoveries} recoveries`);
});

test("V8 R8: a second power cut at any file operation of the recovery loses nothing either", async (t) => {
  const recoveries = await sweep.cutPowerTwice({ stride: 90, from: 53 });
  t.diagnostic(`${recoveries} recoveries of recoveries`);
});

test("V1 V8: a killed process loses nothing, also if the power goes while its successor recovers", async () => {
  await sweep.kill({ stride: 13, from: 2 });
});
