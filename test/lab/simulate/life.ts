/**
 * One life of a store: opened, judged, used by several clients at once while
 * compactions run and clocks and disks go wrong, and then closed, or not.
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import {
  type Choice,
  chooseVictims,
  type PolicyInput,
} from "../../../src/engine/compaction/policy.js";
import type { LocalStore } from "../../../src/engine/local-store.js";
import { openStore, type StoreSeams } from "../../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../../src/engine/options.js";
import { parseNumber } from "../../../src/format/number-text.js";
import { takingSome } from "../../support/compaction-rig.js";
import type { OperationFacts } from "../../support/file-operation.js";
import { openHandles } from "../../support/sim-handles.js";
import { unpaced } from "../../support/unpaced.js";
import { requireSums, waitForFlush } from "./at-rest.js";
import { type Ask, bytesOf } from "./call.js";
import { Caller } from "./caller.js";
import { runClient, setOnce, writeCrowd } from "./clients.js";
import type { DiskWatch } from "./disk-watch.js";
import { disturb } from "./disturbances.js";
import { isForeseen } from "./foreseen.js";
import type { History } from "./history.js";
import type { LogTruth } from "./log-truth.js";
import { type DiskFault, type LifePlan, windowMsOf } from "./plan.js";
import { RangeDeletes } from "./range-deletes.js";
import type { Counts, Seed } from "./seed.js";
import { requireSilence, valueMark } from "./silence.js";
import { requireNoStaging } from "./uploads.js";
import type { World } from "./world.js";

/** Numbers that are set begin here, so that no sum is one of them by accident. */
const numberBase = 1_000_000_000_000;
/** Openings that a failing disk may cost. */
const openingsMax = 40;

/** The segment that is written, and the next one, if there was no room to begin it. */
const writtenMax = 2;

/** A process. */
export class Life {
  readonly world: World;
  readonly counts: Counts;
  readonly keys: readonly string[];
  readonly crowd: readonly string[];
  readonly plan: LifePlan;
  readonly #seed: Seed;
  readonly #options: StoreOptionsInput;
  #store: LocalStore | undefined;
  #rangeDeletes: RangeDeletes | undefined;
  #history: History | undefined;
  /** When it was opened, on the monotonic clock. */
  startMs = 0;
  /** The wall clock less the monotonic one, when it was opened. */
  clockGapMs = 0;
  #era = 0;
  /** The disk was made to fail in this life. */
  hasFailed = false;
  /** A staging file was spoilt: its upload fails, and what is written over it. */
  hasSpoiltStaging = false;
  /** A sync of the log or the manifest was made to fail while the store was open. */
  #mustLatch = false;
  /** A compaction was given up: the close may cut it short between its commit and the index. */
  hasGivenUp = false;
  /** It was told to close. */
  isClosing = false;
  /** Clients are at work. */
  isBusy = false;
  /** The next step of a compaction takes all that it may; the one after it ends the run. */
  takesAll = false;
  #endsRun = false;

  constructor(seed: Seed, plan: LifePlan, options: StoreOptionsInput) {
    this.#seed = seed;
    this.world = seed.world;
    this.counts = seed.counts;
    this.keys = seed.keys;
    this.crowd = seed.crowd;
    this.plan = plan;
    this.#options = options;
  }

  get store(): LocalStore {
    assert.ok(this.#store, "the store is open");
    return this.#store;
  }

  get rangeDeletes(): RangeDeletes {
    assert.ok(this.#rangeDeletes, "the store is open");
    return this.#rangeDeletes;
  }

  get history(): History {
    assert.ok(this.#history, "the opening was judged");
    return this.#history;
  }

  /** What must hold of the disk at any time. */
  get diskWatch(): DiskWatch {
    return this.#seed.diskWatch;
  }

  /** Keys that are counted up. */
  get numbers(): readonly string[] {
    return this.#seed.numbers;
  }

  /** Requests with an id that were made in any life. */
  get asked(): Ask[] {
    return this.#seed.asked;
  }

  /** What the log must tell. */
  get truth(): LogTruth {
    return this.#seed.truth;
  }

  get isClockTrusted(): boolean {
    return this.#options.trustClock === true;
  }

  /** What it was opened with. */
  get options(): StoreOptionsInput {
    return this.#options;
  }

  get segmentDir(): string {
    return this.#seed.plan.segmentDir;
  }

  get spoilsHints(): boolean {
    return this.plan.spoilsHints && !this.#seed.plan.hasRot;
  }

  get hasRot(): boolean {
    return this.#seed.hasRot;
  }

  /** What was written so long ago, or less, no compaction takes. */
  get windowMs(): number {
    return windowMsOf(this.plan, this.#options);
  }

  /** Whether the opening was judged: from then on faults happen that are not for openings. */
  get isJudged(): boolean {
    return this.#history !== undefined;
  }

  /** The answer to a write whose old record cannot be read has no version; so nobody asks then. */
  get mayAskForPrevious(): boolean {
    return !this.hasRot && !this.plan.faults.some(({ ops }) => isOfReading(ops));
  }

  onFault({ ops, code }: DiskFault, operation: OperationFacts): void {
    this.hasFailed = true;
    if (this.isJudged && this.diskWatch.isVital(operation)) this.#mustLatch = true;
    this.counts.diskFaults += 1;
    if (ops.includes("read")) this.#seed.hasRefusedReads = true;
    this.world.trace.word(`${ops[0]} ${code}`);
  }

  /** Opens, as often as the disk makes it fail. */
  async open(): Promise<void> {
    const { world } = this;
    const { host } = world;
    let options = this.#options;
    this.#era = world.era;
    for (let opening = 0; ; opening += 1) {
      this.counts.openings += 1;
      this.startMs = world.clock.monotonicMs();
      try {
        this.#store = await openStore(options, host, this.#seams());
        this.#rangeDeletes = new RangeDeletes(this.#store);
        this.clockGapMs = world.clock.wallMs() - world.clock.monotonicMs();
        return;
      } catch (error) {
        await this.unlessDead();
        requireSilence(error, "an opening");
        const isStrict = error instanceof KvixError && error.reason === "STORE_DAMAGED";
        const mayBeDamaged = this.hasRot || this.#seed.hasRefusedReads;
        if (!(isStrict && mayBeDamaged)) {
          assert.ok(this.hasFailed && error instanceof KvixError, error as Error);
          assert.ok(opening < openingsMax, `the store does not open: ${error}`);
        }
        options = { ...options, recovery: "degraded" };
        assert.equal(openHandles(world.files.disk), 0, "M11 R11: an opening that fails leaks");
      }
    }
  }

  /** The opening is judged; from here on all is told to this history. */
  adopt(history: History): void {
    this.#history = history;
    this.diskWatch.onLeaving = (staying) => {
      // What a flipped bit has hit is to be found nowhere.
      if (!this.hasRot) history.requireKept(this.keys, staying);
    };
  }

  /** Lets clients work until they have made so many calls together, and then rest. */
  async work(history: History, calls: number): Promise<void> {
    this.adopt(history);
    const { plan } = this;
    this.isBusy = true;
    this.world.slowReadMs = plan.slowReadMs;
    const share = Math.ceil(calls / plan.clients);
    const disturbed = disturb(this);
    // It is waited for below; a client that fails first is heard first.
    disturbed.catch(() => undefined);
    const clients = Array.from({ length: plan.clients }, () => runClient(this, share));
    if (this.crowd.length > 0 && !this.#seed.hasCrowd) clients.push(writeCrowd(this));
    this.#seed.hasCrowd = true;
    if (plan.closesEarly) clients.push(this.#closeEarly());
    const { watchings } = this.#seed;
    for (const watching of watchings) watching.begin(this);
    await Promise.all(clients);
    await this.unlessDead();
    if (watchings.length > 0 && !this.isClosing) await this.sync();
    for (const watching of watchings) await watching.end(this);
    await this.unlessDead();
    this.isBusy = false;
    await disturbed;
    await this.unlessDead();
    if (this.isClosing) return;
    const { latched } = this.store.stats().condition;
    assert.ok(latched || !this.#mustLatch, "V10: a sync has failed, and the store goes on");
    requireSums(this);
    this.#requireFewHandles();
    requireNoStaging(this);
    if (this.world.random.chance(0.4)) await this.#flush();
  }

  /** Closes; answers the sums that the next opening must come to, if it was a clean close. */
  async close(): Promise<{ keys: number; liveBytes: number } | undefined> {
    const { store, history, world } = this;
    const calls = history.calls.length;
    const { latched } = store.stats().condition;
    if (latched) this.counts.latches += 1;
    if (latched)
      assert.ok(this.hasFailed || this.isShortOfRoom, "it is latched, and nothing failed");
    this.isClosing = true;
    try {
      await store.close();
    } catch (error) {
      await this.unlessDead();
      assert.ok(this.hasFailed || this.isShortOfRoom, error as Error);
      assert.ok(error instanceof KvixError, error as Error);
      return undefined;
    }
    await this.unlessDead();
    this.counts.closes += 1;
    assert.equal(openHandles(world.files.disk), 0, "M11: a close leaks");
    history.durableUpTo(calls);
    const { keys, liveBytes } = store.stats();
    // What lies in victims that the index still names counts for no segment.
    const isScheduled = this.#options.compaction === "scheduled";
    const mayBeCut = this.hasGivenUp || this.plan.closesEarly || isScheduled;
    return mayBeCut ? undefined : { keys, liveBytes };
  }

  /**
   * A dead process goes no further. What waits for it is forgotten with its promise, which
   * therefore is one of its own: a single one for all would keep every life in memory.
   */
  unlessDead(): Promise<never> | undefined {
    return this.world.era === this.#era ? undefined : new Promise(() => undefined);
  }

  /** A client has an answer. */
  got(what: string, version: number): void {
    this.world.getsOn();
    this.world.trace.word(what);
    this.world.trace.number(version);
  }

  /** What a client does between two calls: nothing, or it lets others go on, or it waits. */
  async pause(): Promise<void> {
    const { random, clock } = this.world;
    const kind = random.below(4);
    if (kind === 0) await clock.sleep(1 + random.below(30));
    else if (kind === 1) await this.world.turn();
  }

  pickKey(): string {
    const { random } = this.world;
    const isOfCrowd = this.crowd.length > 0 && random.chance(0.2);
    return random.pick(isOfCrowd ? this.crowd : this.keys);
  }

  /** A value that no other write of the seed has: of a key that is counted up, a number most of the time. */
  nextValue(key: string, lengthBytes: number): string {
    const { values, numbers } = this.#seed;
    const count = values.size + 1;
    const isNumber = numbers.includes(key) && this.world.random.chance(0.8);
    const value = isNumber
      ? `${numberBase + count}`
      : `${count}${valueMark}`.padEnd(lengthBytes, "x");
    values.set(value, key);
    return value;
  }

  /** Whether somebody wrote that to a key; a number may be a sum, of which the history knows. */
  wasAsked(key: string, value: string): boolean {
    return this.#seed.values.get(value) === key || parseNumber(bytesOf(value)) !== undefined;
  }

  /** Makes durable all that was asked for before. */
  async sync(): Promise<void> {
    const { history, store } = this;
    const calls = history.calls.length;
    try {
      await store.sync();
    } catch (error) {
      await this.unlessDead();
      this.requireForeseen(error, false, "sync");
      return;
    }
    await this.unlessDead();
    this.got("sync", 0);
    history.durableUpTo(calls);
  }

  /** Whether the disk of this life is small. */
  get isShortOfRoom(): boolean {
    return this.plan.roomBytes !== undefined || (this.#options.diskReserveBytes ?? 0) > 0;
  }

  /** Asserts that a call may end like that, as things are. */
  requireForeseen(error: unknown, isAborted: boolean, what: string): void {
    this.world.getsOn();
    if (!(error instanceof KvixError)) throw error;
    requireSilence(error, what);
    this.world.trace.word(error.reason);
    assert.ok(isForeseen(error.reason, this, isAborted), `${what} was refused: ${error.stack}`);
  }

  /** Whether that says of a record that it cannot be read; it must be foreseen. */
  mayBeUnreadable(error: unknown): boolean {
    this.requireForeseen(error, false, "a read");
    return error instanceof KvixError && error.reason === "RECORD_CORRUPT";
  }

  /** What is buffered now is synced by itself, whatever was before. */
  async #flush(): Promise<void> {
    await setOnce(this, new Caller(this), this.pickKey(), "buffered");
    await this.unlessDead();
    await waitForFlush(this);
  }

  /** Nobody reads, and nothing is compacted: no more segments are open than may be kept, and those that are written. */
  #requireFewHandles(): void {
    const { openFilesMax = Number.POSITIVE_INFINITY, compaction } = this.#options;
    // A compaction opens its victims for itself.
    if (compaction === "scheduled") return;
    const handles = openHandles(this.world.files.disk, /\.seg$/);
    assert.ok(
      handles <= openFilesMax + writtenMax,
      `M11 V11: ${handles} files are open, of ${openFilesMax}`,
    );
  }

  async #closeEarly(): Promise<void> {
    const { random } = this.world;
    for (let left = random.below(20); left > 0; left -= 1) await this.world.turn();
    await this.close();
  }

  #seams(): StoreSeams {
    const { plan, world } = this;
    return {
      checkpointKeysMin: plan.checkpointKeysMin,
      ...(plan.hasPacer ? {} : { pacer: unpaced(world.clock) }),
      chooseVictims: (input) => this.#choose(input),
    };
  }

  #choose(input: PolicyInput): Choice {
    const ids = input.candidates.map(({ id }) => id);
    if (this.takesAll && ids.length > 0) {
      this.takesAll = false;
      this.#endsRun = true;
      return { kind: "victims", ids };
    }
    if (this.#endsRun) {
      // An output may be taken again: who always takes all has no end.
      this.#endsRun = false;
      return { kind: "nothing" };
    }
    return this.plan.hasPolicy ? chooseVictims(input) : takingSome(this.world.random)(input);
  }
}

function isOfReading(ops: DiskFault["ops"]): boolean {
  return ops.includes("read") || ops.includes("open");
}
