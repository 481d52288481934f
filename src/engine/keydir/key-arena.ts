/**
 * The bytes of the keys, appended into pages.
 *
 *     cell of 1..127 bytes:     length u8              | key
 *     cell of 128.. bytes:      0 u8 | length u16 LE   | key
 *     the top bit of the first byte is set once the key is gone
 *
 * A page is 256 KiB; a key above 16 KiB has a page to itself, of its own size.
 * Cells are written once and never reused in place: a page whose live bytes
 * fall below half is a victim, its live keys move to the head, and the page
 * goes back whole. No cell knows its entry: a live key finds it by look-up.
 *
 * Invariants
 *   1. liveBytes of a page = the bytes of its cells that are not marked gone.
 *   2. Every page but the head is at least half alive, or waits as a victim.
 *   3. A page without live cells exists only as the head.
 */
import { KvixError } from "../../base/kvix-error.js";

const PAGE_BYTES = 256 * 1024;
/** The most bytes of a cell that shares its page with others. */
export const SHARED_CELL_BYTES_MAX = 16 * 1024;
const PAGES_MAX = 1 << 22;
const GONE = 0x80;
const ABSENT = new Uint8Array(0);
const NO_PAGE = -1;

/** The keys' bytes. */
export class KeyArena {
  /** The pages by number; one that went back is empty. */
  readonly pages: Uint8Array[] = [];
  /** Where the last append went. */
  page = 0;
  offset = 0;
  readonly #liveBytes: number[] = [];
  readonly #filledBytes: number[] = [];
  readonly #absent: number[] = [];
  readonly #victims: number[] = [];
  readonly #isVictim: boolean[] = [];
  #head = NO_PAGE;
  /** The victim that is being emptied; the others wait. */
  #victim = NO_PAGE;
  #bytes = 0;

  /** Bytes allocated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether an eighth of the pages, and four, wait to be emptied. */
  get isOverdue(): boolean {
    return this.#victims.length > 4 + (this.pages.length - this.#absent.length) / 8;
  }

  /** Bytes that `keys` more keys of together `keyBytes` would allocate at most. */
  bytesFor(keyBytes: number, keys: number): number {
    const cells = keyBytes + 3 * keys;
    const room = this.#head === NO_PAGE ? 0 : PAGE_BYTES - this.#filledBytes[this.#head]!;
    if (keys === 1 && cells <= SHARED_CELL_BYTES_MAX && cells <= room) return 0;
    // The end of a page that the next cell does not fit into stays unused: at
    // most one part in fifteen.
    return (
      Math.ceil(
        (cells - Math.max(0, room - SHARED_CELL_BYTES_MAX)) /
          (PAGE_BYTES - SHARED_CELL_BYTES_MAX - 3),
      ) * PAGE_BYTES
    );
  }

  /** Copies a key in; `page` and `offset` then tell where. Throws INDEX_FULL past the last page. */
  append(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const cellBytes = cellBytesOf(length);
    const page = this.#room(cellBytes);
    const offset = this.#filledBytes[page]!;
    const bytes = this.pages[page]!;
    let at = offset;
    if (length < GONE) {
      bytes[at++] = length;
    } else {
      bytes[at] = 0;
      bytes[at + 1] = length;
      bytes[at + 2] = length >>> 8;
      at += 3;
    }
    if (length <= 64) for (let i = start; i < end; i++) bytes[at++] = source[i]!;
    else bytes.set(source.subarray(start, end), at);
    this.#filledBytes[page] = offset + cellBytes;
    this.#liveBytes[page]! += cellBytes;
    this.page = page;
    this.offset = offset;
  }

  /** The key in the cell is gone. */
  release(page: number, offset: number): void {
    const bytes = this.pages[page]!;
    const cellBytes = cellBytesOf(this.lengthAt(page, offset));
    bytes[offset]! |= GONE;
    const liveBytes = this.#liveBytes[page]! - cellBytes;
    this.#liveBytes[page] = liveBytes;
    if (page === this.#head) return;
    if (liveBytes === 0) this.#drop(page);
    else if (liveBytes * 2 < this.#filledBytes[page]!) this.#condemn(page);
  }

  /** The length of the key in a cell, gone or not. */
  lengthAt(page: number, offset: number): number {
    const bytes = this.pages[page]!;
    const first = bytes[offset]! & ~GONE;
    return first !== 0 ? first : bytes[offset + 1]! | (bytes[offset + 2]! << 8);
  }

  /** Where the key's first byte lies in the page. */
  startAt(page: number, offset: number): number {
    return (this.pages[page]![offset]! & ~GONE) !== 0 ? offset + 1 : offset + 3;
  }

  /** Whether the key in the cell is gone. */
  isGone(page: number, offset: number): boolean {
    return this.pages[page]![offset]! >= GONE;
  }

  /** The bytes of a page that cells lie in. */
  filledBytesOf(page: number): number {
    return this.#filledBytes[page]!;
  }

  /** The victim to empty next, or -1. It stays the same until it is empty. */
  victim(): number {
    for (;;) {
      const page = this.#victim;
      if (page !== NO_PAGE) {
        if (this.#liveBytes[page]! > 0) return page;
        this.#isVictim[page] = false;
        this.#absent.push(page);
      }
      this.#victim = this.#victims.pop() ?? NO_PAGE;
      if (this.#victim === NO_PAGE) return NO_PAGE;
    }
  }

  /** Gives back the head if no key is left at all. */
  trim(): void {
    const head = this.#head;
    if (head === NO_PAGE || this.#liveBytes[head] !== 0) return;
    this.#head = NO_PAGE;
    this.#drop(head);
  }

  /** A page with room for a cell: the head, a new head, or a page of the cell's own. */
  #room(cellBytes: number): number {
    if (cellBytes > SHARED_CELL_BYTES_MAX) return this.#addPage(cellBytes);
    const head = this.#head;
    if (head !== NO_PAGE && this.#filledBytes[head]! + cellBytes <= PAGE_BYTES) return head;
    this.#head = this.#addPage(PAGE_BYTES);
    if (head !== NO_PAGE) {
      const liveBytes = this.#liveBytes[head]!;
      if (liveBytes === 0) this.#drop(head);
      else if (liveBytes * 2 < this.#filledBytes[head]!) this.#condemn(head);
    }
    return this.#head;
  }

  #addPage(bytes: number): number {
    const page = this.#absent.pop() ?? this.pages.length;
    if (page >= PAGES_MAX) {
      throw new KvixError("INDEX_FULL", "the index has used its last key page");
    }
    this.pages[page] = new Uint8Array(new SharedArrayBuffer(bytes));
    this.#liveBytes[page] = 0;
    this.#filledBytes[page] = 0;
    this.#isVictim[page] = false;
    this.#bytes += bytes;
    return page;
  }

  #drop(page: number): void {
    this.#bytes -= this.pages[page]!.length;
    this.pages[page] = ABSENT;
    // The number of a waiting victim comes free when the queue comes to it.
    if (!this.#isVictim[page]) this.#absent.push(page);
  }

  #condemn(page: number): void {
    if (this.#isVictim[page]) return;
    this.#isVictim[page] = true;
    this.#victims.push(page);
  }
}

/** The bytes that a key of this length takes. */
export function cellBytesOf(length: number): number {
  return length < GONE ? length + 1 : length + 3;
}
