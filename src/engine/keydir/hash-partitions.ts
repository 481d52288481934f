/**
 * Small open-addressing tables, numbered: the partitions of the hash table.
 *
 *     partition row: [entries][blocks][block number] ... at most 24
 *     block:         [hash][entry number + 1; 0: empty] x 128
 *
 * The blocks of a partition are one sequence of slots, probed linearly from a
 * home that the hash's upper half gives, and from the last slot to the first.
 * A partition takes another block when 90 % of its slots are in use: it grows
 * by an eighth or so at a time, and all of them are about 85 % full.
 *
 * Slots keep the whole hash, so laying a partition out anew reads no key. That
 * is what each step costs: the blocks drained and the blocks laid out, 48 KiB
 * at most.
 */

import type { BulkLayout } from "./bulk-layout.js";
import { NO_ENTRY } from "./entry-table.js";
import { BLOCK_BYTES, BLOCK_WORDS, EQUAL_HASHES_MAX, SLOTS_PER_BLOCK } from "./hash-block.js";
import type { HashLayout } from "./hash-layout.js";
import type { KeyTable } from "./key-table.js";
import { bytesOf } from "./page-bytes.js";
import { PagePool, type PagePoolImage } from "./page-pool.js";
import type { StepMeter } from "./step-meter.js";

const SLOT_SHIFT = 7;
const SLOT_MASK = SLOTS_PER_BLOCK - 1;
const BLOCK_WORDS_SHIFT = SLOT_SHIFT + 1;
const PAGE_SHIFT = 8;
const PLACE_MASK = (1 << PAGE_SHIFT) - 1;
const ROW_WORDS = 32;
const FIRST = 2;
const ROWS_SHIFT = 6;
const ROWS_MASK = (1 << ROWS_SHIFT) - 1;
const ROWS_BYTES = (ROWS_MASK + 1) * ROW_WORDS * 4;

/** The partitions beside their pages, for a checkpoint. */
export interface HashPartitionsImage {
  readonly count: number;
  readonly pool: PagePoolImage;
}

/** The partitions and their slots. */
export class HashPartitions {
  readonly #keys: KeyTable;
  readonly #meter: StepMeter;
  readonly #pool = new PagePool({
    blockWords: BLOCK_WORDS,
    blocksPerPage: PLACE_MASK + 1,
    trailerWords: 0,
    pagesMax: 2 ** 31 / (PLACE_MASK + 1),
  });
  readonly #pages = this.#pool.pages;
  readonly #rows: Int32Array[] = [];
  #count = 0;
  /** Where the last find() that missed ended, and how often it met the hash. */
  #gapBlock = 0;
  #gapAt = 0;
  #gapEquals = 0;

  constructor(keys: KeyTable, meter: StepMeter) {
    this.#keys = keys;
    this.#meter = meter;
  }

  /** Partitions. */
  get count(): number {
    return this.#count;
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#pool.bytes + this.#rows.length * ROWS_BYTES;
  }

  /** Bytes that `blocks` more blocks and `partitions` more partitions would allocate at most. */
  bytesFor(blocks: number, partitions: number): number {
    const rows = (this.#count + partitions + ROWS_MASK) >>> ROWS_SHIFT;
    return this.#pool.bytesFor(blocks) + Math.max(0, rows - this.#rows.length) * ROWS_BYTES;
  }

  /** Adds an empty partition behind the last. */
  add(): void {
    const partition = this.#count++;
    if (partition >>> ROWS_SHIFT === this.#rows.length) {
      this.#rows.push(new Int32Array(new SharedArrayBuffer(ROWS_BYTES)));
    }
  }

  /** Drops the last partition with all that is in it. */
  dropLast(): void {
    const partition = --this.#count;
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    this.#meter.add(rows[row + 1]! * BLOCK_BYTES);
    while (rows[row + 1]! > 0) this.#pool.free(rows[row + FIRST + --rows[row + 1]!]!);
    rows[row] = 0;
    if ((partition & ROWS_MASK) === 0) this.#rows.pop();
  }

  /** Entries of a partition. */
  entriesOf(partition: number): number {
    return this.#rows[partition >>> ROWS_SHIFT]![(partition & ROWS_MASK) * ROW_WORDS]!;
  }

  /** Blocks of a partition. */
  blocksOf(partition: number): number {
    return this.#rows[partition >>> ROWS_SHIFT]![(partition & ROWS_MASK) * ROW_WORDS + 1]!;
  }

  /** The entry whose key is `source[start, end)`, or NO_ENTRY; then `gap` tells where it ended. */
  find(partition: number, hash: number, source: Uint8Array, start: number, end: number): number {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const slots = rows[row + 1]! << SLOT_SHIFT;
    let slot = ((hash >>> 16) * slots) >>> 16;
    let equals = 0;
    // At least a tenth of the slots are empty, so this ends.
    while (slots > 0) {
      const block = rows[row + FIRST + (slot >>> SLOT_SHIFT)]!;
      const page = this.#pages[block >>> PAGE_SHIFT]!;
      const blockEnd = ((block & PLACE_MASK) + 1) << BLOCK_WORDS_SHIFT;
      const first = blockEnd - BLOCK_WORDS + ((slot & SLOT_MASK) << 1);
      for (let at = first; at < blockEnd; at += 2) {
        const numbered = page[at + 1]!;
        if (numbered === 0) {
          this.#gapBlock = block;
          this.#gapAt = at;
          this.#gapEquals = equals;
          return NO_ENTRY;
        }
        if (page[at] === hash) {
          const entry = (numbered >>> 0) - 1;
          if (this.#keys.equals(entry, source, start, end)) return entry;
          equals++;
        }
      }
      slot += (blockEnd - first) >>> 1;
      if (slot === slots) slot = 0;
    }
    return NO_ENTRY;
  }

  /**
   * Puts an entry where the find() just before ended. The partition must have
   * room, and must not have been laid out anew since. False if there are so many
   * entries of the same hash that look-ups would have to compare too many keys.
   */
  insertAtGap(partition: number, hash: number, entry: number): boolean {
    if (this.#gapEquals >= EQUAL_HASHES_MAX) return false;
    const page = this.#pages[this.#gapBlock >>> PAGE_SHIFT]!;
    page[this.#gapAt] = hash;
    page[this.#gapAt + 1] = entry + 1;
    this.#rows[partition >>> ROWS_SHIFT]![(partition & ROWS_MASK) * ROW_WORDS]!++;
    return true;
  }

  /** Gives a key another entry; false if the old one is not in this partition. */
  replace(partition: number, hash: number, entry: number, replacement: number): boolean {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const slot = this.#slotOf(rows, row, hash, entry);
    if (slot >= 0) this.#set(rows, row, slot, hash, (replacement + 1) | 0);
    return slot >= 0;
  }

  /** Takes an entry out; false if it is not in this partition. */
  remove(partition: number, hash: number, entry: number): boolean {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const slot = this.#slotOf(rows, row, hash, entry);
    if (slot < 0) return false;
    this.#close(rows, row, rows[row + 1]! << SLOT_SHIFT, slot);
    rows[row]!--;
    return true;
  }

  /** How many entries of a partition have a hash with this bit. */
  countWith(bit: number, partition: number): number {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    let count = 0;
    for (let i = 0; i < rows[row + 1]!; i++) {
      const block = rows[row + FIRST + i]!;
      const page = this.#pages[block >>> PAGE_SHIFT]!;
      const from = (block & PLACE_MASK) << BLOCK_WORDS_SHIFT;
      for (let word = from; word < from + BLOCK_WORDS; word += 2) {
        if (page[word + 1] !== 0 && (page[word]! & bit) !== 0) count++;
      }
    }
    return count;
  }

  /** Adds to a layout the slots of a partition whose hash has the bits `wanted` under `mask`. */
  collect(partition: number, layout: HashLayout, mask: number, wanted: number): void {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    for (let i = 0; i < rows[row + 1]!; i++) {
      const block = rows[row + FIRST + i]!;
      const from = (block & PLACE_MASK) << BLOCK_WORDS_SHIFT;
      layout.take(this.#pages[block >>> PAGE_SHIFT]!, from, mask, wanted);
    }
  }

  /** Adds to a load's layout all slots of a partition. */
  gather(partition: number, bulk: BulkLayout): void {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    for (let i = 0; i < rows[row + 1]!; i++) {
      const block = rows[row + FIRST + i]!;
      const from = (block & PLACE_MASK) << BLOCK_WORDS_SHIFT;
      bulk.addBlock(this.#pages[block >>> PAGE_SHIFT]!, from);
    }
  }

  /** Makes a layout the contents of a partition. Counts the bytes of both. */
  store(partition: number, layout: HashLayout): void {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const { blocks, words } = layout;
    let had = rows[row + 1]!;
    this.#meter.add((had + blocks) * BLOCK_BYTES);
    while (had > blocks) this.#pool.free(rows[row + FIRST + --had]!);
    while (had < blocks) rows[row + FIRST + had++] = this.#pool.allocate();
    rows[row] = layout.entries;
    rows[row + 1] = blocks;
    for (let i = 0; i < blocks; i++) {
      const block = rows[row + FIRST + i]!;
      const page = this.#pages[block >>> PAGE_SHIFT]!;
      const to = (block & PLACE_MASK) << BLOCK_WORDS_SHIFT;
      page.set(words.subarray(i * BLOCK_WORDS, (i + 1) * BLOCK_WORDS), to);
    }
  }

  /** Adds the bytes of all pages to `pages`. */
  save(pages: Uint8Array[]): HashPartitionsImage {
    for (const rows of this.#rows) pages.push(bytesOf(rows));
    return { count: this.#count, pool: this.#pool.save(pages) };
  }

  /** Makes the partitions, none yet, what `image` says; the pages are added to `pages`, to be filled. */
  restore(image: HashPartitionsImage, pages: Uint8Array[]): void {
    while (this.#count < image.count) this.add();
    for (const rows of this.#rows) pages.push(bytesOf(rows));
    this.#pool.restore(image.pool, pages);
  }

  /** Gives back what is held in reserve. */
  trim(): void {
    this.#pool.trim();
  }

  /** The slot of an entry, or -1. */
  #slotOf(rows: Int32Array, row: number, hash: number, entry: number): number {
    const slots = rows[row + 1]! << SLOT_SHIFT;
    const numbered = (entry + 1) | 0;
    let slot = ((hash >>> 16) * slots) >>> 16;
    for (let passed = 0; passed < slots; passed++) {
      const found = this.#numberedAt(rows, row, slot);
      if (found === 0) return -1;
      if (found === numbered) return slot;
      if (++slot === slots) slot = 0;
    }
    return -1;
  }

  /** Closes the gap at `slot`: moves up whatever was pushed past it. */
  #close(rows: Int32Array, row: number, slots: number, slot: number): void {
    let gap = slot;
    let next = slot;
    for (;;) {
      if (++next === slots) next = 0;
      const numbered = this.#numberedAt(rows, row, next);
      if (numbered === 0) break;
      const hash = this.#hashAt(rows, row, next);
      const home = ((hash >>> 16) * slots) >>> 16;
      // It may move up to the gap unless its home lies behind the gap.
      const fromHome = next >= home ? next - home : next - home + slots;
      const fromGap = next >= gap ? next - gap : next - gap + slots;
      if (fromHome < fromGap) continue;
      this.#set(rows, row, gap, hash, numbered);
      gap = next;
    }
    this.#set(rows, row, gap, 0, 0);
  }

  #numberedAt(rows: Int32Array, row: number, slot: number): number {
    const block = rows[row + FIRST + (slot >>> SLOT_SHIFT)]!;
    const at = ((block & PLACE_MASK) << BLOCK_WORDS_SHIFT) | ((slot & SLOT_MASK) << 1);
    return this.#pages[block >>> PAGE_SHIFT]![at + 1]!;
  }

  #hashAt(rows: Int32Array, row: number, slot: number): number {
    const block = rows[row + FIRST + (slot >>> SLOT_SHIFT)]!;
    const at = ((block & PLACE_MASK) << BLOCK_WORDS_SHIFT) | ((slot & SLOT_MASK) << 1);
    return this.#pages[block >>> PAGE_SHIFT]![at]!;
  }

  #set(rows: Int32Array, row: number, slot: number, hash: number, numbered: number): void {
    const block = rows[row + FIRST + (slot >>> SLOT_SHIFT)]!;
    const at = ((block & PLACE_MASK) << BLOCK_WORDS_SHIFT) | ((slot & SLOT_MASK) << 1);
    const page = this.#pages[block >>> PAGE_SHIFT]!;
    page[at] = hash;
    page[at + 1] = numbered;
  }
}
