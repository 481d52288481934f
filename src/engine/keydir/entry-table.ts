/**
 * The entries: one row of seven 32-bit words for each key, numbered.
 *
 *     word  bits          field
 *     0     0..31         offset in the segment (a free row: link to the next)
 *     1     0..31         length of the frame
 *     2     0..31         key reference: page (14 low bits), offset in it (18 bits)
 *     3     0..31         expiry, low 32 bits
 *     4     0..31         version, low 32 bits
 *     5     0..15         expiry, high 16 bits
 *           16..31        version, high 16 bits
 *     6     0..15         segment
 *           16..23        key reference: page, high 8 bits
 *
 * 8,192 rows make a page; behind them lie 8,192 bits: 1 for a row whose key is
 * there. A row is taken, live, retired (its key is gone, but the order still
 * names its number) and free, in that turn; only the order frees it.
 *
 * Numbers above 31 bits are split in two words: no bigint, exact to 2^48 - 1.
 */
import { ExpiryBounds } from "./expiry-bounds.js";
import { PagePool } from "./page-pool.js";

/** What a look-up answers when there is no such key. */
export const NO_ENTRY = 0xffffffff;

/** log2 of the rows of a page. */
export const ENTRY_PAGE_SHIFT = 13;
const ROWS = 1 << ENTRY_PAGE_SHIFT;
const ROW_MASK = ROWS - 1;
const ROW_WORDS = 7;
const LIVE_AT = ROWS * ROW_WORDS;
const LIVE_WORDS = ROWS / 32;
const HIGH = 0x1_0000_0000;
// One page less than 2^32 rows, so that no entry is ever numbered NO_ENTRY.
const PAGES_MAX = 2 ** 32 / ROWS - 1;

/** The rows, and which of them live. */
export class EntryTable {
  readonly expiry = new ExpiryBounds();
  readonly #pool = new PagePool({
    blockWords: ROW_WORDS,
    blocksPerPage: ROWS,
    trailerWords: LIVE_WORDS,
    pagesMax: PAGES_MAX,
  });
  readonly #pages = this.#pool.pages;
  #count = 0;
  #expiring = 0;

  /** Live entries. */
  get count(): number {
    return this.#count;
  }

  /** Live entries with an expiry. */
  get expiring(): number {
    return this.#expiring;
  }

  /** Rows in use: live and retired. */
  get rows(): number {
    return this.#pool.blockCount;
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#pool.bytes + this.expiry.bytes;
  }

  /** Bytes that `entries` more would allocate at most. */
  bytesFor(entries: number): number {
    return this.#pool.bytesFor(entries) + this.expiry.bytesFor(entries);
  }

  /** Takes a row for a key that lies at `offset` of key page `page`; it is live. */
  allocate(page: number, offset: number): number {
    const entry = this.#pool.allocate();
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    const row = entry & ROW_MASK;
    const at = row * ROW_WORDS;
    words[at + 2] = (page << 18) | offset;
    words[at + 3] = 0;
    words[at + 5] = 0;
    words[at + 6] = (page >>> 14) << 16;
    words[LIVE_AT + (row >>> 5)]! |= 1 << (row & 31);
    this.#count++;
    return entry;
  }

  /** The key moved. */
  moveKey(entry: number, page: number, offset: number): void {
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    const at = (entry & ROW_MASK) * ROW_WORDS;
    words[at + 2] = (page << 18) | offset;
    words[at + 6] = (words[at + 6]! & 0xffff) | ((page >>> 14) << 16);
  }

  /** Sets everything but the key. */
  write(
    entry: number,
    segment: number,
    offset: number,
    length: number,
    expiresAtMs: number,
    version: number,
  ): void {
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    const at = (entry & ROW_MASK) * ROW_WORDS;
    const expired = words[at + 3] !== 0 || (words[at + 5]! & 0xffff) !== 0;
    words[at] = offset;
    words[at + 1] = length;
    words[at + 3] = expiresAtMs;
    words[at + 4] = version;
    words[at + 5] = (expiresAtMs / HIGH) | ((version / HIGH) << 16);
    words[at + 6] = (words[at + 6]! & 0xff0000) | segment;
    if (expired) this.#expiring--;
    if (expiresAtMs !== 0) {
      this.#expiring++;
      this.expiry.lower(entry, expiresAtMs);
    }
  }

  /** The key is gone; the row stays taken until the order lets go of its number. */
  retire(entry: number): void {
    const row = entry & ROW_MASK;
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    words[LIVE_AT + (row >>> 5)]! &= ~(1 << (row & 31));
    this.#count--;
    if (this.expiresAtMsOf(entry) !== 0) this.#expiring--;
  }

  /** Gives a retired row back; its number may be used again. */
  free(entry: number): void {
    this.#pool.free(entry);
  }

  /** Whether the key of this row is there. */
  isLive(entry: number): boolean {
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    return ((words[LIVE_AT + ((entry & ROW_MASK) >>> 5)]! >>> (entry & 31)) & 1) === 1;
  }

  /** The segment's slot number. */
  segmentOf(entry: number): number {
    return this.#word(entry, 6) & 0xffff;
  }

  /** The frame's offset in its segment, in bytes. */
  offsetOf(entry: number): number {
    return this.#word(entry, 0) >>> 0;
  }

  /** The frame's length in bytes. */
  lengthOf(entry: number): number {
    return this.#word(entry, 1) >>> 0;
  }

  /** Unix milliseconds; 0: never. */
  expiresAtMsOf(entry: number): number {
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    const at = (entry & ROW_MASK) * ROW_WORDS;
    return (words[at + 5]! & 0xffff) * HIGH + (words[at + 3]! >>> 0);
  }

  /** The version of the record. */
  versionOf(entry: number): number {
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    const at = (entry & ROW_MASK) * ROW_WORDS;
    return (words[at + 5]! >>> 16) * HIGH + (words[at + 4]! >>> 0);
  }

  /** The number of the page that holds the key. */
  keyPageOf(entry: number): number {
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT]!;
    const at = (entry & ROW_MASK) * ROW_WORDS;
    return (words[at + 2]! >>> 18) | (((words[at + 6]! >>> 16) & 0xff) << 14);
  }

  /** Where in its page the key's cell begins. */
  keyOffsetOf(entry: number): number {
    return this.#word(entry, 2) & 0x3ffff;
  }

  /** Visits the live entries in the order of their numbers; the visitor may retire any. */
  forEach(visit: (entry: number) => void): void {
    for (let page = 0; page < this.#pages.length; page++) {
      // Read anew for each word: a visitor's change may free the page.
      for (let word = 0; word < LIVE_WORDS; word++) {
        let bits = this.#pages[page]![LIVE_AT + word] ?? 0;
        for (; bits !== 0; bits &= bits - 1) {
          const entry = page * ROWS + word * 32 + (31 - Math.clz32(bits & -bits));
          if (this.isLive(entry)) visit(entry);
        }
      }
    }
  }

  /** Whether a row of this number exists at all and lives; numbers from outside are asked here. */
  isKnownLive(entry: number): boolean {
    const words = this.#pages[entry >>> ENTRY_PAGE_SHIFT];
    return words !== undefined && words.length > 0 && this.isLive(entry);
  }

  /** Gives back what is held in reserve. */
  trim(): void {
    this.#pool.trim();
    if (this.#pool.blockCount === 0) this.expiry.clear();
  }

  #word(entry: number, word: number): number {
    return this.#pages[entry >>> ENTRY_PAGE_SHIFT]![(entry & ROW_MASK) * ROW_WORDS + word]!;
  }
}
