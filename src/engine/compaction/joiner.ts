/**
 * One who has asked for a compaction, and the stream of what it is told.
 *
 *   waiting   a run is under way that does not serve it: one that began for dead
 *             bytes alone, or that is being cancelled; the next one serves it
 *   served    a thorough run is under way
 *   finished  the last progress is there, and told when it is asked for
 *
 * Progress is not queued: the joiner looks at its run when it tells something, so
 * one that is slow, or never asks again, costs as much as its entry (V11). What it
 * saw of a run that it had to wait for counts as the first half of its own.
 */
import type { Clock } from "../../host/host.js";
import type { CompactionProgress } from "../store-stats.js";

/** How often something is told while the phase stays the same. */
const TELL_MS = 250;
/** And when it changes: at once, but steps that take a millisecond are not told one by one. */
const TELL_PHASE_MS = 25;

/** What is told of a run that has not begun. */
export const NOTHING_YET: CompactionProgress = {
  phase: "preparing",
  segmentsDone: 0,
  segmentsChosen: 0,
  bytesRead: 0,
  bytesWritten: 0,
  bytesReclaimed: 0,
  share: 0,
  outcome: undefined,
  why: "",
};

/** What a joiner sees of a run. */
export interface WatchedRun {
  /** The newest; its `outcome` is undefined until the run is over. */
  readonly progress: CompactionProgress;
}

/** Somebody who waits for the end of a thorough run. */
export class Joiner {
  readonly #clock: Clock;
  #run: WatchedRun | undefined;
  #isServed = false;
  /** The end of a run that it had to wait for. */
  #before: CompactionProgress | undefined;
  #final: CompactionProgress | undefined;
  #toldAtMs = 0;
  #toldPhase: CompactionProgress["phase"] | undefined;
  #wake: (() => void) | undefined;
  /** It has given up: it only waits for the end of the run that this cancelled. */
  hasLeft = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  isServedBy(run: WatchedRun): boolean {
    return this.#isServed && this.#run === run;
  }

  /** Shows it a run; with `isServed`, one whose end is its own. */
  follow(run: WatchedRun, isServed: boolean): void {
    if (this.#run !== undefined) this.#before = this.#run.progress;
    this.#run = run;
    this.#isServed = isServed;
    this.wake();
  }

  /** The run that served it is over. */
  finish(): void {
    this.#end(this.#progress());
  }

  /** There will be no end of a run for it: it gave up, or the store closes. */
  giveUp(why: string): void {
    this.#end({ ...this.#progress(), phase: "done", outcome: "cancelled", why });
  }

  /** To be called when its run may have changed its phase. */
  wake(): void {
    this.#wake?.();
  }

  /** Tells progress a few times a second, and at last the end. */
  async *told(): AsyncGenerator<CompactionProgress> {
    while (this.#final === undefined) {
      const progress = this.#progress();
      this.#toldAtMs = this.#clock.monotonicMs();
      this.#toldPhase = progress.phase;
      yield progress;
      await this.#untilNews();
    }
    yield this.#final;
  }

  #end(final: CompactionProgress): void {
    this.#final = final;
    this.wake();
  }

  #hasNews(): boolean {
    return this.#final !== undefined || this.#progress().phase !== this.#toldPhase;
  }

  async #untilNews(): Promise<void> {
    await this.#sleepUnless(() => this.#hasNews(), TELL_MS);
    await this.#sleepUnless(() => this.#final !== undefined, TELL_PHASE_MS);
  }

  /** Sleeps until so long after the last progress was told, or until it has cause to wake. */
  async #sleepUnless(hasCause: () => boolean, ms: number): Promise<void> {
    if (hasCause()) return;
    const sleep = new AbortController();
    this.#wake = () => {
      if (hasCause()) sleep.abort();
    };
    await this.#clock.sleep(this.#toldAtMs + ms - this.#clock.monotonicMs(), sleep.signal);
    this.#wake = undefined;
  }

  #progress(): CompactionProgress {
    const now = this.#run?.progress ?? NOTHING_YET;
    if (!this.#isServed) return { ...now, share: now.share / 2 };
    return this.#before === undefined ? now : added(this.#before, now);
  }
}

function added(before: CompactionProgress, now: CompactionProgress): CompactionProgress {
  return {
    ...now,
    segmentsDone: before.segmentsDone + now.segmentsDone,
    segmentsChosen: before.segmentsChosen + now.segmentsChosen,
    bytesRead: before.bytesRead + now.bytesRead,
    bytesWritten: before.bytesWritten + now.bytesWritten,
    bytesReclaimed: before.bytesReclaimed + now.bytesReclaimed,
    share: (1 + now.share) / 2,
  };
}
