/**
 * The slots of one hash partition, laid out anew in one piece before they go
 * back into its blocks.
 *
 * Slots come in nearly the order of their homes, since that is how they lay:
 * one whose home is in the cluster that grew last goes to the end of that
 * cluster, unprobed, which is what makes growth cheap.
 */
import { BLOCK_WORDS, PARTITION_BLOCKS_MAX, SLOTS_PER_BLOCK } from "./hash-block.js";

/** A partition in the making. */
export class HashLayout {
  /** The slots: hash, entry + 1, hash, ... */
  readonly words = new Int32Array(PARTITION_BLOCKS_MAX * BLOCK_WORDS);
  /** The blocks that the slots will fill. */
  blocks = 0;
  /** Slots in use. */
  entries = 0;
  /** Words [first, next) are in use without a gap. */
  #first = 0;
  #next = 0;

  /** Begins anew, with this many empty blocks. */
  begin(blocks: number): void {
    this.words.fill(0, 0, blocks * BLOCK_WORDS);
    this.blocks = blocks;
    this.entries = 0;
    this.#first = 0;
    this.#next = 0;
  }

  /** Takes the slots of the block at `from` whose hash has the bits `wanted` under `mask`. */
  take(page: Int32Array, from: number, mask: number, wanted: number): void {
    const { words } = this;
    const slots = this.blocks * SLOTS_PER_BLOCK;
    const end = slots * 2;
    let first = this.#first;
    let next = this.#next;
    for (let word = from; word < from + BLOCK_WORDS; word += 2) {
      const hash = page[word]!;
      const numbered = page[word + 1]!;
      if (numbered === 0 || (hash & mask) !== wanted) continue;
      let at = (((hash >>> 16) * slots) >>> 16) << 1;
      if (at >= first && at <= next) at = next;
      else first = at;
      while (words[at + 1] !== 0) {
        at += 2;
        if (at === end) at = 0;
      }
      words[at] = hash;
      words[at + 1] = numbered;
      this.entries++;
      next = at + 2;
      // Nothing goes behind the end. (If it went round it, no home lies between.)
      if (next === end) next = first = 0;
    }
    this.#first = first;
    this.#next = next;
  }
}
