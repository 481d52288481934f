/**
 * What becomes of the runs of a compaction: their figures since the opening, and
 * two lines of the log for each that is news. Of those that nobody asked for these are
 * none: one that finds nothing to do, which shows when it has chosen nothing; and one
 * for a full disk that is declined like the one before, for it comes every 10 s.
 */
import type { Log as HostLog } from "../../host/host.js";
import type { CompactionProgress, CompactionStats } from "../store-stats.js";
import type { Cause, Moment } from "./schedule.js";

/** A run under way, and then what is left of it. */
export interface Run {
  readonly extent: "due" | "thorough";
  readonly cause: Cause;
  readonly stop: AbortController;
  readonly started: Moment;
  /** The newest; its `outcome` is undefined until the run is over. */
  progress: CompactionProgress;
  /** Why it was cancelled; empty: it was not. */
  cancelledWhy: string;
  isAnnounced: boolean;
  /** Resolves when it is over, and the next one has begun if somebody waits for it. */
  over: Promise<void>;
}

/** Keeps the figures and writes the lines. */
export class RunJournal {
  readonly #log: HostLog;
  #runs = 0;
  #last: CompactionStats["last"];
  #bytesRead = 0;
  #bytesWritten = 0;
  #bytesReclaimed = 0;

  constructor(log: HostLog) {
    this.#log = log;
  }

  /** A run has something to do, or was asked for. */
  announce(run: Run): void {
    if (run.isAnnounced) return;
    run.isAnnounced = true;
    const { cause, extent } = run;
    this.#log.info({ cause, extent }, "a compaction begins");
  }

  /** A run is over; `defect` is what it threw, though it must not. */
  ended(run: Run, now: Moment, defect: unknown): void {
    const { progress, started } = run;
    const isNews = this.#isNews(run);
    this.#runs += 1;
    this.#last = { startedAtMs: started.wallMs, endedAtMs: now.wallMs, progress };
    this.#bytesRead += progress.bytesRead;
    this.#bytesWritten += progress.bytesWritten;
    this.#bytesReclaimed += progress.bytesReclaimed;
    const milliseconds = Math.round(now.monotonicMs - started.monotonicMs);
    if (isNews) this.#logEnd(run, milliseconds, defect);
    else this.#logIdle(run, milliseconds);
  }

  /** The figures, those of the run under way included. */
  figures(
    current: CompactionProgress | undefined,
  ): Pick<CompactionStats, "runs" | "last" | "bytesRead" | "bytesWritten" | "bytesReclaimed"> {
    return {
      runs: this.#runs,
      last: this.#last,
      bytesRead: this.#bytesRead + (current?.bytesRead ?? 0),
      bytesWritten: this.#bytesWritten + (current?.bytesWritten ?? 0),
      bytesReclaimed: this.#bytesReclaimed + (current?.bytesReclaimed ?? 0),
    };
  }

  #isNews({ isAnnounced, cause, progress }: Run): boolean {
    if (isAnnounced) return true;
    if (cause !== "disk space" || progress.outcome !== "declined") {
      return progress.outcome !== "nothing-to-do";
    }
    return this.#last?.progress.outcome !== "declined";
  }

  #logIdle({ cause, progress }: Run, milliseconds: number): void {
    const { outcome } = progress;
    this.#log.debug({ cause, outcome, milliseconds }, "a compaction did nothing");
  }

  #logEnd(run: Run, milliseconds: number, defect: unknown): void {
    const log = this.#log;
    const { outcome, why, segmentsDone, bytesRead, bytesWritten, bytesReclaimed } = run.progress;
    this.announce(run);
    const fields = {
      outcome,
      ...(why === "" ? {} : { why }),
      milliseconds,
      segments: segmentsDone,
      bytesRead,
      bytesWritten,
      bytesReclaimed,
    };
    if (defect !== undefined) log.error({ err: defect, ...fields }, "a compaction met a defect");
    else if (outcome === "failed" || outcome === "declined") log.warn(fields, "a compaction ended");
    else log.info(fields, "a compaction ended");
  }
}
