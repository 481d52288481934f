/**
 * A compaction that a test drives: it goes on until it is told to end, may be
 * joined, and is cancelled when all who asked have given up, as `Store.compact`
 * promises.
 */
import type { Store } from "../../src/engine/store.js";
import type {
  CompactionOutcome,
  CompactionProgress,
  CompactionStats,
} from "../../src/engine/store-stats.js";

/** What `Store.compact` takes. */
export interface CompactOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A run that has just begun, but for `differences`. */
export function progressOf(differences: Partial<CompactionProgress>): CompactionProgress {
  return {
    phase: "preparing",
    segmentsDone: 0,
    segmentsChosen: 0,
    bytesRead: 0,
    bytesWritten: 0,
    bytesReclaimed: 0,
    share: 0,
    outcome: undefined,
    why: "",
    ...differences,
  };
}

/** One run. */
export class FakeRun {
  #progress = progressOf({});
  readonly #wakers = new Set<() => void>();
  /** How many follow it. */
  askers = 0;

  get outcome(): CompactionOutcome | undefined {
    return this.#progress.outcome;
  }

  update(differences: Partial<CompactionProgress>): void {
    this.#progress = { ...this.#progress, ...differences };
    this.#wake();
  }

  /** Does nothing if it is over. */
  end(outcome: CompactionOutcome, why = ""): void {
    if (this.outcome === undefined) this.update({ phase: "done", share: 1, outcome, why });
  }

  async *compact({ signal }: CompactOptions = {}): AsyncGenerator<CompactionProgress> {
    this.askers += 1;
    const wake = () => this.#wake();
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        const told = this.#progress;
        yield told;
        if (told.outcome !== undefined) return;
        while (told === this.#progress && signal?.aborted !== true) await this.#change();
        if (signal?.aborted === true) return;
      }
    } finally {
      signal?.removeEventListener("abort", wake);
      this.askers -= 1;
      if (this.askers === 0) this.end("cancelled");
    }
  }

  /** Resolves when `holds`; throws if it never does. */
  async until(holds: () => boolean): Promise<void> {
    for (let look = 0; look < 4000; look += 1) {
      if (holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error("what was waited for has not happened");
  }

  #wake(): void {
    for (const wake of this.#wakers) wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakers.delete(wake);
        resolve();
      };
      this.#wakers.add(wake);
    });
  }
}

/** The store with another `compact`, and with other figures of it. */
export function compacting(
  store: Store,
  run: (options: CompactOptions) => AsyncIterable<CompactionProgress>,
  figures: () => Partial<CompactionStats> = () => ({}),
): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "compact") return run;
      if (name === "stats") {
        const known = target.stats();
        return () => ({ ...known, compaction: { ...known.compaction, ...figures() } });
      }
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
