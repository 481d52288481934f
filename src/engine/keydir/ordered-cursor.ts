/**
 * A walk over the entries in the order of their keys, up or down.
 *
 * It stays right while keys are put and removed between two calls:
 *   1. What next() answers lives at that moment.
 *   2. Keys strictly ascend (descend), so none comes twice.
 *   3. A key that was there when the walk began, and stays, is visited.
 * A key put after the walk began may be visited or not.
 *
 * The walk reads the sequences as they stand; when a seal or a merge has
 * changed them, it seeks again behind the last key it answered.
 *
 * Cost: a seek is a binary search in each sequence, and sorting the delta
 * (at most 1,024 entries) if it grew since the last seek: O(log^2 n + delta).
 * A step is O(log of the number of sequences); removed entries that no merge
 * has dropped yet are passed over at the price of one bit each.
 */
import { NO_ENTRY } from "./entry-table.js";
import { KeyMerge, type MergeSource } from "./key-merge.js";
import type { KeyOrder } from "./key-order.js";
import type { KeyTable } from "./key-table.js";
import type { Sequence } from "./run.js";

const AHEAD_MAX = 32;

/** Answers entries in key order. */
export interface OrderedCursor {
  /** The next entry, or NO_ENTRY at the end, and from then on. */
  next(): number;
}

/** Where a walk begins, and which way it goes. */
export interface WalkStart {
  /** Absent: at the first key, or the last. */
  readonly key: Uint8Array | undefined;
  /** Whether `key` itself is visited. */
  readonly inclusive: boolean;
  /** 1 ascends, -1 descends. */
  readonly step: 1 | -1;
}

/** The walk. */
export class OrderWalk implements OrderedCursor {
  readonly #order: KeyOrder;
  readonly #keys: KeyTable;
  readonly #step: 1 | -1;
  /** Go on behind this key; the bytes are the walk's own. */
  #key: Uint8Array;
  #keyBytes: number;
  #hasKey: boolean;
  #inclusive: boolean;
  #epoch = -1;
  #merge: KeyMerge | undefined;
  #hasEnded = false;

  constructor(order: KeyOrder, keys: KeyTable, start: WalkStart) {
    this.#order = order;
    this.#keys = keys;
    this.#step = start.step;
    this.#key = new Uint8Array(Math.max(32, start.key?.length ?? 0));
    this.#key.set(start.key ?? []);
    this.#keyBytes = start.key?.length ?? 0;
    this.#hasKey = start.key !== undefined;
    this.#inclusive = start.inclusive;
    this.#seek();
  }

  next(): number {
    if (this.#hasEnded) return NO_ENTRY;
    if (this.#epoch !== this.#order.epoch) this.#seek();
    const merge = this.#merge!;
    while (merge.source >= 0) {
      const entry = merge.entry;
      merge.advance();
      if (this.#keys.entries.isLive(entry)) {
        this.#remember(entry);
        return entry;
      }
    }
    this.#hasEnded = true;
    this.#merge = undefined;
    return NO_ENTRY;
  }

  #remember(entry: number): void {
    const length = this.#keys.entries.keyLengthOf(entry);
    if (length > this.#key.length) this.#key = new Uint8Array(2 * length);
    this.#keyBytes = this.#keys.copy(entry, this.#key);
    this.#hasKey = true;
    this.#inclusive = false;
  }

  #seek(): void {
    const sources: MergeSource[] = [];
    for (const sequence of this.#order.sequences()) {
      sources.push({ sequence, position: this.#positionIn(sequence) });
    }
    this.#epoch = this.#order.epoch;
    this.#merge = new KeyMerge(this.#keys, sources, this.#step, AHEAD_MAX);
  }

  #positionIn(sequence: Sequence): number {
    const isUp = this.#step === 1;
    if (!this.#hasKey) return isUp ? sequence.from : sequence.end - 1;
    // Downwards, what comes first is what lies before the first key behind.
    const bound = this.#boundIn(sequence, isUp === this.#inclusive);
    return isUp ? bound : bound - 1;
  }

  /** A position so that all keys before it are below, and none behind is (`orEqual`: nor equal). */
  #boundIn(sequence: Sequence, orEqual: boolean): number {
    let low = sequence.from;
    let high = sequence.end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      // A removed entry has no key to compare: the next live one decides for it.
      let at = middle;
      while (at < high && !this.#keys.entries.isLive(sequence.at(at))) at++;
      if (at === high) {
        high = middle;
        continue;
      }
      const order = this.#keys.compareWith(sequence.at(at), this.#key, 0, this.#keyBytes);
      if (order < 0 || (order === 0 && !orEqual)) low = at + 1;
      else high = middle;
    }
    return low;
  }
}
