/**
 * Lives a planned life on a simulated machine. Where the disk may fail, it goes on as
 * long as the store does, and holds what the store shows against what it acknowledged:
 *
 *     opening refused -> tried again -> refused for good: the end
 *     a step -> what is shown has all that was acknowledged, latched or not -> next step
 *     bytes that could not be read -> no other answer than theirs or an error -> the end
 *     the last step -> where nothing has latched, a write is taken
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { TouchExpiry } from "../../../src/engine/store.js";
import { takingSome } from "../../support/compaction-rig.js";
import { bytes, CrashRun } from "../../support/crash-run.js";
import { simHost } from "../../support/sim-host.js";
import { SimRandom } from "../../support/sim-random.js";
import { SeededScheduler } from "../../support/sim-scheduler.js";
import type { Call, LifePlan, LifeStep } from "./life-plan.js";

/** An error of an operation that passes is over by then; see ErrorKind. */
const openingsMax = 14;
/** A disk that has filled up has room again after so many rounds of time and compaction. */
const roundsMax = 6;

/** The plan's machine, new. */
export function newRunOf(plan: LifePlan): CrashRun {
  const { seed, options, hasCheckpoints, hasPolicy, isShuffled } = plan;
  const scheduler = isShuffled ? new SeededScheduler(seed) : undefined;
  const run = new CrashRun(options, simHost({ seed, scheduler }));
  run.seams = {
    ...(hasCheckpoints ? { checkpointKeysMin: 0 } : {}),
    ...(hasPolicy ? {} : { chooseVictims: takingSome(new SimRandom(seed)) }),
  };
  return run;
}

/** What lives have met; summed up over all that were lived. */
export class LifeCounts {
  calls = 0;
  refusals = 0;
  latches = 0;
  refusedOpenings = 0;
  degradedOpenings = 0;
  fullDisks = 0;
}

/** Lives `plan`. */
export class Life {
  readonly #plan: LifePlan;
  readonly #counts: LifeCounts;

  constructor(plan: LifePlan, counts: LifeCounts) {
    this.#plan = plan;
    this.#counts = counts;
  }

  async live(run: CrashRun): Promise<void> {
    if (!(await this.#open(run))) return;
    for (const [number, step] of this.#plan.steps.entries()) {
      const where = `step ${number}, ${step.kind}`;
      const goesOn = await this.#step(run, step, where);
      if (!run.isFaulty) continue;
      if (!goesOn || !(await this.#look(run, where))) return;
    }
    if (run.isFaulty) await this.#serve(run);
  }

  async #step(run: CrashRun, step: LifeStep, where: string): Promise<boolean> {
    switch (step.kind) {
      case "calls":
        await this.#make(run, step.calls);
        return true;
      case "compact":
        await Promise.all([this.#compact(run), this.#make(run, step.beside)]);
        return true;
      case "pass":
        await run.host.clock.advance(step.ms);
        return true;
      case "reopen":
        await this.#close(run);
        return await this.#open(run);
      case "fill":
        run.host.files.capacityBytes += step.freeBytes - run.host.files.disk.freeBytes;
        return true;
      case "free":
        await this.#getFree(run, where);
        return true;
    }
  }

  async #make(run: CrashRun, calls: readonly Call[]): Promise<void> {
    this.#counts.calls += calls.length;
    const results = await Promise.all(calls.map((call) => make(run, call)));
    for (const error of results) if (error !== undefined) this.#counts.refusals += 1;
  }

  async #compact(run: CrashRun): Promise<void> {
    try {
      await run.compact();
    } catch (error) {
      if (!run.isFaulty) throw error;
      requireKnown(error);
    }
  }

  /** Whether it opens: at once, or, where the disk fails for a while, when that is over. */
  async #open(run: CrashRun): Promise<boolean> {
    if (!run.isFaulty) {
      await run.openAndJudge("opened");
      return true;
    }
    for (let attempt = 0; attempt < openingsMax; attempt += 1) {
      try {
        await run.open();
      } catch (error) {
        requireKnown(error);
        this.#counts.refusedOpenings += 1;
        continue;
      }
      const isWhole = await this.#look(run, "opened, with errors");
      if (isWhole) await run.takeForDurable("opened, with errors");
      return isWhole;
    }
    return false;
  }

  async #close(run: CrashRun): Promise<void> {
    if (!run.isFaulty) return await run.close();
    if (run.store.stats().condition.latched) this.#counts.latches += 1;
    await run.close().catch(requireKnown);
  }

  /** Whether the life goes on: not where something could not be read. */
  async #look(run: CrashRun, where: string): Promise<boolean> {
    const { damage } = run.store.stats();
    if (damage.length > 0) {
      this.#counts.degradedOpenings += 1;
      run.mayBeDamaged = true;
      await lookClosely(run, where);
      return false;
    }
    const state = await run.state();
    run.oracle.requireShown(state, run.host.clock.wallMs(), where);
    return true;
  }

  /** The disk has filled up: deletes and compactions have made room, and service comes back. */
  async #getFree(run: CrashRun, where: string): Promise<void> {
    this.#counts.fullDisks += 1;
    const hasReserve = this.#plan.options.diskReserveBytes !== 0;
    for (let round = 0; round < roundsMax; round += 1) {
      await run.host.clock.advance(300);
      await run.set("nudge", "1");
      await run.host.clock.settle();
      // Without a reserve there may be no room for a clean mark: somebody has to make it.
      if (!hasReserve) await run.makeRoom();
      if ((await run.set("room", `${round}`)) === undefined) return;
      await this.#compact(run);
    }
    assert.ok(run.isFaulty, `${where}: there is no room though all is deleted`);
  }

  /** Whatever failed: unless it was a sync, service goes on (D6). */
  async #serve(run: CrashRun): Promise<void> {
    run.host.files.onOperation = undefined;
    await run.makeRoom();
    const isLatched = run.store.stats().condition.latched;
    if (isLatched) this.#counts.latches += 1;
    const error = await run.set("served", "1");
    assert.equal(error?.reason, isLatched ? "STORE_READ_ONLY" : undefined, "service at the end");
  }
}

function make(run: CrashRun, call: Call): Promise<KvixError | undefined> {
  switch (call.kind) {
    case "set": {
      const { key, value, ttlMs, durability } = call;
      const expiry = ttlMs === 0 ? ({ kind: "never" } as const) : ({ kind: "ttl", ttlMs } as const);
      return run.set(key, value, { expiry, durability });
    }
    case "touch":
      return run.touch(call.key, touchExpiry(call.ttlMs), call.durability);
    case "delete":
      return run.delete(call.key, call.durability);
    case "upload":
      if (call.end === "finish") return run.upload(call.key, call.value, call);
      return run.uploadHalf(call.key, call.value, call.end).then(() => undefined);
    case "batch":
      return run.batch(call.steps, call.durability);
    case "sets":
      return run.sets(call.pairs, call.durability);
  }
}

function touchExpiry(ttlMs: number): TouchExpiry {
  if (ttlMs === 0) return { kind: "never" };
  return ttlMs < 0 ? { kind: "at", atMs: 1 } : { kind: "ttl", ttlMs };
}

/** What an opening, a close or a compaction may say of a disk that fails. */
function requireKnown(error: unknown): void {
  if (!(error instanceof KvixError)) throw error;
  const known = ["OPEN_FAILED", "SYNC_FAILED", "WRITE_FAILED", "NO_SPACE", "READ_FAILED"];
  assert.ok(known.includes(error.reason), `${error.reason}: ${error.message}`);
}

/**
 * Some bytes could not be read: every key has a value that it may have, or an error.
 * Only where nobody knows which keys lie there may one be missing or older.
 */
async function lookClosely(run: CrashRun, where: string): Promise<void> {
  if (run.store.stats().damage.some(({ keysUnknown }) => keysUnknown)) return;
  const states = Array.from(run.oracle.states(), (state) => new Map(state));
  const nowMs = run.host.clock.wallMs();
  for (const key of run.keys) {
    let found: string | undefined;
    try {
      const record = await run.store.get(bytes(key));
      found = record && Buffer.from(record.value).toString();
    } catch (error) {
      assert.ok(error instanceof KvixError, `${where}: not a KvixError: ${String(error)}`);
      assert.ok(["READ_FAILED", "RECORD_CORRUPT"].includes(error.reason), error.message);
      continue;
    }
    const allowed = states.map((state) => {
      const { value, expiresAtMs = 0 } = state.get(key) ?? {};
      return expiresAtMs !== 0 && nowMs >= expiresAtMs ? undefined : value;
    });
    assert.ok(allowed.includes(found), `${where}: ${key} is ${found}, not one of ${allowed}`);
  }
}
