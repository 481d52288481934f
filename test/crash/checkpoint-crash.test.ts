/**
 * The power is cut at file operations of a life with checkpoints: while one is
 * written, withdrawn, or read. Whatever is left, the store opens with what was
 * acknowledged, and works on. A quick look: the lab's sweep is at every operation.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { CrashRun } from "../support/crash-run.js";
import { CrashSweep } from "../support/crash-sweep.js";

const long = "x".repeat(150);

function newRun(): CrashRun {
  const run = new CrashRun();
  run.seams = { checkpointKeysMin: 0 };
  return run;
}

/** Three sessions: one that leaves a checkpoint, one that only reads, one that writes over it. */
async function checkpointedLife(run: CrashRun): Promise<void> {
  await run.open();
  for (const key of ["a", "b", "c", "d", "e"]) await run.set(key, long);
  await run.delete("b");
  await run.set("t", "1", { expiry: { kind: "ttl", ttlMs: 3_600_000 } });
  await run.close();
  await run.open();
  await run.close();
  await run.open();
  await Promise.all([run.set("a", "2"), run.delete("c"), run.set("f", long)]);
  await run.close();
  await run.open();
}

let fromCheckpoint = 0;

async function liveOn(run: CrashRun, where: string): Promise<void> {
  await run.openAndJudge(where);
  if (run.store.stats().open.fromCheckpoint) fromCheckpoint += 1;
  await run.set("after", "1");
  await run.delete("a");
  await run.close();
  const again = run.next(run.host);
  await again.openAndJudge(`${where}, opened again`);
  assert.ok(again.store.stats().open.fromCheckpoint, where);
  await again.close();
}

test("V8 D5 R7 R8: a power cut at a file operation of a life with checkpoints loses nothing", async (t) => {
  const sweep = new CrashSweep({ life: checkpointedLife, liveOn, newRun });
  const recoveries = await sweep.cutPower({ stride: 3, rarity: 6 });
  assert.ok(fromCheckpoint > 0 && fromCheckpoint < recoveries);
  t.diagnostic(`${recoveries} recoveries, ${fromCheckpoint} by checkpoint`);
});
