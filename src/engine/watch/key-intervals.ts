/**
 * Which of many ranges a key lies in: an interval tree that is built once and asked
 * often. What is asked costs O(log n) and the ranges found, so that a thousand
 * watchers of other keys cost a writer next to nothing.
 *
 *     sorted by `low`, seen as a balanced tree over the array: the middle is the root
 *     farthest[middle]: the highest `high` below that root; undefined: one has none
 */
import { compareKeys, type KeyBounds } from "../key-range.js";

/** Something with a range of keys. */
export interface Ranged {
  readonly bounds: KeyBounds;
}

/** Ranges that do not change. */
export class KeyIntervals<Item extends Ranged> {
  readonly #items: readonly Item[];
  readonly #farthest: (Uint8Array | undefined)[];

  constructor(items: Iterable<Item>) {
    this.#items = [...items].sort((one, other) => compareLows(one.bounds.low, other.bounds.low));
    this.#farthest = new Array<Uint8Array | undefined>(this.#items.length);
    this.#measure(0, this.#items.length);
  }

  /** Calls `found` with every item whose range has the key. */
  find(key: Uint8Array, found: (item: Item) => void): void {
    this.#find(0, this.#items.length, key, found);
  }

  /** Notes the farthest end of each subtree, and answers that of this one. */
  #measure(from: number, to: number): Uint8Array | undefined {
    const middle = (from + to) >>> 1;
    let farthest = (this.#items[middle] as Item | undefined)?.bounds.high;
    if (from >= to) return farthest;
    for (const [start, end] of [
      [from, middle],
      [middle + 1, to],
    ] as const) {
      if (start >= end) continue;
      const below = this.#measure(start, end);
      if (farthest === undefined || below === undefined) farthest = undefined;
      else if (compareKeys(below, farthest) > 0) farthest = below;
    }
    this.#farthest[middle] = farthest;
    return farthest;
  }

  #find(from: number, to: number, key: Uint8Array, found: (item: Item) => void): void {
    if (from >= to) return;
    const middle = (from + to) >>> 1;
    const farthest = this.#farthest[middle];
    if (farthest !== undefined && compareKeys(farthest, key) <= 0) return;
    this.#find(from, middle, key, found);
    const item = this.#items[middle] as Item;
    const { low, high } = item.bounds;
    if (low !== undefined && compareKeys(low, key) > 0) return;
    if (high === undefined || compareKeys(high, key) > 0) found(item);
    this.#find(middle + 1, to, key, found);
  }
}

function compareLows(one: Uint8Array | undefined, other: Uint8Array | undefined): number {
  if (one === undefined || other === undefined) {
    return Number(one !== undefined) - Number(other !== undefined);
  }
  return compareKeys(one, other);
}
