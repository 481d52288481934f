/**
 * Reads several sequences as one, in the order of the keys: a heap of sources.
 *
 * Of each source some entries are read ahead, with eight bytes of their keys
 * (the eight behind what the keys of all sources share): loads that do not wait
 * for one another cost a fifth of loads that do. Removed entries are passed
 * over when read ahead; one removed after that may still come out, and whoever
 * takes it asks whether it lives.
 *
 * The order of a removed entry among others does not matter, since nobody uses
 * it: where a tie would need its key, which is gone, it counts as the lesser.
 */
import type { KeyTable } from "./key-table.js";
import type { Sequence } from "./run.js";
import type { StepMeter } from "./step-meter.js";

/** A sequence and the position to begin at. */
export interface MergeSource {
  readonly sequence: Sequence;
  /** Downwards: the position of the greatest key, which comes first. */
  readonly position: number;
}

/** Bytes gathered for an entry: its number and eight of its key. */
export const GATHERED_BYTES = 12;

/** One sequence out of many. */
export class KeyMerge {
  /** Leading bytes that the keys of all sources share. */
  readonly sharedBytes: number;
  readonly #keys: KeyTable;
  readonly #meter: StepMeter | undefined;
  readonly #sequences: Sequence[] = [];
  readonly #positions: number[] = [];
  readonly #step: 1 | -1;
  readonly #aheadMax: number;
  readonly #entries: Uint32Array;
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;
  readonly #at: number[] = [];
  readonly #filled: number[] = [];
  readonly #want: number[] = [];
  readonly #heap: number[] = [];

  /**
   * `step` 1 ascends, -1 descends. `aheadMax` entries are read ahead of each
   * source: two at first, twice as many each time. What is gathered is counted
   * on `meter`, if there is one.
   */
  constructor(
    keys: KeyTable,
    sources: readonly MergeSource[],
    step: 1 | -1,
    aheadMax: number,
    meter?: StepMeter,
  ) {
    this.#keys = keys;
    this.#meter = meter;
    this.#step = step;
    this.#aheadMax = aheadMax;
    this.#entries = new Uint32Array(sources.length * aheadMax);
    this.#high = new Uint32Array(sources.length * aheadMax);
    this.#low = new Uint32Array(sources.length * aheadMax);
    for (const { sequence, position } of sources) {
      this.#sequences.push(sequence);
      this.#positions.push(position);
      this.#at.push(0);
      this.#filled.push(0);
      this.#want.push(Math.min(2, aheadMax));
    }
    this.sharedBytes = this.#findShared();
    for (let source = 0; source < sources.length; source++) {
      if (this.#refill(source)) this.#heap.push(source);
    }
    for (let i = this.#heap.length >>> 1; i-- > 0; ) this.#sink(i);
  }

  /** Bytes of what is read ahead. */
  get bytes(): number {
    return this.#entries.length * GATHERED_BYTES;
  }

  /** The source whose entry is next, or -1. */
  get source(): number {
    return this.#heap[0] ?? -1;
  }

  /** The next entry; there must be one. */
  get entry(): number {
    const source = this.#heap[0]!;
    return this.#entries[source * this.#aheadMax + this.#at[source]!]!;
  }

  /** Goes on behind the next entry. */
  advance(): void {
    const heap = this.#heap;
    const source = heap[0]!;
    const at = this.#at[source]! + 1;
    this.#at[source] = at;
    if (at === this.#filled[source] && !this.#refill(source)) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    this.#sink(0);
  }

  /** What one live key of each source shares bounds what all of them share. */
  #findShared(): number {
    let sharedBytes = Number.POSITIVE_INFINITY;
    let one = -1;
    for (let source = 0; source < this.#sequences.length; source++) {
      const entry = this.#firstLive(source);
      if (entry < 0) continue;
      sharedBytes = Math.min(sharedBytes, this.#sequences[source]!.sharedBytes);
      if (one < 0) one = entry;
      else sharedBytes = this.#keys.sharedBytes(one, entry, sharedBytes);
    }
    return one < 0 ? 0 : sharedBytes;
  }

  #firstLive(source: number): number {
    const sequence = this.#sequences[source]!;
    let position = this.#positions[source]!;
    while (position >= sequence.from && position < sequence.end) {
      const entry = sequence.at(position);
      if (this.#keys.entries.isLive(entry)) return entry;
      position += this.#step;
      this.#positions[source] = position;
    }
    return -1;
  }

  /** Reads ahead; false if the source has no live entry left. */
  #refill(source: number): boolean {
    const sequence = this.#sequences[source]!;
    const { from, end } = sequence;
    const base = source * this.#aheadMax;
    const want = this.#want[source]!;
    this.#want[source] = Math.min(want * 2, this.#aheadMax);
    let position = this.#positions[source]!;
    let filled = 0;
    while (filled < want && position >= from && position < end) {
      const entry = sequence.at(position);
      if (this.#keys.entries.isLive(entry)) this.#entries[base + filled++] = entry;
      position += this.#step;
    }
    this.#positions[source] = position;
    this.#at[source] = 0;
    this.#filled[source] = filled;
    if (filled > 0 && this.#sequences.length > 1) {
      const { sharedBytes } = this;
      this.#keys.gather(this.#entries, base, filled, sharedBytes, this.#high, this.#low);
    }
    this.#meter?.add(filled * GATHERED_BYTES);
    return filled > 0;
  }

  #sink(index: number): void {
    const heap = this.#heap;
    const size = heap.length;
    const source = heap[index]!;
    let hole = index;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#isBefore(heap[child]!, source)) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = source;
  }

  #isBefore(left: number, right: number): boolean {
    const leftAt = left * this.#aheadMax + this.#at[left]!;
    const rightAt = right * this.#aheadMax + this.#at[right]!;
    const up = this.#step === 1;
    const leftHigh = this.#high[leftAt]!;
    const rightHigh = this.#high[rightAt]!;
    if (leftHigh !== rightHigh) return leftHigh < rightHigh === up;
    const leftLow = this.#low[leftAt]!;
    const rightLow = this.#low[rightAt]!;
    if (leftLow !== rightLow) return leftLow < rightLow === up;
    const leftEntry = this.#entries[leftAt]!;
    const rightEntry = this.#entries[rightAt]!;
    if (!this.#keys.entries.isLive(leftEntry)) return true;
    if (!this.#keys.entries.isLive(rightEntry)) return false;
    return this.#keys.compare(leftEntry, rightEntry, this.sharedBytes) < 0 === up;
  }
}
