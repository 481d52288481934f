/**
 * One seed: a store lives several times in one world.
 *
 *     opened and judged -> clients -> closed | killed | power cut -> files lost? -> opened ...
 *
 * At least 200 operations, one crash and one compaction; the last life goes well, and
 * at its end nothing is damaged, the sums are the same after another opening, and no
 * handle is left.
 */
import { strict as assert } from "node:assert";
import type { StoreOptionsInput } from "../../../src/engine/options.js";
import { verifyStore } from "../../../src/engine/verify.js";
import { severityOf } from "../../../src/engine/verify-findings.js";
import { crashPolicies } from "../../support/sim-survival.js";
import { type Ask, bytesOf, seenOf, unreadable } from "./call.js";
import { directoryAt } from "./disk-places.js";
import { DiskWatch } from "./disk-watch.js";
import { compactOnce } from "./disturbances.js";
import { DurableView } from "./durable-view.js";
import { History } from "./history.js";
import { KeyStates } from "./key-states.js";
import { Life } from "./life.js";
import { LogTruth } from "./log-truth.js";
import type { Found } from "./look-judge.js";
import { loseFiles } from "./losses.js";
import { hookOf, planLastOptions, planLife, planOptions, planSeed, type SeedPlan } from "./plan.js";
import { RecoveryJudge } from "./recovery-judge.js";
import { RequestBook } from "./request-book.js";
import { type RottenRecord, rot } from "./rot.js";
import { type Counts, noCounts, type Seed } from "./seed.js";
import { requireSilence } from "./silence.js";
import { requireNoStaging } from "./uploads.js";
import { planWatching, type Watching } from "./watching.js";
import { World } from "./world.js";

/** Operations of clients that a seed has at least. */
export const operationsMin = 200;
/** Rounds of the last life in which it is to come to a compaction. */
const roundsMax = 30;

/** Versions beyond the newest one seen that calls and sweeps of unknown fate may have taken. */
const neverGivenMin = 5000;

/** The sums that an opening after a clean close must come to. */
interface Sums {
  readonly keys: number;
  readonly liveBytes: number;
}

/** Lives a seed to its end. */
export class SeedRun implements Seed {
  readonly world: World;
  readonly diskWatch: DiskWatch;
  readonly plan: SeedPlan;
  readonly keys: readonly string[];
  readonly crowd: readonly string[];
  readonly numbers: readonly string[];
  readonly values = new Map<string, string>();
  readonly requests = new RequestBook();
  readonly truth = new LogTruth();
  readonly watchings: readonly Watching[];
  readonly asked: Ask[] = [];
  readonly counts: Counts = noCounts();
  hasCrowd = false;
  hasRot = false;
  rotten: readonly RottenRecord[] = [];
  hasRefusedReads = false;
  /** Of the life before, which the next opening is judged by. */
  #history: History;
  #sums: Sums | undefined;
  /** Since the last opening that was judged, nothing was lost but processes. */
  #hasAll = true;
  #couldRefuse = false;
  /** Versions that a crash has skipped, from the first to below the second. */
  readonly #neverGiven: (readonly [number, number])[] = [];

  constructor(seed: number) {
    this.world = new World(seed);
    this.plan = planSeed(this.world.random);
    this.diskWatch = new DiskWatch(() => this.world.files.disk, this.plan.segmentDir);
    this.world.onOperation = (operation) => this.diskWatch.meet(operation);
    this.keys = this.plan.keys;
    this.crowd = this.plan.crowd;
    this.numbers = this.plan.numbers;
    const { random } = this.world;
    const pick = (): number => random.below(1000);
    this.watchings = Array.from({ length: this.plan.watchings }, () =>
      planWatching(this.keys, pick),
    );
    this.#history = this.#newHistory(new KeyStates(this.world.wall), 0);
  }

  /** Throws what does not hold. */
  async run(): Promise<void> {
    const { lives } = this.plan;
    for (let number = 0; number < lives - 1; number += 1) await this.#oneLife(number);
    await this.#lastLife();
    await this.#verify();
  }

  async #oneLife(number: number): Promise<void> {
    const { world } = this;
    const { random } = world;
    const plan = planLife(random, false);
    const life = new Life(this, plan, planOptions(random, this.plan));
    const where = `life ${number}`;
    let isClean = false;
    const hook = hookOf(plan, {
      isOpen: () => life.isJudged,
      onFault: (fault, operation) => life.onFault(fault, operation),
    });
    const calls = Math.ceil(operationsMin / (this.plan.lives - 0.5));
    const isToClose = number > 0 && random.chance(0.5);
    const end = await world.live(async () => {
      await life.open();
      await this.#judge(life, where);
      await life.work(this.#history, calls);
      if (!isToClose || plan.closesEarly) return;
      const { closes } = this.counts;
      this.#sums = await life.close();
      isClean = this.counts.closes > closes;
    }, hook);
    this.#endLife(life, end === "crashed", isClean);
    if (!isClean || plan.closesEarly) this.#cutOrKill();
    else world.restart(undefined);
    await this.#betweenLives(isClean);
  }

  #endLife(life: Life, hasCrashed: boolean, isClean: boolean): void {
    const { world } = this;
    world.clock.isWallFrozen = false;
    world.files.capacityBytes = 2 ** 40;
    world.slowReadMs = 0;
    const hasRefused = life.hasFailed || life.isShortOfRoom || life.hasSpoiltStaging;
    this.#couldRefuse ||= hasRefused || life.plan.closesEarly;
    requireSilence(world.host.log.lines, "the log");
    if (hasCrashed || !isClean) this.#sums = undefined;
    this.#history.finish();
    this.diskWatch.onLeaving = () => undefined;
  }

  #cutOrKill(): void {
    const { world, counts } = this;
    const { random } = world;
    if (random.chance(0.35)) {
      counts.kills += 1;
      world.restart(undefined);
      return;
    }
    counts.crashes += 1;
    this.#hasAll = false;
    world.restart(random.pick(crashPolicies));
  }

  async #betweenLives(isClean: boolean): Promise<void> {
    const { world } = this;
    const { random } = world;
    await this.#alone(async () => {
      if (random.chance(0.3)) await loseFiles(world, this.plan.segmentDir);
      if (!this.plan.hasRot || this.hasRot) return;
      const rotten = await rot(world, this.plan.segmentDir, isClean);
      if (rotten === undefined) return;
      this.hasRot = true;
      this.rotten = rotten;
      this.counts.bitFlips += 1;
      this.counts.tombstonesRotten += rotten.filter(({ isTombstone }) => isTombstone).length;
      this.#sums = undefined;
    });
  }

  async #lastLife(): Promise<void> {
    const { world, counts } = this;
    const { random } = world;
    const plan = planLife(random, true);
    const life = new Life(this, plan, planLastOptions(random, this.plan));
    await this.#alone(async () => {
      await life.open();
      await this.#judge(life, "the last life");
      const wanted = Math.max(30, operationsMin - counts.operations);
      await life.work(this.#history, wanted);
      for (let round = 0; counts.compactions === 0 && round < roundsMax; round += 1) {
        await life.work(this.#history, 8);
        life.takesAll = true;
        await compactOnce(life);
      }
      assert.ok(counts.compactions > 0, `nothing is compacted in ${roundsMax} rounds`);
      const { closes } = counts;
      this.#sums = await life.close();
      assert.equal(counts.closes, closes + 1, "the last life closes well");
    });
    this.#endLife(life, false, true);
    assert.equal(world.host.workers.running, 0, "a worker outlives its store");
    await this.#alone(async () => {
      const again = new Life(this, plan, planOptions(random, this.plan));
      await again.open();
      await this.#judge(again, "opened again");
      again.adopt(this.#history);
      await again.close();
    });
  }

  /** A life in which nothing goes wrong. */
  async #alone(life: () => Promise<void>): Promise<void> {
    const end = await this.world.live(life, () => undefined);
    assert.equal(end, "ended");
  }

  /** Asserts that the state is one that may be, and begins a history with it. */
  async #judge(life: Life, where: string): Promise<void> {
    const { world } = this;
    const { store } = life;
    const recovered = await this.#recovered(life);
    await life.unlessDead();
    const stats = store.stats();
    const mayBeDegraded = this.hasRot || this.hasRefusedReads;
    if (!mayBeDegraded) assert.deepEqual(stats.damage, [], `${where}: a crash is no damage`);
    this.requests.mayForget = this.hasRot || this.hasRefusedReads;
    const judge = new RecoveryJudge(this.#history, world.wall);
    const states = judge.judge(recovered, {
      where,
      hasAll: this.#hasAll,
      couldRefuse: this.#couldRefuse,
      rotten: this.rotten,
      hasUnknownKeys: this.hasRot && stats.damage.some(({ keysUnknown }) => keysUnknown),
    });
    const { versionSeen } = this.#history;
    assert.ok(store.version >= versionSeen, `V15: ${where}: the version went back`);
    this.#requireRefused(life, versionSeen);
    requireNoStaging(life);
    // A lost tombstone counts as a record, if its segment was read instead of its hint.
    const mayCountMore = this.rotten.some(({ isTombstone }) => isTombstone);
    if (this.#sums !== undefined && !mayCountMore) {
      const { keys, liveBytes } = stats;
      assert.deepEqual({ keys, liveBytes }, this.#sums, `I8: ${where}: other sums than before`);
    }
    const { calls, settled, model } = this.#history;
    const survivedUpTo = judge.survivedUpTo(this.#hasAll);
    this.truth.survive(survivedUpTo);
    this.requests.survive({
      calls,
      settled,
      survivedUpTo,
      lastVersion: model.lastVersion,
      heard: { floor: store.logReaders.floor, monotonicMs: world.clock.monotonicMs(), windowMs: 0 },
      states,
    });
    this.counts.repeats = this.requests.repeats;
    this.counts.reads += this.#history.judged;
    this.#history = this.#newHistory(states, Math.max(store.version, versionSeen));
    this.#sums = undefined;
    this.#hasAll = true;
    this.#couldRefuse = false;
  }

  /** Nobody may go on behind a version that was never given, or whose history is gone. */
  #requireRefused({ store }: Life, versionSeen: number): void {
    const { random } = this.world;
    const { floor } = store.logReaders;
    const first = versionSeen + neverGivenMin;
    if (first < store.version - 1) this.#neverGiven.push([first, store.version - 1]);
    const ranges = [...this.#neverGiven, [0, floor], [store.version + 1, 2 ** 47]] as const;
    for (const [from, to] of ranges) {
      if (from >= to) continue;
      const afterVersion = random.pick([from, to - 1, from + random.below(to - from)]);
      const watch = (): unknown => store.watch({ afterVersion });
      assert.throws(watch, /HISTORY_LOST/, `a watch behind ${afterVersion} is not refused`);
    }
  }

  /** Every record there is, the expired ones too. */
  async #recovered(life: Life): Promise<Map<string, Found>> {
    const found = new Map<string, Found>();
    for (const key of [...this.keys, ...this.crowd]) {
      const record = await this.#raw(life, key);
      if (record !== undefined) found.set(key, record);
    }
    return found;
  }

  /** What the index has of a key, at a time when nothing has expired. */
  async #raw(life: Life, key: string): Promise<Found> {
    const { store, world } = life;
    for (;;) {
      try {
        const record = await world.clock.atWall(0, () => store.get(bytesOf(key)));
        return record && seenOf(record);
      } catch (error) {
        await life.unlessDead();
        if (life.mayBeUnreadable(error)) return unreadable;
      }
    }
  }

  #bytesOf(name: string): number {
    const { files } = this.world;
    const node = directoryAt(files.disk, this.plan.segmentDir, "current")?.current.get(name);
    return node?.kind === "file" ? node.current.length : 0;
  }

  #newHistory(states: KeyStates, lastVersion: number): History {
    const { world } = this;
    const durable = new DurableView(() => world.files.disk, this.plan.segmentDir);
    return new History(states, world.wall, durable, lastVersion, this.requests, this.truth);
  }

  async #verify(): Promise<void> {
    const options: StoreOptionsInput = planOptions(this.world.random, this.plan);
    await this.#alone(async () => {
      const { findings } = await verifyStore(options, this.world.host);
      const damages = findings.filter((finding) => severityOf(finding) === "damage");
      if (!this.hasRot && !this.hasRefusedReads)
        assert.deepEqual(damages, [], "the end: no damage");
      const names = findings.flatMap(({ kind, file }) => (kind === "STRAY_FILE" ? file : []));
      // A log segment that was made when its life ended is empty.
      const strays = names.filter((name) => this.#bytesOf(name) > 0);
      assert.deepEqual(strays, [], "M13: the end: no file is left that the store does not know");
    });
  }
}
