/**
 * Sorts many entry numbers by their keys, for a load: by four bytes of the keys
 * at a time, the most significant first.
 *
 *     group: entries whose keys are equal so far
 *       few:   compared with one another
 *       many:  the four bytes behind what all of them share are gathered, in the
 *              order in which the cells lie; sorted by them; what is then still
 *              equal is a group again
 *
 * Each round reads each key once and moves numbers in sequence, where comparing
 * keys would wait for memory twenty times a key.
 */
import type { KeyTable } from "./key-table.js";

/** Few enough places to write to that the processor keeps track of them. */
const DIGIT_BITS = 8;
const DIGITS = 1 << DIGIT_BITS;
const DIGIT_MASK = DIGITS - 1;
/** Passes over four bytes: an even number, so that the result lies where the input did. */
const PASSES = 4;
/** Below this a group is sorted by comparing. */
const SMALL = 256;

/** A sorter with its scratch, which is three words an entry. */
export class KeyRadixSorter {
  readonly #keys: KeyTable;
  readonly #count: number;
  readonly #counts = new Uint32Array(DIGITS);
  readonly #words: Uint32Array;
  readonly #wordsSpare: Uint32Array;
  readonly #spare: Uint32Array;

  /** For the first `count` entries of what `sort` is given. */
  constructor(keys: KeyTable, count: number) {
    this.#keys = keys;
    this.#count = count;
    this.#words = new Uint32Array(count);
    this.#wordsSpare = new Uint32Array(count);
    this.#spare = new Uint32Array(count);
  }

  /** Sorts the entries, all of them live, no two of one key. */
  sort(entries: Uint32Array): void {
    /** Groups to be sorted: where each begins and ends, and what it is known to share. */
    const groups: number[] = [0, this.#count, 0];
    while (groups.length > 0) {
      const shared = groups.pop()!;
      const end = groups.pop()!;
      const from = groups.pop()!;
      if (end - from < SMALL || !this.#sortGroup(entries, from, end, shared, groups)) {
        // Those that few bytes tell apart, and keys that zeros alone tell apart.
        entries.subarray(from, end).sort((left, right) => this.#keys.compare(left, right, shared));
      }
    }
  }

  /** Sorts by four bytes and adds what is still equal to `groups`; false if that is all of it. */
  #sortGroup(
    entries: Uint32Array,
    from: number,
    end: number,
    known: number,
    groups: number[],
  ): boolean {
    const keys = this.#keys;
    let shared = keys.entries.keyLengthOf(entries[from]!);
    for (let i = from + 1; i < end && shared > known; i++) {
      shared = keys.sharedBytes(entries[from]!, entries[i]!, shared);
    }
    keys.gatherWord(entries, from, end, shared, this.#words);
    this.#sortWords(entries, from, end);
    const words = this.#words;
    if (words[from] === words[end - 1]) return false;
    for (let i = from; i < end; ) {
      let next = i + 1;
      while (next < end && words[next] === words[i]) next++;
      if (next - i > 1) groups.push(i, next, shared);
      i = next;
    }
    return true;
  }

  /** Sorts words, and entries with them, from the lowest digit to the highest. */
  #sortWords(entries: Uint32Array, from: number, end: number): void {
    let words = this.#words;
    let wordsSpare = this.#wordsSpare;
    let numbers = entries;
    let numbersSpare = this.#spare;
    for (let pass = 0; pass < PASSES; pass++) {
      const counts = this.#counts.fill(0);
      const shift = pass * DIGIT_BITS;
      for (let i = from; i < end; i++) counts[(words[i]! >>> shift) & DIGIT_MASK]!++;
      let at = from;
      for (let digit = 0; digit < DIGITS; digit++) {
        const count = counts[digit]!;
        counts[digit] = at;
        at += count;
      }
      for (let i = from; i < end; i++) {
        const to = counts[(words[i]! >>> shift) & DIGIT_MASK]!++;
        wordsSpare[to] = words[i]!;
        numbersSpare[to] = numbers[i]!;
      }
      [words, wordsSpare] = [wordsSpare, words];
      [numbers, numbersSpare] = [numbersSpare, numbers];
    }
  }
}
