/**
 * The power is cut, or the process killed, at file operations of a life with
 * compactions, and again during the recovery. What was acknowledged is there, what
 * was deleted or has expired does not come back, and nothing is left lying about. A
 * quick look: the lab's sweep is at every operation.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { compactedLife } from "../support/crash-life.js";
import { CrashRun } from "../support/crash-run.js";
import { CrashSweep } from "../support/crash-sweep.js";
import { compactOn, compactOnThoroughly } from "../support/live-on.js";

const sweep = new CrashSweep({ life: compactedLife, liveOn: compactOn, newRun });

/** Clean closes write checkpoints; what follows a crash is read from hints and frames. */
function newRun(): CrashRun {
  const run = new CrashRun();
  run.seams = { checkpointKeysMin: 0 };
  return run;
}

test("V1 V3 V6 V7 V8 V16 M1 M2 M3 M5 B1 R8: a power cut at a file operation of compactions loses nothing and brings nothing back", async (t) => {
  const operations = await sweep.countOperations(({ store }) => {
    const { segmentsRemoved } = store.stats().compaction;
    assert.ok(segmentsRemoved > 0, "the last session compacts");
  });
  const recoveries = await sweep.cutPower({ stride: 7, rarity: 6 });
  t.diagnostic(`${operations} file operations, ${recoveries} recoveries`);
});

test("V8 R8 M5: a second power cut at any file operation of the recovery loses nothing either", async (t) => {
  const recoveries = await sweep.cutPowerTwice({ stride: 1_000, from: 131 });
  t.diagnostic(`${recoveries} recoveries of recoveries`);
});

test("V1 V8 R7 I8 M5: a process that is killed while it compacts loses nothing, hints or no hints", async () => {
  const thorough = new CrashSweep({ life: compactedLife, liveOn: compactOnThoroughly, newRun });
  await thorough.kill({ stride: 23, rarity: 3, from: 2 });
});
