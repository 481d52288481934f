/**
 * Lays out one partition of the hash table with many new entries in it.
 *
 *     gathered: the slots it has, then what is new -> sorted by home -> slots
 *
 * In the order of their homes each entry goes to its home or right behind the
 * one before: nothing is probed. Entries of one key have one hash and so one
 * home, and lie side by side when they are sorted.
 */
import { BLOCK_WORDS, PARTITION_BLOCKS_MAX, SLOTS_PER_BLOCK } from "./hash-block.js";
import type { HashLayout } from "./hash-layout.js";

const SLOTS_MAX = PARTITION_BLOCKS_MAX * SLOTS_PER_BLOCK;

/** The entries of a partition on their way into a layout. */
export class BulkLayout {
  /** Gathered hashes and entries; `count` of them. */
  #hashes = new Int32Array(SLOTS_MAX);
  #entries = new Uint32Array(SLOTS_MAX);
  #count = 0;
  readonly #hashesByHome = new Int32Array(SLOTS_MAX);
  readonly #entriesByHome = new Uint32Array(SLOTS_MAX);
  readonly #ends = new Uint32Array(SLOTS_MAX + 1);

  /** Begins anew. */
  begin(): void {
    this.#count = 0;
  }

  /** Adds an entry: those that are in the partition already come first. */
  add(hash: number, entry: number): void {
    this.#hashes[this.#count] = hash;
    this.#entries[this.#count++] = entry;
  }

  /** Adds the entries of the block at `from`. */
  addBlock(page: Int32Array, from: number): void {
    const hashes = this.#hashes;
    const entries = this.#entries;
    let count = this.#count;
    for (let word = from; word < from + BLOCK_WORDS; word += 2) {
      const numbered = page[word + 1]!;
      if (numbered === 0) continue;
      hashes[count] = page[word]!;
      entries[count++] = numbered - 1;
    }
    this.#count = count;
  }

  /**
   * Fills `layout`, which has room and is empty. `settle` is asked about two
   * entries of one hash, the earlier first, and answers whether they are of one
   * key: then only the earlier is laid. `refuse` gets what would be more than
   * `equalsMax` entries of one hash.
   */
  layInto(
    layout: HashLayout,
    equalsMax: number,
    settle: (earlier: number, later: number) => boolean,
    refuse: (hash: number, entry: number) => void,
  ): void {
    const slots = layout.blocks * SLOTS_PER_BLOCK;
    this.#sortByHome(slots);
    const { words } = layout;
    const hashes = this.#hashesByHome;
    const entries = this.#entriesByHome;
    let next = 0;
    let laid = 0;
    /** The entries before this one that are laid and may have its hash: [first, kept). */
    let first = 0;
    let kept = 0;
    let homeBefore = -1;
    for (let i = 0; i < this.#count; i++) {
      const hash = hashes[i]!;
      const entry = entries[i]!;
      const home = ((hash >>> 16) * slots) >>> 16;
      if (home !== homeBefore) {
        homeBefore = home;
        first = kept;
      }
      let equals = 0;
      let isSettled = false;
      for (let k = first; k < kept && !isSettled; k++) {
        if (hashes[k] !== hash) continue;
        equals++;
        isSettled = settle(entries[k]!, entry);
      }
      if (isSettled) continue;
      if (equals >= equalsMax) {
        refuse(hash, entry);
        continue;
      }
      // What is laid moves to the front: nothing behind is overwritten before it was read.
      hashes[kept] = hash;
      entries[kept++] = entry;
      let slot = home > next ? home : next;
      if (slot >= slots) {
        // Round the end; all that lies between its home and the end is in use.
        slot = 0;
        while (words[2 * slot + 1] !== 0) slot++;
      } else {
        next = slot + 1;
      }
      words[2 * slot] = hash;
      words[2 * slot + 1] = entry + 1;
      laid++;
    }
    layout.entries = laid;
  }

  /** A counting sort; equal homes stay in the order in which they were added. */
  #sortByHome(slots: number): void {
    const ends = this.#ends.fill(0, 0, slots + 1);
    const hashes = this.#hashes;
    const count = this.#count;
    for (let i = 0; i < count; i++) ends[(((hashes[i]! >>> 16) * slots) >>> 16) + 1]!++;
    for (let slot = 1; slot < slots; slot++) ends[slot]! += ends[slot - 1]!;
    for (let i = 0; i < count; i++) {
      const to = ends[((hashes[i]! >>> 16) * slots) >>> 16]!++;
      this.#hashesByHome[to] = hashes[i]!;
      this.#entriesByHome[to] = this.#entries[i]!;
    }
  }
}
