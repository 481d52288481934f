/**
 * Compaction as its users see it: one run at a time, that may be asked for,
 * joined, watched and cancelled; or begun by the schedule.
 */
import type { Clock, Log as HostLog } from "../../host/host.js";
import type { CompactionOutcome, CompactionProgress, CompactionStats } from "../store-stats.js";

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

  constructor(context: CompactorContext) {
    this.#context = context;
  }

  start(): void {}

  /** Cancels the run under way, and resolves when it is over. */
  async stop(): Promise<void> {}

  async *compact(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<CompactionProgress> {
    const signal = options.signal ?? new AbortController().signal;
    let last: RunReport = {
      phase: "preparing",
      segmentsDone: 0,
      segmentsChosen: 0,
      bytesRead: 0,
      bytesWritten: 0,
      bytesReclaimed: 0,
      share: 0,
    };
    const end = await this.#context.run.run("thorough", signal, (report) => {
      last = report;
    });
    yield { ...last, ...end, phase: "done", share: 1 };
  }

  stats(): CompactionStats {
    const { segmentsRemoved, pinnedBytes, historyFloor } = this.#context.run;
    return {
      state: "off",
      current: undefined,
      runs: 0,
      last: undefined,
      nextAtMs: 0,
      bytesRead: 0,
      bytesWritten: 0,
      bytesReclaimed: 0,
      segmentsRemoved,
      pinnedBytes,
      historyFloor,
    };
  }
}
