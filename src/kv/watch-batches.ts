/**
 * What happened together, put together again: a commit whose changes come in several
 * parts is told as one batch.
 *
 * Bounded by what a commit may be: at most 10,000 changes, and 128 MiB.
 */
import type { WatchBatch, WatchEvent } from "./watches.js";

/** One part, as it comes. */
export interface WatchPart {
  readonly events: readonly WatchEvent[];
  readonly version: number;
  readonly isCurrent: boolean;
  /** The next part goes on with the same commit. */
  readonly continues: boolean;
}

/** Gathers parts. */
export class WatchBatches {
  #events: WatchEvent[] = [];
  #isRestart = false;

  /** The batch that a part completes, if it does. */
  take(part: WatchPart): WatchBatch | undefined {
    if (part.continues) {
      this.#events.push(...part.events);
      return undefined;
    }
    const events = this.#events.length === 0 ? part.events : [...this.#events, ...part.events];
    const { version, isCurrent } = part;
    const batch = { events, version, isCurrent, isRestart: this.#isRestart };
    this.#events = [];
    this.#isRestart = false;
    return batch;
  }

  /** What comes next is told from its beginning. `isRestart`: and that is to be said. */
  restart(isRestart: boolean): void {
    this.#events = [];
    this.#isRestart ||= isRestart;
  }
}
