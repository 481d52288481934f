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
import { NO_ENTRY } from "./entry-table.js";
import type { KeyTable } from "./key-table.js";
import { PagePool } from "./page-pool.js";
import type { StepMeter } from "./step-meter.js";

/** The most blocks of a partition. */
export const PARTITION_BLOCKS_MAX = 24;
/** Entries that a block may hold on the average: 90 % of its slots. */
export const BLOCK_ENTRIES = 115;
/** Entries of one hash that a partition takes; chance does not bring three. */
const EQUAL_HASHES_MAX = 16;

const SLOT_SHIFT = 7;
const SLOT_MASK = (1 << SLOT_SHIFT) - 1;
const BLOCK_WORDS_SHIFT = SLOT_SHIFT + 1;
const BLOCK_WORDS = 1 << BLOCK_WORDS_SHIFT;
const BLOCK_BYTES = BLOCK_WORDS * 4;
const PAGE_SHIFT = 8;
const PLACE_MASK = (1 << PAGE_SHIFT) - 1;
const ROW_WORDS = 32;
const FIRST = 2;
const ROWS_SHIFT = 6;
const ROWS_MASK = (1 << ROWS_SHIFT) - 1;
const ROWS_BYTES = (ROWS_MASK + 1) * ROW_WORDS * 4;

/** The partitions and their slots. */
export class HashPartitions {
  /** Slots taken out by drain(): hash, entry + 1, hash, ... */
  readonly drained = new Int32Array(PARTITION_BLOCKS_MAX * BLOCK_WORDS);
  readonly #laidOut = new Int32Array(PARTITION_BLOCKS_MAX * BLOCK_WORDS);
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
    return this.#pool.bytes + this.#rows.length * ROWS_BYTES + 2 * this.drained.byteLength;
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

  /** Drops the last partition, which must be empty. */
  dropLast(): void {
    const partition = --this.#count;
    this.layOut(partition, 0, 0, 0, 0);
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

  /** The entry whose key is `source[start, end)`, or NO_ENTRY. */
  find(partition: number, hash: number, source: Uint8Array, start: number, end: number): number {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const slots = rows[row + 1]! << SLOT_SHIFT;
    let slot = ((hash >>> 16) * slots) >>> 16;
    // At least a tenth of the slots are empty, so this ends.
    while (slots > 0) {
      const block = rows[row + FIRST + (slot >>> SLOT_SHIFT)]!;
      const page = this.#pages[block >>> PAGE_SHIFT]!;
      const blockEnd = ((block & PLACE_MASK) + 1) << BLOCK_WORDS_SHIFT;
      const first = blockEnd - BLOCK_WORDS + ((slot & SLOT_MASK) << 1);
      for (let at = first; at < blockEnd; at += 2) {
        const numbered = page[at + 1]!;
        if (numbered === 0) return NO_ENTRY;
        if (page[at] === hash) {
          const entry = (numbered >>> 0) - 1;
          if (this.#keys.equals(entry, source, start, end)) return entry;
        }
      }
      slot += (blockEnd - first) >>> 1;
      if (slot === slots) slot = 0;
    }
    return NO_ENTRY;
  }

  /**
   * Puts an entry into a partition that has room for it; false if there are so
   * many of the same hash that look-ups would have to compare too many keys.
   */
  place(partition: number, hash: number, numbered: number): boolean {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const slots = rows[row + 1]! << SLOT_SHIFT;
    let slot = ((hash >>> 16) * slots) >>> 16;
    let equals = 0;
    for (;;) {
      const block = rows[row + FIRST + (slot >>> SLOT_SHIFT)]!;
      const page = this.#pages[block >>> PAGE_SHIFT]!;
      const at = ((block & PLACE_MASK) << BLOCK_WORDS_SHIFT) | ((slot & SLOT_MASK) << 1);
      if (page[at + 1] === 0) {
        page[at] = hash;
        page[at + 1] = numbered;
        rows[row]!++;
        return true;
      }
      if (page[at] === hash && ++equals === EQUAL_HASHES_MAX) return false;
      if (++slot === slots) slot = 0;
    }
  }

  /** Takes an entry out; false if it is not in this partition. */
  remove(partition: number, hash: number, entry: number): boolean {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const slots = rows[row + 1]! << SLOT_SHIFT;
    const numbered = (entry + 1) | 0;
    let slot = ((hash >>> 16) * slots) >>> 16;
    for (let passed = 0; passed < slots; passed++) {
      const found = this.#numberedAt(rows, row, slot);
      if (found === 0) return false;
      if (found === numbered) {
        this.#close(rows, row, slots, slot);
        rows[row]!--;
        return true;
      }
      if (++slot === slots) slot = 0;
    }
    return false;
  }

  /**
   * Copies the slots in use of a partition to `drained`, from word `at` on, and
   * empties it; its blocks stay. Answers the word after the last.
   */
  drain(partition: number, at: number): number {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    const blocks = rows[row + 1]!;
    let to = at;
    for (let i = 0; i < blocks; i++) {
      const block = rows[row + FIRST + i]!;
      const page = this.#pages[block >>> PAGE_SHIFT]!;
      const from = (block & PLACE_MASK) << BLOCK_WORDS_SHIFT;
      for (let word = from; word < from + BLOCK_WORDS; word += 2) {
        const numbered = page[word + 1]!;
        if (numbered === 0) continue;
        this.drained[to] = page[word]!;
        this.drained[to + 1] = numbered;
        to += 2;
      }
    }
    rows[row] = 0;
    this.#meter.add(blocks * BLOCK_BYTES);
    return to;
  }

  /**
   * Gives an emptied partition this many blocks and puts into them the drained
   * slots before word `end` whose hash has the bits `wanted` under `mask`.
   */
  layOut(partition: number, blocks: number, end: number, mask: number, wanted: number): void {
    const words = blocks << BLOCK_WORDS_SHIFT;
    const drained = this.drained;
    // In one piece first, and nearly in the order of homes, as they come: a slot
    // whose home lies in the cluster [first, next) that grew last goes to its end.
    const laidOut = this.#laidOut.fill(0, 0, words);
    let first = 0;
    let next = 0;
    let entries = 0;
    for (let from = 0; from < end; from += 2) {
      const hash = drained[from]!;
      if ((hash & mask) !== wanted) continue;
      let at = (((hash >>> 16) * (blocks << SLOT_SHIFT)) >>> 16) << 1;
      if (at >= first && at <= next) at = next;
      else first = at;
      while (laidOut[at + 1] !== 0) {
        at += 2;
        if (at === words) at = 0;
      }
      laidOut[at] = hash;
      laidOut[at + 1] = drained[from + 1]!;
      entries++;
      next = at + 2;
      if (next >= words || next < first) next = first = 0;
    }
    this.#store(partition, blocks);
    this.#rows[partition >>> ROWS_SHIFT]![(partition & ROWS_MASK) * ROW_WORDS] = entries;
    this.#meter.add(blocks * BLOCK_BYTES);
  }

  /** Gives back what is held in reserve. */
  trim(): void {
    this.#pool.trim();
  }

  /** Gives a partition this many blocks and copies what was laid out into them. */
  #store(partition: number, blocks: number): void {
    const rows = this.#rows[partition >>> ROWS_SHIFT]!;
    const row = (partition & ROWS_MASK) * ROW_WORDS;
    let had = rows[row + 1]!;
    while (had > blocks) this.#pool.free(rows[row + FIRST + --had]!);
    while (had < blocks) rows[row + FIRST + had++] = this.#pool.allocate();
    rows[row + 1] = blocks;
    for (let i = 0; i < blocks; i++) {
      const block = rows[row + FIRST + i]!;
      const page = this.#pages[block >>> PAGE_SHIFT]!;
      const to = (block & PLACE_MASK) << BLOCK_WORDS_SHIFT;
      page.set(this.#laidOut.subarray(i * BLOCK_WORDS, (i + 1) * BLOCK_WORDS), to);
    }
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
