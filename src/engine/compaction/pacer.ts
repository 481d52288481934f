/**
 * How fast a compaction may go: bytes a second, and turns of the event loop that
 * others share (M14).
 *
 *   bytes   take(n) -> a bucket that fills at the speed of the moment
 *   time    while (...) { if (!hasTime()) await turn(); a little work }
 *
 * The speed of the moment lies between a floor and the maximum. It starts low,
 * rises step by step while others are served in time, and is halved while they
 * are not. Whether others work or wait is told by their queue, and by how late we
 * are let on ourselves: how long a round of the event loop takes in which we do
 * nothing, and by how much a timer is overdue. Our own work does not count: a slice
 * of it is over before the round begins.
 *
 * Invariants
 *  1. Over any time no more is taken than the maximum times that time, a quarter of
 *     a second's worth, and one request. A request of any size is granted.
 *  2. While others work, a slice is followed by a rest of four times its length: they
 *     have four fifths of the event loop.
 *  3. Speed never falls below the floor: compaction that stands still fills the disk,
 *     and a full disk hurts more than a late answer. So the floor is higher while
 *     compaction is behind those who write.
 */
import type { Clock } from "../../host/host.js";

/** How much may be taken at once after a pause, as time at full speed. */
const BURST_MS = 250;
/** The floor of the speed: this share of the maximum, and this much if the maximum allows. */
const FLOOR_SHARE = 64;
const FLOOR_BYTES_PER_SECOND = 1024 * 1024;
/** The floor while compaction is behind. */
const HURRIED_FLOOR_SHARE = 4;
/** The first speed, and how much one step adds, as shares of the maximum: full speed after 1.4 s. */
const START_SHARE = 8;
const STEP_SHARE = 16;
/** How long a speed is kept: long enough that its effect on others can be seen. */
const STEP_MS = 100;
/** The longest sleep for bytes: meanwhile the speed may change. */
const SLEEP_MS_MAX = 100;

/** How long a slice of work may be: well below what a call over the network takes. */
const SLICE_MS = 0.25;
/** And how many looks at the clock it may take: a clock that stands still must not make it endless. */
const SLICE_LOOKS_MAX = 256;
/** How long the rest is after a slice while others work, in slices, and at most. */
const REST_SLICES = 4;
const REST_MS_MAX = 20;

/** Rounds that take longer than this on average have work of others in them; an empty one takes 0.01 ms. */
const SHARED_MS = 0.1;
/**
 * If we are let on later than this on average, others wait as long. The threshold
 * does not follow what is usual: under a steady load late would become usual.
 */
const LATE_MS = 1;
/** The average forgets one part in so many with each measure: one pause of the collector is no load. */
const LATE_MEASURES = 8;
/** What one measure counts at most: after a stop of a second a few in time are enough. */
const LATE_MEASURE_MS_MAX = 4;
/** By how much a timer is overdue that nobody held up: its unit. */
const TIMER_UNIT_MS = 1;

/** What holds a compaction back. */
export type Pace = Pick<Pacer, "take" | "hasTime" | "turn" | "isBehind">;

/** Holds a compaction back. */
export class Pacer {
  /** Whether compaction has fallen behind those who write; told by who chooses victims. */
  isBehind = false;
  readonly #clock: Clock;
  readonly #maxPerMs: number;
  readonly #floorPerMs: number;
  readonly #isForegroundWaiting: () => boolean;
  #perMs: number;
  #steppedAtMs: number;
  /** What may be taken; below zero: what was taken too early. */
  #bytes = 0;
  #filledAtMs: number;
  #lateMs = 0;
  #sliceFromMs = 0;
  #sliceToMs = 0;
  /** Looks at the clock in this slice; 0: it has not begun. */
  #sliceLooks = 0;

  /** `foregroundIsBusy`: whether calls of others wait now, as far as can be told beside late turns. */
  constructor(clock: Clock, bytesPerSecondMax: number, foregroundIsBusy = (): boolean => false) {
    this.#clock = clock;
    this.#maxPerMs = bytesPerSecondMax / 1000;
    const floor = Math.max(FLOOR_BYTES_PER_SECOND, bytesPerSecondMax / FLOOR_SHARE);
    this.#floorPerMs = Math.min(bytesPerSecondMax, floor) / 1000;
    this.#isForegroundWaiting = foregroundIsBusy;
    this.#perMs = Math.max(this.#floorPerMs, this.#maxPerMs / START_SHARE);
    this.#filledAtMs = clock.monotonicMs();
    this.#steppedAtMs = this.#filledAtMs;
  }

  /** The speed of the moment. */
  get bytesPerSecond(): number {
    return this.#perMs * 1000;
  }

  /**
   * Resolves when `bytes` more may be read or written; at once when `signal` aborts.
   * A request that is larger than what there is is granted, and paid for by the next.
   */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    await this.turn(signal);
    this.#fill();
    while (this.#bytes < 0 && !signal.aborted) {
      await this.#sleep(Math.min(SLEEP_MS_MAX, -this.#bytes / this.#perMs), signal);
      this.#fill();
    }
    this.#bytes -= bytes;
  }

  /** Whether the slice of work may go on; it begins with the first such question after a turn. */
  hasTime(): boolean {
    this.#sliceToMs = this.#clock.monotonicMs();
    if (this.#sliceLooks === 0) this.#sliceFromMs = this.#sliceToMs;
    this.#sliceLooks += 1;
    return this.#sliceLooks <= SLICE_LOOKS_MAX && this.#sliceToMs - this.#sliceFromMs < SLICE_MS;
  }

  /**
   * Leaves the event loop to others for a round, and for a rest while they work: to
   * be awaited between two slices of work.
   */
  async turn(signal?: AbortSignal): Promise<void> {
    const sliceMs = this.#sliceLooks === 0 ? 0 : this.#sliceToMs - this.#sliceFromMs;
    this.#sliceLooks = 0;
    if (sliceMs > 0 && this.#isLateBy(SHARED_MS)) {
      await this.#sleep(Math.min(REST_MS_MAX, REST_SLICES * sliceMs), signal);
    }
    // The first leads to the end of the round in which we are; the second is a whole one.
    await this.#round();
    const fromMs = this.#clock.monotonicMs();
    await this.#round();
    this.#measured(this.#clock.monotonicMs() - fromMs);
  }

  #round(): Promise<void> {
    return new Promise((resolve) => this.#clock.soon(resolve));
  }

  /** In whole units of a timer, so that what is more is lateness. */
  async #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const wholeMs = Math.max(TIMER_UNIT_MS, Math.ceil(ms));
    const fromMs = this.#clock.monotonicMs();
    await this.#clock.sleep(wholeMs, signal);
    this.#measured(this.#clock.monotonicMs() - fromMs - wholeMs - TIMER_UNIT_MS);
  }

  #measured(lateMs: number): void {
    const countedMs = Math.min(LATE_MEASURE_MS_MAX, Math.max(0, lateMs));
    this.#lateMs += (countedMs - this.#lateMs) / LATE_MEASURES;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#steppedAtMs >= STEP_MS) this.#step(nowMs);
  }

  #isLateBy(ms: number): boolean {
    return this.#lateMs > ms || this.#isForegroundWaiting();
  }

  #step(nowMs: number): void {
    this.#fill();
    this.#steppedAtMs = nowMs;
    const hurriedPerMs = this.#maxPerMs / HURRIED_FLOOR_SHARE;
    const floorPerMs = this.isBehind ? Math.max(this.#floorPerMs, hurriedPerMs) : this.#floorPerMs;
    this.#perMs = this.#isLateBy(LATE_MS)
      ? Math.max(floorPerMs, this.#perMs / 2)
      : Math.min(this.#maxPerMs, this.#perMs + this.#maxPerMs / STEP_SHARE);
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const bytes = this.#bytes + (nowMs - this.#filledAtMs) * this.#perMs;
    this.#bytes = Math.min(BURST_MS * this.#perMs, bytes);
    this.#filledAtMs = nowMs;
  }
}
