/**
 * A random history of a store that is compacted at random: writes of every kind,
 * lifetimes, a wall clock that jumps and comes back, compactions of random victims
 * beside writes, some cancelled, disk errors, clean closes, kills, power cuts, hints
 * that are gone. A seed repeats it.
 *
 *     life -> closed | killed | power cut -> hints removed? -> opened and judged -> life ...
 *
 * After every life the store must be in a state that the durability oracle allows,
 * and in the middle of one it must say what was acknowledged last.
 */
import { strict as assert } from "node:assert";
import type { Choice, PolicyInput } from "../../src/engine/compaction/policy.js";
import { verifyStore } from "../../src/engine/verify.js";
import { severityOf } from "../../src/engine/verify-findings.js";
import { onDemand } from "./compaction-rig.js";
import { type BatchStep, CrashRun, tinyStore } from "./crash-run.js";
import type { OracleState } from "./durability-oracle.js";
import { isMutating } from "./file-operation.js";
import type { SimHook } from "./sim-hook.js";
import { simHost } from "./sim-host.js";
import { SimRandom } from "./sim-random.js";
import { crashPolicies } from "./sim-survival.js";

const DAY_MS = 86_400_000;
const segmentDir = "/store/segments";
const keys = ["a", "b", "c", "d", "e", "f", "g", "h"] as const;
const segmentBytes = [130, 300, 700] as const;

/** One history, step by step. */
export class CompactionHistory {
  readonly #random: SimRandom;
  readonly #where: string;
  #run: CrashRun;
  /** How far the wall clock is from where it belongs; it comes back before the next opening. */
  #jumpedMs = 0;
  #value = 0;
  /** Writes and a compaction that were not waited for. */
  #beside: Promise<unknown>[] = [];
  #isCompacting = false;
  #isTimePassing = false;
  /** This life has begun: an opening that meets a disk error is not what is tested. */
  #isJudged = false;
  /** A disk error has happened in this life. */
  #hasFailed = false;
  /** Segments removed in all lives. */
  segmentsRemoved = 0;

  constructor(seed: number) {
    this.#where = `history ${seed}`;
    this.#random = new SimRandom(seed);
    const segmentBytesMax = this.#random.pick(segmentBytes);
    const options = { ...tinyStore, ...onDemand, segmentBytesMax };
    this.#run = new CrashRun(options, simHost({ seed }));
    this.#run.seams = {
      chooseVictims: (input) => this.#choose(input),
      // Half of them are opened from checkpoints, where they were closed properly.
      ...(seed % 2 === 0 ? { checkpointKeysMin: 0 } : {}),
    };
  }

  /** Lives it to its end. Throws what does not hold. */
  async live(): Promise<void> {
    const lives = 1 + this.#random.below(3);
    for (let life = 0; life < lives; life += 1) {
      await this.#run.live(() => this.#life(`life ${life}`), this.#hook());
      await this.#nextLife(`after life ${life}`);
    }
    await this.#judge("at the end");
    await this.#close();
    const report = await verifyStore(this.#run.options, this.#run.host);
    const damages = report.findings.filter((finding) => severityOf(finding) === "damage");
    assert.deepEqual(damages, [], this.#where);
  }

  /** One session: opened, judged, written to, and maybe closed. */
  async #life(where: string): Promise<void> {
    await this.#judge(where);
    this.#isJudged = true;
    const run = this.#run;
    const steps = 5 + this.#random.below(30);
    for (let step = 0; step < steps; step += 1) {
      const done = this.#step();
      if (this.#random.chance(0.6) || this.#isTimePassing) await done;
      else this.#beside.push(done);
      await unlessDead(run);
      if (this.#random.chance(0.05)) await this.#rest(`${where}, step ${step}`);
    }
    await this.#rest(where);
    this.#comeBack();
    if (this.#random.chance(0.5)) return;
    await this.#close();
  }

  /** Opens; asserts that the state is one that may be. */
  async #judge(where: string): Promise<void> {
    await this.#run.openAndJudge(`${this.#where}, ${where}`);
  }

  /** Waits for all that is under way, and asserts that what is read is what was written last. */
  async #rest(where: string): Promise<void> {
    const run = this.#run;
    await Promise.all(this.#beside.splice(0));
    await unlessDead(run);
    const { store, oracle, host } = run;
    if (store.stats().condition.latched) return;
    const nowMs = host.clock.wallMs();
    assert.deepEqual(
      visible(await run.state(), nowMs),
      visible(oracle.latest(), nowMs),
      `${this.#where}, ${where}: what is read is what was written last`,
    );
  }

  async #close(): Promise<void> {
    const run = this.#run;
    const { store } = run;
    if (store.stats().condition.latched) return;
    this.segmentsRemoved += store.stats().compaction.segmentsRemoved;
    const { keys: count, liveBytes } = store.stats();
    try {
      await run.close();
    } catch (error) {
      if (this.#hasFailed || run.hasCrashed) return;
      throw error;
    }
    this.#isJudged = false;
    await unlessDead(run);
    await run.open();
    const after = run.store.stats();
    assert.deepEqual(
      { keys: after.keys, liveBytes: after.liveBytes },
      { keys: count, liveBytes },
      `${this.#where}: opened again, the sums are the same`,
    );
    await run.close();
  }

  /** Ends the machine or the process, if it has not closed properly; hints may be lost on the way. */
  async #nextLife(where: string): Promise<void> {
    const run = this.#run;
    if (run.hasCrashed) this.#comeBack();
    this.#beside = [];
    this.#isCompacting = false;
    this.#isTimePassing = false;
    const { host } = run;
    const seed = this.#random.bits();
    const files = this.#random.chance(0.5)
      ? host.files.kill()
      : host.files.crash(this.#random.pick(crashPolicies), seed);
    if (this.#random.chance(0.3)) {
      for (const { name } of await files.list(segmentDir).catch(() => [])) {
        const isToGo = name.endsWith(".hint") && this.#random.chance(0.5);
        if (isToGo) await files.remove(`${segmentDir}/${name}`);
      }
    }
    this.#run = run.next(simHost({ seed, files, clock: host.clock }));
    assert.ok(this.#run.oracle.writes >= 0, where);
  }

  /** A crash at a random file operation, or an error of one; or nothing of the kind. */
  #hook(): SimHook {
    const kind = this.#random.below(3);
    const at = this.#random.below(400);
    const moment = this.#random.pick(["crash-before", "crash-midway", "crash-after"] as const);
    const isFault = kind === 1 && this.#random.chance(0.5);
    let seen = 0;
    this.#hasFailed = false;
    this.#isJudged = false;
    return ({ op }) => {
      const isMeant = isFault
        ? this.#isJudged && (op === "open" || isMutating(op))
        : isMutating(op);
      if (kind === 0 || !isMeant) return undefined;
      seen += 1;
      if (seen !== at) return undefined;
      this.#hasFailed = isFault;
      return isFault ? "fail" : moment;
    };
  }

  async #step(): Promise<unknown> {
    const random = this.#random;
    const run = this.#run;
    const key = random.pick(keys);
    const durability = random.chance(0.4) ? "buffered" : "sync";
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        return run.set(key, this.#nextValue(), { durability });
      case 3: {
        const ttlMs = 1 + random.below(400);
        const expiry = { kind: "ttl", ttlMs } as const;
        return run.set(key, this.#nextValue(), { durability, expiry });
      }
      case 4:
      case 5:
        return run.delete(key, durability);
      case 6:
        return run.batch(this.#batch(), durability);
      case 7: {
        const ttlMs = random.chance(0.5) ? 50 + random.below(200) : 10 * DAY_MS;
        const expiry = random.chance(0.5) ? { kind: "never" } : { kind: "ttl", ttlMs };
        return run.touch(key, expiry as { kind: "ttl"; ttlMs: number }, durability);
      }
      case 8:
        return await this.#passTime();
      default:
        return this.#compact();
    }
  }

  #batch(): BatchStep[] {
    const chosen = keys.filter(() => this.#random.chance(0.4));
    const named = chosen.length === 0 ? [this.#random.pick(keys)] : chosen;
    return named.map((key) => {
      const value = this.#random.chance(0.3) ? undefined : this.#nextValue();
      return { key, value };
    });
  }

  #nextValue(): string {
    this.#value += 1;
    return `${this.#value}${"x".repeat(this.#random.pick([0, 10, 60, 200]))}`;
  }

  /** Nothing else goes on: an oracle has no notion of a write that meets a deadline. */
  async #passTime(): Promise<void> {
    this.#isTimePassing = true;
    await Promise.all(this.#beside.splice(0));
    await unlessDead(this.#run);
    await this.#moveClock();
    this.#isTimePassing = false;
  }

  async #moveClock(): Promise<void> {
    const { clock } = this.#run.host;
    if (this.#random.chance(0.2)) {
      if (this.#jumpedMs !== 0) this.#comeBack();
      else {
        this.#jumpedMs = 40 * DAY_MS;
        clock.stepWall(this.#jumpedMs);
      }
      return;
    }
    await clock.advance(this.#random.pick([1, 50, 120, 500]));
  }

  #comeBack(): void {
    this.#run.host.clock.stepWall(-this.#jumpedMs);
    this.#jumpedMs = 0;
  }

  async #compact(): Promise<void> {
    if (this.#isCompacting) return;
    this.#isCompacting = true;
    const run = this.#run;
    const { store, host } = run;
    if (this.#random.chance(0.7)) await store.hintsWritten();
    await unlessDead(run);
    const stop = new AbortController();
    let turns = this.#random.chance(0.2) ? this.#random.below(120) : Number.POSITIVE_INFINITY;
    const count = (): void => {
      turns -= 1;
      if (turns < 0) stop.abort();
      else if (Number.isFinite(turns)) host.clock.soon(count);
    };
    count();
    for await (const { outcome, why } of store.compact({ signal: stop.signal })) {
      await unlessDead(run);
      if (outcome === "failed" && !this.#hasFailed) assert.fail(`${this.#where}: ${why}`);
    }
    turns = Number.POSITIVE_INFINITY;
    this.#isCompacting = false;
  }

  /** Any of the candidates, a few times; or nothing. */
  #choose({ candidates }: PolicyInput): Choice {
    const ids = candidates.filter(() => this.#random.chance(0.4)).map(({ id }) => id);
    if (ids.length === 0 || this.#random.chance(0.3)) return { kind: "nothing" };
    return { kind: "victims", ids };
  }
}

/** A dead process goes no further. */
async function unlessDead(run: CrashRun): Promise<void> {
  if (run.hasCrashed) await new Promise<never>(() => undefined);
}

/** What is visible, in one order. */
function visible(state: OracleState, nowMs: number): Record<string, string> {
  const lines = Array.from(state)
    .filter(([, { expiresAtMs }]) => expiresAtMs === 0 || nowMs < expiresAtMs)
    .map(([key, { value, expiresAtMs }]) => [key, `${value}@${expiresAtMs}`] as const);
  return Object.fromEntries(lines.sort(([one], [other]) => (one < other ? -1 : 1)));
}
