/** A compactor over runs that do nothing but what a test tells them, on a simulated clock. */
import { strict as assert } from "node:assert";
import {
  type CompactionRun,
  Compactor,
  type CompactorContext,
  type RunEnd,
  type RunReport,
} from "../../src/engine/compaction/compactor.js";
import type { CompactionProgress } from "../../src/engine/store-stats.js";
import { SimClock } from "./sim-clock.js";
import { SimLog } from "./sim-host.js";

/** How long a fake run takes to end once it is cancelled. */
export const cancelMs = 400;

/** One call of `run`. */
export interface FakeCall {
  readonly extent: "due" | "thorough";
  readonly signal: AbortSignal;
  readonly report: (changes: Partial<RunReport>) => void;
  readonly end: (end: RunEnd) => void;
  readonly fail: (error: Error) => void;
}

const nothing: RunReport = {
  phase: "preparing",
  segmentsDone: 0,
  segmentsChosen: 0,
  bytesRead: 0,
  bytesWritten: 0,
  bytesReclaimed: 0,
  share: 0,
};

/** Runs that wait for the test. */
export class FakeRun implements CompactionRun {
  readonly calls: FakeCall[] = [];
  readonly segmentsRemoved = 3;
  readonly pinnedBytes = 4;
  readonly historyFloor = 5;
  /** What `isDue` answers, and how often it was asked. */
  due = false;
  asked = 0;
  /** What `isDue` throws instead, though it must not. */
  defect: Error | undefined;
  /** How runs end that the test does not want to see; undefined: they wait. */
  always: RunEnd | undefined;
  /** Runs under way, now and at most. */
  running = 0;
  runningMax = 0;
  readonly #clock: SimClock;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  /** The newest call. */
  get call(): FakeCall {
    const call = this.calls.at(-1);
    assert.ok(call, "a run has begun");
    return call;
  }

  isDue(): boolean {
    this.asked += 1;
    if (this.defect !== undefined) throw this.defect;
    return this.due;
  }

  async run(
    extent: FakeCall["extent"],
    signal: AbortSignal,
    report: (progress: RunReport) => void,
  ): Promise<RunEnd> {
    this.running += 1;
    this.runningMax = Math.max(this.runningMax, this.running);
    try {
      return await new Promise<RunEnd>((resolve, reject) => {
        let progress = nothing;
        this.calls.push({
          extent,
          signal,
          report: (changes) => {
            progress = { ...progress, ...changes };
            report(progress);
          },
          end: resolve,
          fail: reject,
        });
        if (this.always !== undefined) resolve(this.always);
        signal.addEventListener("abort", () => {
          void this.#clock
            .sleep(cancelMs)
            .then(() => resolve({ outcome: "cancelled", why: "the signal" }));
        });
      });
    } finally {
      this.running -= 1;
    }
  }
}

/** Somebody who reads a stream of progress. */
export class Reader {
  readonly told: CompactionProgress[] = [];
  error: unknown;
  isOver = false;

  constructor(stream: AsyncIterable<CompactionProgress>) {
    void this.#read(stream);
  }

  get last(): CompactionProgress | undefined {
    return this.told.at(-1);
  }

  async #read(stream: AsyncIterable<CompactionProgress>): Promise<void> {
    try {
      for await (const progress of stream) this.told.push(progress);
    } catch (error) {
      this.error = error;
    }
    this.isOver = true;
  }
}

/** A compactor with all that a test looks at. */
export class FakeCompaction {
  readonly clock = new SimClock();
  readonly log = new SimLog();
  readonly run = new FakeRun(this.clock);
  readonly compactor: Compactor;

  constructor(options: Partial<CompactorContext> = {}) {
    const { clock, log, run } = this;
    const standard = { mode: "manual", intervalMs: 5 * 3_600_000, window: "" } as const;
    this.compactor = new Compactor({ clock, log, run, ...standard, ...options });
    this.compactor.start();
  }

  /** Somebody asks, and reads all that is told. */
  async ask(signal?: AbortSignal): Promise<Reader> {
    const reader = new Reader(this.compactor.compact({ signal }));
    await this.clock.settle();
    return reader;
  }

  /** The lines of the log, as level, message and outcome. */
  lines(): string[] {
    return this.log.lines.map(({ level, fields, message }) => {
      const more = fields["outcome"] ?? fields["cause"] ?? "";
      return `${level}: ${message}: ${String(more)}`;
    });
  }
}
