/**
 * The power is cut at every file operation of a life with checkpoints: while one
 * is written, withdrawn, or read. Whatever is left, the store opens with what was
 * acknowledged, and works on.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { CrashRun } from "../support/crash-run.js";
import { isMutating } from "../support/file-operation.js";
import { type CrashMoment, crashAt } from "../support/sim-hook.js";
import { simHost } from "../support/sim-host.js";
import { crashPolicies } from "../support/sim-survival.js";
import { sweepStride } from "../support/sweep-stride.js";

const moments: readonly CrashMoment[] = ["crash-before", "crash-midway", "crash-after"];
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

async function liveOn(run: CrashRun, where: string): Promise<boolean> {
  await run.openAndJudge(where);
  const { fromCheckpoint } = run.store.stats().open;
  await run.set("after", "1");
  await run.delete("a");
  await run.close();
  const again = run.next(run.host);
  await again.openAndJudge(`${where}, opened again`);
  assert.ok(again.store.stats().open.fromCheckpoint, where);
  await again.close();
  return fromCheckpoint;
}

test("V8 D5 R7 R8: a power cut at any file operation of a life with checkpoints loses nothing", async (t) => {
  const whole = newRun();
  let operations = 0;
  const ended = await whole.live(checkpointedLife, (operation) => {
    if (isMutating(operation.op)) operations = operation.index + 1;
    return undefined;
  });
  assert.ok(ended);
  let recoveries = 0;
  let fromCheckpoint = 0;
  for (let index = 0; index < operations; index += sweepStride(1)) {
    for (const [turn, moment] of moments.entries()) {
      const run = newRun();
      await run.live(checkpointedLife, crashAt(index, moment));
      for (const [order, policy] of crashPolicies.entries()) {
        // A third of the ways at every operation, in turns; each at one of the moments.
        if ((order + index) % (3 * moments.length) !== turn) continue;
        const files = run.host.files.crash(policy, index * 100 + order);
        const next = run.next(simHost({ seed: index, files, clock: run.host.clock }));
        const where = `${moment} ${index}, bytes ${policy.bytes}, names ${policy.names}`;
        if (await liveOn(next, where)) fromCheckpoint++;
        recoveries++;
      }
    }
  }
  assert.ok(fromCheckpoint > 0 && fromCheckpoint < recoveries);
  t.diagnostic(
    `${operations} operations, ${recoveries} recoveries, ${fromCheckpoint} by checkpoint`,
  );
});
