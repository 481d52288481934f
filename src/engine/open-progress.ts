/** How far an opening is, and what it found: counted here, logged every two seconds, kept for stats. */
import type { Host } from "../host/host.js";
import type { OpenStats } from "./store-stats.js";

/** How often the log says how far the opening is. */
const REPORT_INTERVAL_MS = 2000;

/** The counts of one opening. */
export class OpenProgress {
  readonly #host: Host;
  readonly #segments: number;
  readonly #startMs: number;
  #reportedMs: number;
  #segmentsDone = 0;
  /** Entries offered to the index so far. */
  entries = 0;
  wasClean = false;
  fromCheckpoint = false;
  segmentsFromHints = 0;
  segmentsScanned = 0;
  bytesScanned = 0;
  tornBytesCut = 0;
  bytesWrittenAgain = 0;

  constructor(host: Host, segments: number) {
    this.#host = host;
    this.#segments = segments;
    this.#startMs = host.clock.monotonicMs();
    this.#reportedMs = this.#startMs;
  }

  /** One more segment is read. */
  segmentDone(): void {
    this.#segmentsDone += 1;
    const nowMs = this.#host.clock.monotonicMs();
    if (nowMs - this.#reportedMs < REPORT_INTERVAL_MS) return;
    this.#reportedMs = nowMs;
    const { log } = this.#host;
    const { entries } = this;
    log.info({ segments: this.#segmentsDone, of: this.#segments, entries }, "opening");
  }

  /** The counts as the store's figures show them. */
  toStats(strayFiles: readonly string[]): OpenStats {
    return {
      milliseconds: Math.round(this.#host.clock.monotonicMs() - this.#startMs),
      wasClean: this.wasClean,
      segments: this.#segments,
      segmentsFromHints: this.segmentsFromHints,
      segmentsScanned: this.segmentsScanned,
      fromCheckpoint: this.fromCheckpoint,
      entriesLoaded: this.entries,
      bytesScanned: this.bytesScanned,
      tornBytesCut: this.tornBytesCut,
      bytesWrittenAgain: this.bytesWrittenAgain,
      strayFiles,
    };
  }
}
