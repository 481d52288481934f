/**
 * Touches under crashes: random lives in which several of them, of small records
 * and of such as are read off the event loop, are under way together with the
 * writes of the same keys, in a random order of all file operations.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import type { Durability } from "../../src/engine/store.js";
import { CrashRun, tinyStore } from "../support/crash-run.js";
import { isMutating } from "../support/file-operation.js";
import { type CrashMoment, crashAt } from "../support/sim-hook.js";
import { simHost } from "../support/sim-host.js";
import { SimRandom } from "../support/sim-random.js";
import { SeededScheduler } from "../support/sim-scheduler.js";
import { crashPolicies } from "../support/sim-survival.js";

const LIVES = 8;
const CRASHES_EACH = 3;
const ROUNDS = 7;
const keys = ["a", "b", "c", "d"];
const moments: readonly CrashMoment[] = ["crash-before", "crash-midway", "crash-after"];
/** Longer than any life, short enough to be waited for. */
const longMs = 8_000;
/** Records of the last size are read off the event loop. */
const sizes = [1, 40, 300, 70_000];

/** One call of the kinds that meet in a key; touches most of all. */
function act(run: CrashRun, random: SimRandom): Promise<unknown> {
  const key = random.pick(keys);
  const durability: Durability = random.pick(["sync", "sync", "buffered"]);
  switch (random.below(8)) {
    case 0:
    case 1: {
      const value = `${run.oracle.writes}.`.padEnd(random.pick(sizes), "x");
      const ttl = { kind: "ttl", ttlMs: random.pick([400, longMs]) } as const;
      const expiry = random.pick([ttl, { kind: "never" } as const]);
      return run.set(key, value, { expiry, durability });
    }
    case 2:
      return run.delete(key, durability);
    case 3:
      return run.batch(
        keys.slice(0, 2).map((each) => ({ key: each, value: random.pick([undefined, "batch"]) })),
        durability,
      );
    case 4:
      return run.touch(key, { kind: "at", atMs: 1 }, durability);
    case 5:
      return run.touch(key, { kind: "never" }, durability);
    default:
      return run.touch(key, { kind: "ttl", ttlMs: random.pick([400, 900, longMs]) }, durability);
  }
}

/** A life that its seed determines. */
async function touchyLife(run: CrashRun, seed: number): Promise<void> {
  const random = new SimRandom(seed);
  await run.open();
  for (const key of keys) await run.set(key, key.padEnd(random.pick(sizes), "x"));
  for (let round = 0; round < ROUNDS; round += 1) {
    const calls = Array.from({ length: 1 + random.below(6) }, () => act(run, random));
    await Promise.all(calls);
    // The clock moves while no call is under way: each is judged by the time it was made at.
    if (random.below(3) === 0) await run.host.clock.advance(random.pick([50, 500]));
    if (random.below(6) !== 0) continue;
    await run.close();
    await run.open();
  }
}

function newRun(seed: number): CrashRun {
  const random = new SimRandom(seed + 1);
  const options = {
    ...tinyStore,
    segmentBytesMax: random.pick([600, 200_000]),
    // At times so little that most calls stand in line.
    inFlightBytesMax: random.pick([1, 2_000, 64 * 1024 * 1024]),
  };
  return new CrashRun(options, simHost({ seed, scheduler: new SeededScheduler(seed) }));
}

async function countOperations(seed: number): Promise<number> {
  let count = 0;
  const ended = await newRun(seed).live(
    (run) => touchyLife(run, seed),
    (operation) => {
      if (isMutating(operation.op)) count = operation.index + 1;
      return undefined;
    },
  );
  assert.ok(ended, `life ${seed} ends`);
  return count;
}

/** What is visible of a run's keys once so much time has passed, through an opening more. */
async function laterState(run: CrashRun, ms: number, where: string): Promise<CrashRun> {
  await run.host.clock.advance(ms);
  const live = await run.state();
  await run.close();
  const next = run.next(run.host);
  await next.openAndJudge(where);
  assert.deepEqual(await next.state(), live, where);
  return next;
}

test("V1 V5 V8 V14 V15 T1 T5 D4: a crash in the midst of touches loses none that was acknowledged, and brings back no expiry", async (t) => {
  let crashes = 0;
  for (let seed = 1; seed <= LIVES; seed += 1) {
    const operations = await countOperations(seed);
    const random = new SimRandom(seed + 2);
    for (let count = 0; count < CRASHES_EACH; count += 1) {
      const index = random.below(operations);
      const moment = random.pick(moments);
      const run = newRun(seed);
      await run.live((each) => touchyLife(each, seed), crashAt(index, moment));
      assert.ok(run.hasCrashed);
      const policy = random.pick(crashPolicies);
      const isKill = random.below(4) === 0;
      const files = isKill ? run.host.files.kill() : run.host.files.crash(policy, seed);
      const end = isKill ? "kill" : `bytes ${policy.bytes}, names ${policy.names}`;
      const where = `life ${seed}: ${moment} ${index}, ${end}`;
      const survivor = run.next(simHost({ seed, files, clock: run.host.clock }));
      await survivor.openAndJudge(where);
      await survivor.touch("a", { kind: "ttl", ttlMs: 2 * longMs });
      // Expiries pass, and the sweep takes what is due.
      const later = await laterState(survivor, 1_000, `${where}, a second later`);
      const last = await laterState(later, longMs, `${where}, when all but one have expired`);
      await last.close();
      crashes += 1;
    }
  }
  t.diagnostic(`${crashes} crashes in ${LIVES} lives`);
});

/** The life, up to where the store refuses to open or to close. */
async function tolerantLife(run: CrashRun, seed: number): Promise<void> {
  try {
    await touchyLife(run, seed);
  } catch (error) {
    assert.ok(error instanceof KvixError, `not a KvixError: ${String(error)}`);
    assert.ok(["OPEN_FAILED", "SYNC_FAILED", "WRITE_FAILED"].includes(error.reason), error.message);
  }
}

test("V1 V8 V10 D3 D6 B3: a disk that fails in the midst of touches loses none that was acknowledged, then the power goes", async (t) => {
  let failures = 0;
  for (let seed = 1; seed <= LIVES; seed += 1) {
    const operations = await countOperations(seed);
    const random = new SimRandom(seed + 3);
    for (let count = 0; count < CRASHES_EACH; count += 1) {
      const run = newRun(seed);
      const first = random.below(operations);
      const isSticky = random.below(3) === 0;
      let failed = 0;
      await run.live(
        (each) => tolerantLife(each, seed),
        ({ op, index }) => {
          if (!isMutating(op) || (isSticky ? index < first : index !== first)) return undefined;
          failed += 1;
          return "fail";
        },
      );
      assert.ok(failed > 0);
      const policy = random.pick(crashPolicies);
      const where = `life ${seed}: failed at ${first}, bytes ${policy.bytes}, names ${policy.names}`;
      assert.deepEqual(
        run.host.log.lines.filter(({ fields }) => /defect/.test(`${fields["why"]}`)),
        [],
        where,
      );
      run.host.files.onOperation = undefined;
      const files = run.host.files.crash(policy, seed);
      const survivor = run.next(simHost({ seed, files, clock: run.host.clock }));
      await survivor.openAndJudge(where);
      await survivor.touch("a", { kind: "never" });
      const last = await laterState(survivor, longMs, where);
      await last.close();
      failures += 1;
    }
  }
  t.diagnostic(`${failures} failures in ${LIVES} lives`);
});
