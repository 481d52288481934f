/**
 * The power is cut, or the process killed, at every file operation of a life with
 * compactions, and again during the recovery. What was acknowledged is there, what
 * was deleted or has expired does not come back, and nothing is left lying about.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { compactedLife } from "../support/crash-life.js";
import { CrashRun } from "../support/crash-run.js";
import { isMutating } from "../support/file-operation.js";
import { type CrashMoment, crashAt } from "../support/sim-hook.js";
import { simHost } from "../support/sim-host.js";
import { type CrashPolicy, crashPolicies } from "../support/sim-survival.js";
import { imageOf, segmentDir } from "../support/store-image.js";

/** Every operation in a step of its own of .ci/run; every so-manieth in the suite. */
const stride = Number(process.env["KVIX_SWEEP_STRIDE"] ?? 7);

const moments: readonly CrashMoment[] = ["crash-before", "crash-midway", "crash-after"];

/** Clean closes write checkpoints; what follows a crash is read from hints and frames. */
function newRun(): CrashRun {
  const run = new CrashRun();
  run.seams = { checkpointKeysMin: 0 };
  return run;
}

async function countOperations(): Promise<number> {
  const run = newRun();
  let count = 0;
  const ended = await run.live(compactedLife, (operation) => {
    if (isMutating(operation.op)) count = operation.index + 1;
    return undefined;
  });
  assert.ok(ended);
  const { runs, segmentsRemoved } = run.store.stats().compaction;
  assert.ok(segmentsRemoved > 0, `${segmentsRemoved} segments in ${runs} runs`);
  return count;
}

async function crashedRun(index: number, moment: CrashMoment): Promise<CrashRun> {
  const run = newRun();
  await run.live(compactedLife, crashAt(index, moment));
  return run;
}

function survivors(run: CrashRun, policy: CrashPolicy, seed: number): CrashRun {
  const files = run.host.files.crash(policy, seed);
  return run.next(simHost({ seed, files, clock: run.host.clock }));
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
  const operations = await countOperations();
  let recoveries = 0;
  for (let index = 0; index < operations; index += stride) {
    for (const [turn, moment] of moments.entries()) {
      const run = await crashedRun(index, moment);
      for (const [order, policy] of crashPolicies.entries()) {
        // Every policy at every sixth operation, each at one of the three moments, in turns.
        if ((order + index) % (6 * moments.length) !== turn) continue;
        const where = `${moment} ${index}, bytes ${policy.bytes}, names ${policy.names}`;
        await liveOn(survivors(run, policy, index * 100 + order), where);
        recoveries += 1;
      }
    }
  }
  t.diagnostic(`${operations} file operations, ${recoveries} recoveries`);
});

test("V8 R8 M5: a second power cut at any file operation of the recovery loses nothing either", async (t) => {
  const operations = await countOperations();
  let recoveries = 0;
  for (let index = 5; index < operations; index += 9 * stride) {
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

test("V1 V8 M5: a process that is killed while it compacts loses nothing", async () => {
  const operations = await countOperations();
  for (let index = 2; index < operations; index += stride) {
    const run = await crashedRun(index, moments[index % 3] as CrashMoment);
    const files = run.host.files.kill();
    const next = run.next(simHost({ seed: index, files, clock: run.host.clock }));
    await liveOn(next, `killed at ${index}`);
  }
});
