/** The new entries, sorted: a sequence that a cursor may keep, since it never changes. */
import type { Sequence } from "./run.js";

/** A sorted copy of the delta. */
export class SortedDelta implements Sequence {
  readonly sharedBytes: number;
  readonly from = 0;
  readonly end: number;
  readonly #entries: Uint32Array;

  /** The first `count` of `entries` ascend by key. */
  constructor(entries: Uint32Array, count: number, sharedBytes: number) {
    this.#entries = entries;
    this.end = count;
    this.sharedBytes = sharedBytes;
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#entries.byteLength;
  }

  at(position: number): number {
    return this.#entries[position]!;
  }
}
