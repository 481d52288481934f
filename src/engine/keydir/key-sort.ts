/**
 * Sorts a block of entry numbers by their keys.
 *
 * The keys lie all over memory, so each is read once: of every key the eight
 * bytes behind what all of them share are gathered, and only where these tie
 * are two keys compared in full. A merge sort on places, insertion sort below
 * eight; input that is sorted already costs one pass.
 */
import type { KeyTable } from "./key-table.js";
import { BLOCK_NUMBERS } from "./run.js";

const SMALL = 8;

/** A sorter with its scratch. */
export class KeySorter {
  readonly #keys: KeyTable;
  readonly #high = new Uint32Array(BLOCK_NUMBERS);
  readonly #low = new Uint32Array(BLOCK_NUMBERS);
  readonly #numbers = new Uint32Array(BLOCK_NUMBERS);
  #places = new Uint16Array(BLOCK_NUMBERS);
  #merged = new Uint16Array(BLOCK_NUMBERS);
  #sharedBytes = 0;

  constructor(keys: KeyTable) {
    this.#keys = keys;
  }

  /** Bytes of scratch. */
  get bytes(): number {
    return BLOCK_NUMBERS * 16;
  }

  /**
   * Sorts the first `count` of `entries`, all of them live, at most 1,024.
   * Answers how many leading bytes all the keys share.
   */
  sort(entries: Uint32Array, count: number): number {
    if (count === 0) return 0;
    const first = entries[0]!;
    let sharedBytes = this.#keys.entries.keyLengthOf(first);
    for (let i = 1; i < count && sharedBytes > 0; i++) {
      sharedBytes = this.#keys.sharedBytes(first, entries[i]!, sharedBytes);
    }
    this.#sharedBytes = sharedBytes;
    this.#numbers.set(count === entries.length ? entries : entries.subarray(0, count));
    this.#keys.gather(this.#numbers, 0, count, sharedBytes, this.#high, this.#low);
    this.#sortPlaces(count);
    for (let i = 0; i < count; i++) entries[i] = this.#numbers[this.#places[i]!]!;
    return sharedBytes;
  }

  #isAbove(left: number, right: number): boolean {
    const leftHigh = this.#high[left]!;
    const rightHigh = this.#high[right]!;
    if (leftHigh !== rightHigh) return leftHigh > rightHigh;
    const leftLow = this.#low[left]!;
    const rightLow = this.#low[right]!;
    if (leftLow !== rightLow) return leftLow > rightLow;
    const numbers = this.#numbers;
    return this.#keys.compare(numbers[left]!, numbers[right]!, this.#sharedBytes) > 0;
  }

  #sortPlaces(count: number): void {
    const places = this.#places;
    for (let i = 0; i < count; i++) places[i] = i;
    for (let from = 0; from < count; from += SMALL) {
      const end = Math.min(from + SMALL, count);
      for (let i = from + 1; i < end; i++) {
        const place = places[i]!;
        let to = i;
        while (to > from && this.#isAbove(places[to - 1]!, place)) {
          places[to] = places[to - 1]!;
          to--;
        }
        places[to] = place;
      }
    }
    for (let width = SMALL; width < count; width *= 2) {
      for (let from = 0; from < count; from += 2 * width) {
        const middle = Math.min(from + width, count);
        this.#merge(from, middle, Math.min(from + 2 * width, count));
      }
      const merged = this.#merged;
      this.#merged = this.#places;
      this.#places = merged;
    }
  }

  #merge(from: number, middle: number, end: number): void {
    const places = this.#places;
    const merged = this.#merged;
    let left = from;
    let right = middle;
    let to = from;
    if (middle < end && this.#isAbove(places[middle - 1]!, places[middle]!)) {
      while (left < middle && right < end) {
        const takesRight = this.#isAbove(places[left]!, places[right]!);
        merged[to++] = takesRight ? places[right++]! : places[left++]!;
      }
    }
    while (left < middle) merged[to++] = places[left++]!;
    while (right < end) merged[to++] = places[right++]!;
  }
}
