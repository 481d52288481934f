/**
 * Compaction as its users see it: one run at a time, that may be asked for,
 * joined, watched and cancelled; or begun by the schedule.
 *
 *   idle --asked for, or scheduled--> running --its end--> idle
 *                                       |
 *                                       +--somebody waits--> running, thoroughly
 *
 * Invariants
 *  1. One run at a time. Who asks while a thorough one is under way joins it; who
 *     asks during another, or during one that is being cancelled, gets the next.
 *  2. A run that was asked for is cancelled when all whom it serves have left; one
 *     that the schedule began is not.
 *  3. A cancelled run is awaited: what begins next meets nothing of it.
 *  4. Each run is told of once: to those it serves, in the figures, in the log.
 */
import { KvixError } from "../../base/kvix-error.js";
import type { Clock, Log as HostLog } from "../../host/host.js";
import type { CompactionOutcome, CompactionProgress, CompactionStats } from "../store-stats.js";
import { Joiner, NOTHING_YET } from "./joiner.js";
import { type Run, RunJournal } from "./run-journal.js";
import { type Cause, type Moment, Schedule } from "./schedule.js";
import { parseWindow } from "./window.js";

/** How many may have asked and not left. */
const JOINERS_MAX = 1024;

/** What ends a run. */
export interface RunEnd {
  readonly outcome: CompactionOutcome;
  readonly why: string;
}

/** What a run tells of itself while it goes on. */
export type RunReport = Omit<CompactionProgress, "outcome" | "why">;

/** One run: chooses, copies, commits and removes until nothing is worth it. */
export interface CompactionRun {
  /**
   * Never rejects; a failure is an outcome. Ends within a second after `signal`
   * aborts, with nothing left behind that the next opening does not remove.
   * `report` is called whenever something has changed.
   */
  run(
    extent: "due" | "thorough",
    signal: AbortSignal,
    report: (progress: RunReport) => void,
  ): Promise<RunEnd>;
  /** Whether dead bytes have passed their share: cheap, asked often. */
  isDue(): boolean;
  /** Segments removed so far. */
  readonly segmentsRemoved: number;
  readonly pinnedBytes: number;
  readonly historyFloor: number;
}

/** What the compactor works with. */
export interface CompactorContext {
  readonly clock: Clock;
  readonly log: HostLog;
  readonly run: CompactionRun;
  readonly mode: "scheduled" | "manual";
  readonly intervalMs: number;
  /** Hours of the day, UTC: "22-6"; empty: all. */
  readonly window: string;
}

/** Runs compactions. */
export class Compactor {
  readonly #context: CompactorContext;
  readonly #schedule: Schedule;
  readonly #journal: RunJournal;
  readonly #stop = new AbortController();
  readonly #joiners = new Set<Joiner>();
  #ticking: Promise<void> | undefined;
  #run: Run | undefined;

  constructor(context: CompactorContext) {
    const window = parseWindow(context.window);
    if (window === undefined) throw new Error("the window was not checked");
    this.#context = context;
    this.#journal = new RunJournal(context.log);
    const openedAtMs = context.clock.monotonicMs();
    this.#schedule = new Schedule({ intervalMs: context.intervalMs, window, openedAtMs });
  }

  start(): void {
    if (this.#context.mode === "scheduled") this.#ticking ??= this.#tick();
  }

  /** Cancels the run under way, and resolves when it is over. Nothing begins after. */
  async stop(): Promise<void> {
    this.#stop.abort();
    if (this.#run !== undefined) this.#cancel(this.#run, "the store is closing");
    await this.#run?.over;
    await this.#ticking;
  }

  /** The disk is full: a run begins as soon as one may, unless compaction is manual. Idempotent. */
  nudge(): void {
    this.#schedule.nudge();
  }

  /**
   * See Store.compact. The request counts from the first `next`. Throws
   * STORE_CLOSING, and OVERLOADED when 1,024 have asked already.
   */
  async *compact(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<CompactionProgress> {
    const { signal } = options;
    const joiner = this.#join(signal?.aborted === true);
    const leave = (): void => this.#leave(joiner);
    signal?.addEventListener("abort", leave, { once: true });
    try {
      yield* joiner.told();
    } finally {
      signal?.removeEventListener("abort", leave);
      leave();
    }
  }

  stats(): CompactionStats {
    const { mode, run } = this.#context;
    const isScheduled = mode === "scheduled" && !this.#stop.signal.aborted;
    const current = this.#run?.progress;
    const idle = isScheduled ? "idle" : "off";
    return {
      state: current === undefined ? idle : "running",
      current,
      nextAtMs: isScheduled ? this.#schedule.nextAtMs(this.#now()) : 0,
      ...this.#journal.figures(current),
      segmentsRemoved: run.segmentsRemoved,
      pinnedBytes: run.pinnedBytes,
      historyFloor: run.historyFloor,
    };
  }

  #now(): Moment {
    const { clock } = this.#context;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  async #tick(): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#stop;
    for (;;) {
      await clock.sleep(this.#schedule.tickMs, signal);
      if (signal.aborted) return;
      const now = this.#now();
      if (this.#run !== undefined) {
        this.#endAtWindow(this.#run, now);
        continue;
      }
      const cause = this.#schedule.next(now, () => this.#isDue(now));
      if (cause !== undefined) this.#begin(cause === "interval" ? "thorough" : "due", cause);
    }
  }

  /** A defect here must end neither the schedule nor the process: it is put off like a run that failed. */
  #isDue({ monotonicMs }: Moment): boolean {
    const { run, log } = this.#context;
    try {
      return run.isDue();
    } catch (err) {
      log.error({ err }, "whether a compaction is due could not be found out");
      const failed = { cause: "dead bytes", outcome: "failed", bytesReclaimed: 0 } as const;
      this.#schedule.ended(monotonicMs, failed);
      return false;
    }
  }

  /** The hours bind what nobody asked for; who has joined a run has asked for it. */
  #endAtWindow(run: Run, now: Moment): void {
    if (this.#joiners.size > 0 || this.#schedule.mayGoOn(run.cause, now.wallMs)) return;
    this.#cancel(run, "the hours of its window are over");
  }

  #join(hasGivenUp: boolean): Joiner {
    const { clock } = this.#context;
    if (this.#stop.signal.aborted) throw new KvixError("STORE_CLOSING");
    if (this.#joiners.size >= JOINERS_MAX) {
      throw new KvixError("OVERLOADED", `${JOINERS_MAX} wait for the compaction`, {
        outcome: "none",
      });
    }
    const joiner = new Joiner(clock);
    if (hasGivenUp) {
      joiner.giveUp("the request was given up");
      return joiner;
    }
    this.#joiners.add(joiner);
    if (this.#run === undefined) this.#begin("thorough", "asked for");
    else if (!this.#run.stop.signal.aborted) {
      joiner.follow(this.#run, this.#run.extent === "thorough");
    }
    return joiner;
  }

  #leave(joiner: Joiner): void {
    if (joiner.hasLeft || !this.#joiners.has(joiner)) return;
    joiner.hasLeft = true;
    const run = this.#run;
    if (run?.cause === "asked for" && joiner.isServedBy(run)) {
      const isServing = (each: Joiner): boolean => !each.hasLeft && each.isServedBy(run);
      if (![...this.#joiners].some(isServing)) {
        this.#cancel(run, "all who asked for it have given up");
        return;
      }
    }
    this.#joiners.delete(joiner);
    joiner.giveUp("the request was given up");
  }

  #cancel(run: Run, why: string): void {
    if (run.cancelledWhy === "") run.cancelledWhy = why;
    run.stop.abort();
  }

  /** Begins a run, which serves all who wait. */
  #begin(extent: Run["extent"], cause: Cause): void {
    const run: Run = {
      extent,
      cause,
      stop: new AbortController(),
      started: this.#now(),
      progress: NOTHING_YET,
      cancelledWhy: "",
      isAnnounced: false,
      over: Promise.resolve(),
    };
    this.#run = run;
    this.#schedule.began();
    for (const joiner of this.#joiners) joiner.follow(run, true);
    if (cause === "asked for") this.#journal.announce(run);
    run.over = this.#carryOut(run);
  }

  async #carryOut(run: Run): Promise<void> {
    let end: RunEnd;
    let defect: unknown;
    try {
      const report = (progress: RunReport): void => this.#report(run, progress);
      end = await this.#context.run.run(run.extent, run.stop.signal, report);
    } catch (error) {
      defect = error;
      end = { outcome: "failed", why: new KvixError("INTERNAL_BUG").message };
    }
    this.#end(run, end, defect);
    if (this.#joiners.size > 0) this.#begin("thorough", "asked for");
  }

  #report(run: Run, report: RunReport): void {
    // The end is told with its outcome, and not before.
    const phase = report.phase === "done" ? run.progress.phase : report.phase;
    const isOtherPhase = phase !== run.progress.phase;
    run.progress = { ...report, phase, outcome: undefined, why: "" };
    if (report.segmentsChosen > 0) this.#journal.announce(run);
    if (isOtherPhase) for (const joiner of this.#joiners) joiner.wake();
  }

  #end(run: Run, end: RunEnd, defect: unknown): void {
    const { outcome } = end;
    const isWhole = outcome === "completed" || outcome === "nothing-to-do";
    const why = outcome === "cancelled" && run.cancelledWhy !== "" ? run.cancelledWhy : end.why;
    const share = isWhole ? 1 : run.progress.share;
    run.progress = { ...run.progress, phase: "done", share, outcome, why };
    this.#run = undefined;
    const now = this.#now();
    const { bytesReclaimed } = run.progress;
    this.#schedule.ended(now.monotonicMs, { cause: run.cause, outcome, bytesReclaimed });
    this.#journal.ended(run, now, defect);
    for (const joiner of this.#joiners) this.#tellEnd(run, joiner);
  }

  #tellEnd(run: Run, joiner: Joiner): void {
    const isServed = joiner.isServedBy(run);
    if (isServed) joiner.finish();
    else if (this.#stop.signal.aborted) joiner.giveUp("the store is closing");
    else return;
    this.#joiners.delete(joiner);
  }
}
