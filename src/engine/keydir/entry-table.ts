/**
 * The entries: one cell for each key, the key itself in it.
 *
 *     word  bits     field
 *     0     0..31    offset in the segment
 *     1     0..31    length of the frame
 *     2     0..31    expiry, low 32 bits
 *     3     0..31    version, low 32 bits
 *     4     0..15    expiry, high 16 bits
 *           16..31   version, high 16 bits
 *     5     0..15    segment
 *           16..31   length of the key
 *     6...           the key, four bytes a word, the first lowest; zeros behind it
 *
 * Entry and key in one place: a look-up waits for memory twice, once for the
 * hash slot and once here. An entry's number is its cell's. Its cell is retired
 * when the key is removed, and freed when the order no longer names it.
 *
 * Numbers above 32 bits are split in two: no bigint, exact to 2^48 - 1.
 */
import { CELL_PAGE_SHIFT, CellPages, type CellPagesImage, LIVE_WORDS } from "./cell-pages.js";
import { ExpiryBounds, type ExpiryBoundsImage } from "./expiry-bounds.js";

/** What a look-up answers when there is no such key. */
export const NO_ENTRY = 0xffffffff;
/** log2 of the entry numbers of a page. */
export const ENTRY_PAGE_SHIFT = CELL_PAGE_SHIFT;
/** Words of an entry before its key. */
export const KEY_WORD = 6;

const PLACES = 1 << CELL_PAGE_SHIFT;
const HIGH = 0x1_0000_0000;

/** The entries beside their pages, for a checkpoint. */
export interface EntryTableImage {
  readonly cells: CellPagesImage;
  readonly expiry: ExpiryBoundsImage;
  readonly expiring: number;
}

/** The entries and their keys. */
export class EntryTable {
  readonly expiry = new ExpiryBounds();
  readonly cells = new CellPages();
  #expiring = 0;

  /** Live entries. */
  get count(): number {
    return this.cells.liveCount;
  }

  /** Live entries with an expiry. */
  get expiring(): number {
    return this.#expiring;
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.cells.bytes + this.expiry.bytes;
  }

  /** Bytes that `keys` more keys of together `keyBytes` would allocate at most. */
  bytesFor(keyBytes: number, keys: number): number {
    const bytes = keyBytes + keys * KEY_WORD * 4;
    return this.cells.bytesFor(bytes, keys) + this.expiry.bytesFor(keys);
  }

  /** Takes a cell for the key `source[start, end)`; its other fields are 0. */
  allocate(source: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const entry = this.cells.allocate(length + KEY_WORD * 4);
    const words = this.wordsOf(entry);
    const at = this.cells.startOf(entry);
    words[at + 2] = 0;
    words[at + 4] = 0;
    words[at + 5] = length << 16;
    let word = at + KEY_WORD;
    let from = start;
    for (; from + 4 <= end; from += 4) words[word++] = wordAt(source, from);
    if (from < end) words[word] = lastWordAt(source, from, end);
    return entry;
  }

  /** Moves an entry into another cell; answers its new number. The old one is retired. */
  relocate(entry: number): number {
    const from = this.cells.startOf(entry);
    const cellWords = this.cells.cellWords[entry >>> CELL_PAGE_SHIFT]!;
    const moved = this.cells.allocate(cellWords * 4);
    const to = this.cells.startOf(moved);
    const source = this.wordsOf(entry);
    const target = this.wordsOf(moved);
    for (let word = 0; word < cellWords; word++) target[to + word] = source[from + word]!;
    const expiresAtMs = this.expiresAtMsOf(moved);
    if (expiresAtMs !== 0) this.expiry.lower(moved, expiresAtMs);
    this.cells.retire(entry);
    return moved;
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
    const words = this.wordsOf(entry);
    const at = this.cells.startOf(entry);
    if (words[at + 2] !== 0 || (words[at + 4]! & 0xffff) !== 0) this.#expiring--;
    words[at] = offset;
    words[at + 1] = length;
    words[at + 2] = expiresAtMs;
    words[at + 3] = version;
    words[at + 4] = (expiresAtMs / HIGH) | ((version / HIGH) << 16);
    words[at + 5] = (words[at + 5]! & ~0xffff) | segment;
    if (expiresAtMs === 0) return;
    this.#expiring++;
    this.expiry.lower(entry, expiresAtMs);
  }

  /** The key is gone; the cell stays taken until the order lets go of its number. */
  retire(entry: number): void {
    if (this.expiresAtMsOf(entry) !== 0) this.#expiring--;
    this.cells.retire(entry);
  }

  /** Gives a retired entry back; its number may be used again. */
  free(entry: number): void {
    this.cells.free(entry);
  }

  /** Whether the key of this entry is there. */
  isLive(entry: number): boolean {
    return this.cells.isLive(entry);
  }

  /** The same for any number, also one that no page holds. */
  isKnownLive(entry: number): boolean {
    const words = this.cells.pages[entry >>> CELL_PAGE_SHIFT];
    return words !== undefined && words.length > 0 && this.cells.isLive(entry);
  }

  /** The page that the entry lies in; cells.startOf() tells where. */
  wordsOf(entry: number): Int32Array {
    return this.cells.pages[entry >>> CELL_PAGE_SHIFT]!;
  }

  /** The segment's slot number. */
  segmentOf(entry: number): number {
    return this.#word(entry, 5) & 0xffff;
  }

  /** The length of the key in bytes. */
  keyLengthOf(entry: number): number {
    return this.#word(entry, 5) >>> 16;
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
    const words = this.wordsOf(entry);
    const at = this.cells.startOf(entry);
    return (words[at + 4]! & 0xffff) * HIGH + (words[at + 2]! >>> 0);
  }

  /** The version of the record. */
  versionOf(entry: number): number {
    const words = this.wordsOf(entry);
    const at = this.cells.startOf(entry);
    return (words[at + 4]! >>> 16) * HIGH + (words[at + 3]! >>> 0);
  }

  /** Visits the live entries in the order of their numbers; the visitor may retire any. */
  forEach(visit: (entry: number) => void): void {
    const { pages } = this.cells;
    for (let page = 0; page < pages.length; page++) {
      // Read anew for each word: a visitor's change may free the page.
      for (let word = 0; word < LIVE_WORDS; word++) {
        let bits = pages[page]![word] ?? 0;
        for (; bits !== 0; bits &= bits - 1) {
          const entry = page * PLACES + word * 32 + (31 - Math.clz32(bits & -bits));
          if (this.isKnownLive(entry)) visit(entry);
        }
      }
    }
  }

  /** Gives back what is held in reserve. */
  trim(): void {
    this.cells.trim();
    if (this.cells.count === 0) this.expiry.clear();
  }

  /** Adds the bytes of all pages to `pages`. */
  save(pages: Uint8Array[]): EntryTableImage {
    return {
      cells: this.cells.save(pages),
      expiry: this.expiry.save(pages),
      expiring: this.#expiring,
    };
  }

  /** Makes the table, which is new, what `image` says; its pages are added to `pages`, to be filled. */
  restore(image: EntryTableImage, pages: Uint8Array[]): void {
    this.cells.restore(image.cells, pages);
    this.expiry.restore(image.expiry, pages);
    this.#expiring = image.expiring;
  }

  #word(entry: number, word: number): number {
    return this.wordsOf(entry)[this.cells.startOf(entry) + word]!;
  }
}

/** Four bytes as a word, the first lowest. */
export function wordAt(source: Uint8Array, at: number): number {
  return source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
}

/** The one to three bytes [at, end) as a word, with zeros behind them. */
export function lastWordAt(source: Uint8Array, at: number, end: number): number {
  let word = source[at]!;
  if (at + 1 < end) word |= source[at + 1]! << 8;
  if (at + 2 < end) word |= source[at + 2]! << 16;
  return word;
}
