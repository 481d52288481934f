/**
 * The power is cut at every file operation of a store's life, in every way, and
 * again during the recovery. What was acknowledged as durable is there; what
 * was not is whole or absent.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { eventfulLife } from "../support/crash-life.js";
import { CrashRun } from "../support/crash-run.js";
import { isMutating } from "../support/file-operation.js";
import { type CrashMoment, crashAt } from "../support/sim-hook.js";
import { simHost } from "../support/sim-host.js";
import { type CrashPolicy, crashPolicies } from "../support/sim-survival.js";
import { sweepStride } from "../support/sweep-stride.js";

const stride = sweepStride(1);

const moments: readonly CrashMoment[] = ["crash-before", "crash-midway", "crash-after"];

/** How many mutating operations the whole life has. */
async function countOperations(): Promise<number> {
  const run = new CrashRun();
  let count = 0;
  const ended = await run.live(eventfulLife, (operation) => {
    if (isMutating(operation.op)) count = operation.index + 1;
    return undefined;
  });
  assert.ok(ended);
  return count;
}

async function crashedRun(index: number, moment: CrashMoment): Promise<CrashRun> {
  const run = new CrashRun();
  await run.live(eventfulLife, crashAt(index, moment));
  return run;
}

function survivors(run: CrashRun, policy: CrashPolicy, seed: number): CrashRun {
  const files = run.host.files.crash(policy, seed);
  return run.next(simHost({ seed, files, clock: run.host.clock }));
}

function killed(run: CrashRun, seed: number): CrashRun {
  return run.next(simHost({ seed, files: run.host.files.kill(), clock: run.host.clock }));
}

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
  const operations = await countOperations();
  assert.ok(operations >= 120, `${operations} operations`);
  let recoveries = 0;
  for (let index = 0; index < operations; index += stride) {
    for (const [turn, moment] of moments.entries()) {
      const run = await crashedRun(index, moment);
      for (const [order, policy] of crashPolicies.entries()) {
        // Every policy at every operation; each at one of the three moments, in turns.
        if ((order + index) % moments.length !== turn) continue;
        const where = `${moment} ${index}, bytes ${policy.bytes}, names ${policy.names}`;
        await liveOn(survivors(run, policy, index * 100 + order), where);
        recoveries += 1;
      }
    }
  }
  t.diagnostic(`${operations} file operations, ${recoveries} recoveries`);
});

test("V8 R8: a second power cut at any file operation of the recovery loses nothing either", async (t) => {
  const operations = await countOperations();
  let recoveries = 0;
  for (let index = 3; index < operations; index += 7 * stride) {
    const run = await crashedRun(index, "crash-midway");
    const policy = crashPolicies[index % crashPolicies.length] as CrashPolicy;
    for (let second = 0; ; second += 1) {
      const recovering = survivors(run, policy, index);
      const from = recovering.host.files.mutations;
      const where = `crash at ${index}, again at ${second} of the recovery`;
      const ended = await recovering.live(
        (each) => liveOn(each, where),
        crashAt(from + second, moments[second % 3]),
      );
      if (ended) break;
      const next = crashPolicies[(index + second) % crashPolicies.length] as CrashPolicy;
      await liveOn(survivors(recovering, next, second), where);
      recoveries += 1;
    }
  }
  t.diagnostic(`${recoveries} recoveries of recoveries`);
});

test("V1 V8: a killed process loses nothing, also if the power goes while its successor recovers", async () => {
  const operations = await countOperations();
  for (let index = 2; index < operations; index += 3 * stride) {
    const run = await crashedRun(index, moments[index % 3] as CrashMoment);
    await liveOn(killed(run, index), `killed at ${index}`);
    const second = killed(run, index);
    await second.live((each) => each.openAndJudge(`killed at ${index}`));
    const policy = crashPolicies[index % crashPolicies.length] as CrashPolicy;
    await liveOn(survivors(second, policy, index), `killed at ${index}, then the power went`);
  }
});
