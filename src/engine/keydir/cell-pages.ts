/**
 * Cells of many sizes in shared pages, a page for cells of one size.
 *
 *     page:        [256 words: one bit for each cell that lives][cell 0][cell 1] ...
 *     cell number: page number * 8,192 + place in the page
 *
 * Sizes go in steps of eight bytes up to 128 and of an eighth above. The first
 * page of a size is small and each further one twice as large, up to 8,192
 * cells or 512 KiB: few keys take little, many take few pages. A cell above
 * 16 KiB has a page to itself.
 *
 * A cell is taken, live, retired and free, in that turn.
 *
 * Invariants
 *   1. A page is on its size's list of pages with room iff it exists, is not
 *      full, and is not the victim that is being emptied.
 *   2. A free cell's first word links to the next free cell (place + 1; 0 ends).
 *   3. Of each size at most one page is empty; trim() gives that back too.
 */
import { KvixError } from "../../base/kvix-error.js";
import { append, bytesOf } from "./page-bytes.js";

/** log2 of the cell numbers of a page. */
export const CELL_PAGE_SHIFT = 13;
/** Words before the first cell of a page. */
export const LIVE_WORDS = 256;

const PLACES = 1 << CELL_PAGE_SHIFT;
const PLACE_MASK = PLACES - 1;
// One page less than 2^32 cells, so that no cell ever has the highest number.
const PAGES_MAX = 2 ** 32 / PLACES - 1;
const PAGE_BYTES = 512 * 1024;
const FIRST_PAGE_BYTES = 8 * 1024;
const FINE_BYTES_MAX = 128;
/** The most bytes of a cell that shares its page with others. */
export const SHARED_CELL_BYTES_MAX = 16 * 1024;
const NO_PAGE = -1;
/** States of a page: more than half empty and waiting; being emptied, or emptied. */
const IN_USE = 0;
const CONDEMNED = 1;
const VICTIM = 2;
const ABSENT = new Int32Array(0);

/** The pages with room for cells of one size. */
interface SizeClass {
  readonly cellWords: number;
  roomy: number;
  pages: number;
  /** Cells that are free, or were never used, in pages on the list. */
  room: number;
}

/** The cells beside their pages, for a checkpoint: by page, by size, and what belongs to neither. */
export interface CellPagesImage {
  readonly cellWords: readonly number[];
  readonly capacity: readonly number[];
  readonly used: readonly number[];
  readonly live: readonly number[];
  readonly fresh: readonly number[];
  readonly free: readonly number[];
  readonly next: readonly number[];
  readonly previous: readonly number[];
  readonly state: readonly number[];
  readonly absent: readonly number[];
  readonly condemned: readonly number[];
  readonly classes: readonly SizeClass[];
  readonly victim: number;
  readonly count: number;
  readonly liveCount: number;
}

/** The cells. */
export class CellPages {
  /** The pages by number; one that went back is empty. */
  readonly pages: Int32Array[] = [];
  /** Words of a cell, by page. */
  readonly cellWords: number[] = [];
  readonly #classes: (SizeClass | undefined)[] = [];
  readonly #capacity: number[] = [];
  readonly #used: number[] = [];
  readonly #live: number[] = [];
  readonly #fresh: number[] = [];
  readonly #free: number[] = [];
  readonly #next: number[] = [];
  readonly #previous: number[] = [];
  readonly #absent: number[] = [];
  readonly #state: number[] = [];
  readonly #condemned: number[] = [];
  #victim = NO_PAGE;
  #bytes = 0;
  #count = 0;
  #liveCount = 0;

  /** Bytes of all pages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Cells in use, live and retired. */
  get count(): number {
    return this.#count;
  }

  /** Cells that live. */
  get liveCount(): number {
    return this.#liveCount;
  }

  /**
   * Bytes that `cells` more cells of together `bytes` would add at most; with
   * more than one cell: if they are of about one size.
   */
  bytesFor(bytes: number, cells: number): number {
    const sizeClass = this.#classOf(Math.ceil(bytes / cells));
    if (cells <= sizeClass.room) return 0;
    if (cells === 1) return this.#pageBytesOf(sizeClass);
    const missing = (cells - sizeClass.room) * sizeClass.cellWords * 4;
    // A page has a thousand bytes of bits, and the last may be hardly begun.
    return (
      Math.ceil((missing * (FIRST_PAGE_BYTES + LIVE_WORDS * 4)) / FIRST_PAGE_BYTES) + PAGE_BYTES
    );
  }

  /** Takes a cell of at least so many bytes; it lives. Throws INDEX_FULL past the last page. */
  allocate(bytes: number): number {
    const sizeClass = this.#classOf(bytes);
    const page = sizeClass.roomy === NO_PAGE ? this.#addPage(sizeClass) : sizeClass.roomy;
    const words = this.pages[page]!;
    let place = this.#free[page]! - 1;
    if (place >= 0) {
      this.#free[page] = words[LIVE_WORDS + place * sizeClass.cellWords]!;
    } else {
      place = this.#fresh[page]!;
      this.#fresh[page] = place + 1;
    }
    words[place >>> 5]! |= 1 << (place & 31);
    const used = this.#used[page]! + 1;
    this.#used[page] = used;
    this.#live[page]!++;
    this.#count++;
    this.#liveCount++;
    sizeClass.room--;
    if (used === this.#capacity[page]) this.#unlist(page, sizeClass);
    return page * PLACES + place;
  }

  /** The cell lives no more, but its number is still in use. */
  retire(cell: number): void {
    const page = cell >>> CELL_PAGE_SHIFT;
    this.pages[page]![(cell & PLACE_MASK) >>> 5]! &= ~(1 << (cell & 31));
    const live = this.#live[page]! - 1;
    this.#live[page] = live;
    this.#liveCount--;
    if (live * 2 < this.#capacity[page]! && this.#state[page] === IN_USE) {
      this.#state[page] = CONDEMNED;
      this.#condemned.push(page);
    }
  }

  /** Gives a retired cell back. */
  free(cell: number): void {
    const page = cell >>> CELL_PAGE_SHIFT;
    const place = cell & PLACE_MASK;
    const sizeClass = this.#classes[this.cellWords[page]!]!;
    this.pages[page]![LIVE_WORDS + place * sizeClass.cellWords] = this.#free[page]!;
    this.#free[page] = place + 1;
    const used = this.#used[page]! - 1;
    this.#used[page] = used;
    this.#count--;
    if (this.#state[page] === VICTIM) {
      if (used === 0) this.#drop(page, sizeClass);
      return;
    }
    sizeClass.room++;
    if (used === this.#capacity[page]! - 1) this.#list(page, sizeClass);
    // The last page with room stays, or a cell taken and given back in turn
    // would take and give back a page each time.
    const isAlone = this.#next[page] === NO_PAGE && this.#previous[page] === NO_PAGE;
    if (used === 0 && (!isAlone || this.#capacity[page] === 1)) this.#withdraw(page, sizeClass);
  }

  /** Whether the cell lives. */
  isLive(cell: number): boolean {
    const words = this.pages[cell >>> CELL_PAGE_SHIFT]!;
    return ((words[(cell & PLACE_MASK) >>> 5]! >>> (cell & 31)) & 1) === 1;
  }

  /** Where the cell begins in its page, in words. */
  startOf(cell: number): number {
    return LIVE_WORDS + (cell & PLACE_MASK) * this.cellWords[cell >>> CELL_PAGE_SHIFT]!;
  }

  /** Whether many pages wait to be emptied: an eighth of all, and four. */
  get isOverdue(): boolean {
    return this.#condemned.length > 4 + (this.pages.length - this.#absent.length) / 8;
  }

  /**
   * The page whose live cells are to move elsewhere, or -1 if there is none, or
   * no room. It takes no new cells, and stays the same until none lives there.
   */
  victim(): number {
    if (this.#victim !== NO_PAGE && this.#live[this.#victim]! > 0) return this.#victim;
    this.#victim = NO_PAGE;
    for (let left = this.#condemned.length; left > 0; left--) {
      const page = this.#condemned.shift()!;
      if (this.#state[page] !== CONDEMNED) continue;
      const live = this.#live[page]!;
      const sizeClass = this.#classes[this.cellWords[page]!]!;
      if (live * 2 >= this.#capacity[page]!) {
        this.#state[page] = IN_USE;
      } else if (sizeClass.room - (this.#capacity[page]! - this.#used[page]!) < live) {
        this.#condemned.push(page);
      } else {
        this.#empty(page, sizeClass);
        if (live > 0) {
          this.#victim = page;
          return page;
        }
      }
    }
    return NO_PAGE;
  }

  /** Places of a page. */
  placesOf(page: number): number {
    return this.#fresh[page]!;
  }

  /** Gives back the empty pages that are held in reserve. */
  trim(): void {
    for (const sizeClass of this.#classes) {
      const page = sizeClass?.roomy ?? NO_PAGE;
      if (sizeClass !== undefined && page !== NO_PAGE && this.#used[page] === 0) {
        this.#withdraw(page, sizeClass);
      }
    }
  }

  /** Adds the bytes of the pages that exist to `pages`, in the order of their numbers. */
  save(pages: Uint8Array[]): CellPagesImage {
    for (const page of this.pages) if (page.length > 0) pages.push(bytesOf(page));
    return {
      cellWords: this.cellWords,
      capacity: this.#capacity,
      used: this.#used,
      live: this.#live,
      fresh: this.#fresh,
      free: this.#free,
      next: this.#next,
      previous: this.#previous,
      state: this.#state,
      absent: this.#absent,
      condemned: this.#condemned,
      classes: this.#classes.filter((sizeClass) => sizeClass !== undefined),
      victim: this.#victim,
      count: this.#count,
      liveCount: this.#liveCount,
    };
  }

  /** Makes the cells, none yet, what `image` says; the pages are added to `pages`, to be filled. */
  restore(image: CellPagesImage, pages: Uint8Array[]): void {
    const absent = new Set(image.absent);
    for (const [page, cellWords] of image.cellWords.entries()) {
      const bytes = (LIVE_WORDS + image.capacity[page]! * cellWords) * 4;
      const words = absent.has(page) ? ABSENT : new Int32Array(new SharedArrayBuffer(bytes));
      this.pages.push(words);
      this.#bytes += words.byteLength;
      if (words.length > 0) pages.push(bytesOf(words));
    }
    append(this.cellWords, image.cellWords);
    append(this.#capacity, image.capacity);
    append(this.#used, image.used);
    append(this.#live, image.live);
    append(this.#fresh, image.fresh);
    append(this.#free, image.free);
    append(this.#next, image.next);
    append(this.#previous, image.previous);
    append(this.#state, image.state);
    append(this.#absent, image.absent);
    append(this.#condemned, image.condemned);
    for (const sizeClass of image.classes) this.#classes[sizeClass.cellWords] = { ...sizeClass };
    this.#victim = image.victim;
    this.#count = image.count;
    this.#liveCount = image.liveCount;
  }

  #classOf(bytes: number): SizeClass {
    const words = cellWordsOf(bytes);
    let sizeClass = this.#classes[words];
    if (sizeClass === undefined) {
      sizeClass = { cellWords: words, roomy: NO_PAGE, pages: 0, room: 0 };
      this.#classes[words] = sizeClass;
    }
    return sizeClass;
  }

  #capacityOf(sizeClass: SizeClass): number {
    const cellBytes = sizeClass.cellWords * 4;
    if (cellBytes > SHARED_CELL_BYTES_MAX) return 1;
    const bytes = Math.min(FIRST_PAGE_BYTES * 2 ** sizeClass.pages, PAGE_BYTES);
    return Math.min(Math.max(1, Math.floor(bytes / cellBytes)), PLACES);
  }

  #pageBytesOf(sizeClass: SizeClass): number {
    return (LIVE_WORDS + this.#capacityOf(sizeClass) * sizeClass.cellWords) * 4;
  }

  #addPage(sizeClass: SizeClass): number {
    const page = this.#absent.pop() ?? this.pages.length;
    if (page >= PAGES_MAX) throw new KvixError("INDEX_FULL", "the index has used its last page");
    const capacity = this.#capacityOf(sizeClass);
    const bytes = this.#pageBytesOf(sizeClass);
    this.pages[page] = new Int32Array(new SharedArrayBuffer(bytes));
    this.cellWords[page] = sizeClass.cellWords;
    this.#capacity[page] = capacity;
    this.#used[page] = 0;
    this.#live[page] = 0;
    this.#fresh[page] = 0;
    this.#free[page] = 0;
    this.#state[page] = IN_USE;
    this.#bytes += bytes;
    sizeClass.pages++;
    sizeClass.room += capacity;
    this.#list(page, sizeClass);
    return page;
  }

  /** Takes a condemned page out of use. */
  #empty(page: number, sizeClass: SizeClass): void {
    this.#state[page] = VICTIM;
    const room = this.#capacity[page]! - this.#used[page]!;
    sizeClass.room -= room;
    if (room > 0) this.#unlist(page, sizeClass);
    if (this.#used[page] === 0) this.#drop(page, sizeClass);
  }

  /** Gives back a page that is on the list, and empty. */
  #withdraw(page: number, sizeClass: SizeClass): void {
    sizeClass.room -= this.#capacity[page]!;
    this.#unlist(page, sizeClass);
    this.#drop(page, sizeClass);
  }

  #drop(page: number, sizeClass: SizeClass): void {
    this.#bytes -= this.pages[page]!.byteLength;
    this.pages[page] = ABSENT;
    this.#state[page] = IN_USE;
    // The next page of this number is not the victim.
    if (page === this.#victim) this.#victim = NO_PAGE;
    this.#absent.push(page);
    sizeClass.pages--;
  }

  #list(page: number, sizeClass: SizeClass): void {
    this.#previous[page] = NO_PAGE;
    this.#next[page] = sizeClass.roomy;
    if (sizeClass.roomy !== NO_PAGE) this.#previous[sizeClass.roomy] = page;
    sizeClass.roomy = page;
  }

  #unlist(page: number, sizeClass: SizeClass): void {
    const next = this.#next[page]!;
    const previous = this.#previous[page]!;
    if (next !== NO_PAGE) this.#previous[next] = previous;
    if (previous === NO_PAGE) sizeClass.roomy = next;
    else this.#next[previous] = next;
  }
}

/** Words of the smallest cell that so many bytes fit into. */
export function cellWordsOf(bytes: number): number {
  const step = bytes <= FINE_BYTES_MAX ? 8 : 2 ** (28 - Math.clz32(bytes - 1));
  return (Math.ceil(bytes / step) * step) / 4;
}
