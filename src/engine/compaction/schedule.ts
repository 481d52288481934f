/**
 * When a compaction begins by itself. It holds no clock: it is asked with the
 * time, about once a second, and told how each run ended.
 *
 *   "disk space"  somebody said that the disk is full: without regard to the
 *                 window, and to a back-off beyond 10 s
 *   "interval"    so long after the end of the last run, or after the opening
 *   "dead bytes"  they have passed their share, and no back-off holds it up
 *
 * Invariants
 *  1. Nothing begins in the first minute: whoever starts many stores, or one over
 *     and over, does not start as many compactions.
 *  2. A run that was declined, failed, or began for dead bytes and got nothing back
 *     puts the next one for dead bytes off: for a minute, then for twice as long each
 *     time, up to the interval. One that got something back ends that. So what cannot
 *     be compacted now is not tried all the time.
 *  3. Distances are measured on the monotonic clock, so no jump of the wall clock
 *     makes a run come sooner or twice; it only moves the window of hours.
 */
import type { CompactionOutcome } from "../store-stats.js";
import type { DailyWindow } from "./window.js";

/** How long nothing begins after the opening. */
const QUIET_MS = 60_000;
/** And at most this part of the interval, so that a short one is short from the start. */
const QUIET_INTERVAL_SHARE = 10;
/** The first back-off. */
const BACK_OFF_MS = 60_000;
/** How much of a back-off a full disk waits for. */
const NUDGED_BACK_OFF_MS_MAX = 10_000;
/** How often the schedule is asked at most and at least. */
const TICK_MS_MIN = 10;
const TICK_MS_MAX = 1000;

/** What the schedule goes by. */
export interface ScheduleOptions {
  readonly intervalMs: number;
  readonly window: DailyWindow;
  /** Monotonic. */
  readonly openedAtMs: number;
}

/** One moment on both clocks. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** Why a run begins by itself. */
export type ScheduledCause = "disk space" | "interval" | "dead bytes";

/** Why a run begins. */
export type Cause = ScheduledCause | "asked for";

/** A run that is over, as far as it matters for the next. */
export interface EndedRun {
  readonly cause: Cause;
  readonly outcome: CompactionOutcome;
  readonly bytesReclaimed: number;
}

/** Says when. */
export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #quietUntilMs: number;
  #endedAtMs: number;
  #intervalFromMs: number;
  #backOffMs = 0;
  #isNudged = false;

  constructor(options: ScheduleOptions) {
    const { intervalMs, openedAtMs } = options;
    this.#options = options;
    this.#quietUntilMs = openedAtMs + Math.min(QUIET_MS, intervalMs / QUIET_INTERVAL_SHARE);
    this.#endedAtMs = openedAtMs;
    this.#intervalFromMs = openedAtMs;
  }

  /** How often `next` is to be asked: every second, or more often for a short interval. */
  get tickMs(): number {
    const shareMs = this.#options.intervalMs / QUIET_INTERVAL_SHARE;
    return Math.max(TICK_MS_MIN, Math.min(TICK_MS_MAX, shareMs));
  }

  /** The disk is full: a run begins as soon as one may. Again before that: nothing more. */
  nudge(): void {
    this.#isNudged = true;
  }

  /** What is to begin now, if no run is under way. `isDue` is asked only if its answer counts. */
  next(now: Moment, isDue: () => boolean): ScheduledCause | undefined {
    const { window } = this.#options;
    if (now.monotonicMs < this.#quietUntilMs) return undefined;
    const sinceEndMs = now.monotonicMs - this.#endedAtMs;
    if (this.#isNudged && sinceEndMs >= Math.min(this.#backOffMs, NUDGED_BACK_OFF_MS_MAX)) {
      return "disk space";
    }
    if (!window.isInside(now.wallMs)) return undefined;
    if (now.monotonicMs >= this.#intervalEndMs()) return "interval";
    return sinceEndMs >= this.#backOffMs && isDue() ? "dead bytes" : undefined;
  }

  /** Whether a run that began for `cause` may still go on. */
  mayGoOn(cause: Cause, wallMs: number): boolean {
    const isBound = cause === "interval" || cause === "dead bytes";
    return !isBound || this.#options.window.isInside(wallMs);
  }

  /** A run has begun, for whatever reason: it does what a nudge asked for. */
  began(): void {
    this.#isNudged = false;
  }

  /** A run is over, whoever asked for it. */
  ended(monotonicMs: number, run: EndedRun): void {
    const { cause, outcome, bytesReclaimed } = run;
    this.#endedAtMs = monotonicMs;
    // A cancelled one has not done its work: what the window cut short goes on when it opens.
    if (outcome !== "cancelled") this.#intervalFromMs = monotonicMs;
    if (outcome === "declined" || outcome === "failed") this.#backOff();
    else if (bytesReclaimed > 0) this.#backOffMs = 0;
    else if (outcome === "cancelled") return;
    else if (cause === "dead bytes") this.#backOff();
    else if (cause === "disk space") {
      this.#backOffMs = Math.max(this.#backOffMs, NUDGED_BACK_OFF_MS_MAX);
    }
  }

  /** When the interval is over and the window open, on the wall clock. */
  nextAtMs(now: Moment): number {
    const waitMs = Math.max(0, this.#intervalEndMs() - now.monotonicMs);
    return Math.ceil(this.#options.window.nextStartMs(now.wallMs + waitMs));
  }

  #intervalEndMs(): number {
    return Math.max(this.#quietUntilMs, this.#intervalFromMs + this.#options.intervalMs);
  }

  #backOff(): void {
    const nextMs = Math.max(BACK_OFF_MS, 2 * this.#backOffMs);
    this.#backOffMs = Math.min(nextMs, this.#options.intervalMs);
  }
}
