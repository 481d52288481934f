/**
 * Runs becoming one run, some entries at a time.
 *
 *     inputs  [....taken off....|  the rest, greater keys  ]  x k
 *     output  [ what was taken off, in order ]
 *
 * Between steps output and inputs together name every entry exactly once, so
 * cursors read them all as they stand. What was removed meanwhile is dropped on
 * the way: that, and only that, sets its entry number free.
 */

import { GATHERED_BYTES, KeyMerge } from "./key-merge.js";
import type { KeyTable } from "./key-table.js";
import type { PagePool } from "./page-pool.js";
import { Run } from "./run.js";
import type { StepMeter } from "./step-meter.js";

const AHEAD_MAX = 128;
/** Key bytes compared in a step, where keys are long, before it ends early. */
const COMPARED_BYTES = 256 * 1024;

/** Bytes of scratch that a merge of so many runs has. */
export function scratchBytesOf(runs: number): number {
  return runs * AHEAD_MAX * GATHERED_BYTES;
}

/** A merge under way; of a single run: a copy without what was removed. */
export class RunMerge {
  readonly output: Run;
  readonly #inputs: readonly Run[];
  readonly #keys: KeyTable;
  readonly #meter: StepMeter;
  readonly #merge: KeyMerge;

  constructor(keys: KeyTable, pool: PagePool, inputs: readonly Run[], meter: StepMeter) {
    this.#keys = keys;
    this.#inputs = inputs;
    this.#meter = meter;
    const sources = inputs.map((run) => ({ sequence: run, position: run.from }));
    this.#merge = new KeyMerge(keys, sources, 1, AHEAD_MAX, meter);
    this.output = new Run(pool, this.#merge.sharedBytes);
  }

  /** Bytes of scratch. */
  get bytes(): number {
    return this.#merge.bytes;
  }

  /** What is left of the inputs, and the output so far. */
  get sequences(): readonly Run[] {
    return [...this.#inputs, this.output];
  }

  /**
   * Takes at most `entries` numbers off the inputs. Answers how many of them
   * were dropped, or ~that number (negative) when all is done.
   */
  step(entries: number): number {
    const merge = this.#merge;
    const table = this.#keys.entries;
    const comparedMax = this.#keys.comparedBytes + COMPARED_BYTES;
    let left = entries;
    let dropped = 0;
    while (left > 0 && this.#keys.comparedBytes < comparedMax) {
      const source = merge.source;
      if (source < 0) {
        const before = left;
        left = this.#dropRest(left);
        dropped += before - left;
        if (left > 0) return ~dropped;
        break;
      }
      const entry = merge.entry;
      const taken = this.#inputs[source]!.shift();
      left--;
      if (taken !== entry || !table.isLive(entry)) {
        // Not read ahead since it was removed before, or removed since.
        table.free(taken);
        dropped++;
      } else {
        this.output.push(taken);
        this.#meter.add(4);
      }
      if (taken === entry) merge.advance();
    }
    return dropped;
  }

  /** No live entry is left to read: drops what the inputs still name. */
  #dropRest(most: number): number {
    let left = most;
    for (const run of this.#inputs) {
      while (left > 0 && run.length > 0) {
        this.#keys.entries.free(run.shift());
        left--;
      }
    }
    return left;
  }
}
