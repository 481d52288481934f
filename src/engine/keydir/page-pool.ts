/**
 * Blocks of one size in shared pages of one size.
 *
 *     page: [block 0][block 1] ... [block n-1][trailer]
 *     block number = page number * n + place in the page
 *
 * A page is one SharedArrayBuffer of fixed length (a growable one costs ten
 * times as much per load). Memory grows a page at a time, nothing is copied,
 * and a page goes back as soon as it is empty and another has room.
 *
 * Invariants
 *   1. A page is on the list of pages with room iff it exists and is not full.
 *   2. A free block's first word links to the next free block of its page
 *      (place + 1; 0 ends); the words after it are whatever they were.
 *   3. Places from `fresh` on were never used: their bytes are zero.
 */
import { KvixError } from "../../base/kvix-error.js";
import { append, bytesOf } from "./page-bytes.js";

/** How a pool cuts its pages. */
export interface PageShape {
  /** 32-bit words of a block. */
  readonly blockWords: number;
  /** Blocks of a page: a power of two. */
  readonly blocksPerPage: number;
  /** Words at the end of each page that belong to the owner. */
  readonly trailerWords: number;
  /** The most pages there may be. */
  readonly pagesMax: number;
}

/** A pool beside its pages, for a checkpoint: by page, and what belongs to no page. */
export interface PagePoolImage {
  readonly used: readonly number[];
  readonly fresh: readonly number[];
  readonly free: readonly number[];
  readonly next: readonly number[];
  readonly previous: readonly number[];
  readonly absent: readonly number[];
  readonly roomy: number;
  readonly blockCount: number;
}

const NO_PAGE = -1;
const ABSENT = new Int32Array(0);

/** A pool of equal blocks. */
export class PagePool {
  /** The pages by number; one that went back is empty. */
  readonly pages: Int32Array[] = [];
  readonly #blockWords: number;
  readonly #blocksPerPage: number;
  readonly #pageShift: number;
  readonly #pageWords: number;
  readonly #pagesMax: number;
  readonly #used: number[] = [];
  readonly #fresh: number[] = [];
  readonly #free: number[] = [];
  readonly #next: number[] = [];
  readonly #previous: number[] = [];
  readonly #absent: number[] = [];
  #roomy = NO_PAGE;
  #pageCount = 0;
  #blockCount = 0;

  constructor(shape: PageShape) {
    this.#blockWords = shape.blockWords;
    this.#blocksPerPage = shape.blocksPerPage;
    this.#pageShift = 31 - Math.clz32(shape.blocksPerPage);
    this.#pageWords = shape.blockWords * shape.blocksPerPage + shape.trailerWords;
    this.#pagesMax = shape.pagesMax;
  }

  /** Bytes of one page. */
  get pageBytes(): number {
    return this.#pageWords * 4;
  }

  /** Bytes of all pages. */
  get bytes(): number {
    return this.#pageCount * this.#pageWords * 4;
  }

  /** Blocks in use. */
  get blockCount(): number {
    return this.#blockCount;
  }

  /** The bytes of pages that allocating `blocks` more would add. */
  bytesFor(blocks: number): number {
    const room = this.#pageCount * this.#blocksPerPage - this.#blockCount;
    if (blocks <= room) return 0;
    return Math.ceil((blocks - room) / this.#blocksPerPage) * this.pageBytes;
  }

  /** Takes a block; its words are not cleared. Throws INDEX_FULL past the last page number. */
  allocate(): number {
    const page = this.#roomy === NO_PAGE ? this.#addPage() : this.#roomy;
    let place = this.#free[page]! - 1;
    if (place >= 0) {
      this.#free[page] = this.pages[page]![place * this.#blockWords]!;
    } else {
      place = this.#fresh[page]!;
      this.#fresh[page] = place + 1;
    }
    const used = this.#used[page]! + 1;
    this.#used[page] = used;
    this.#blockCount++;
    if (used === this.#blocksPerPage) this.#unlist(page);
    return page * this.#blocksPerPage + place;
  }

  /** Gives a block back. */
  free(block: number): void {
    const page = block >>> this.#pageShift;
    const place = block & (this.#blocksPerPage - 1);
    this.pages[page]![place * this.#blockWords] = this.#free[page]!;
    this.#free[page] = place + 1;
    const used = this.#used[page]! - 1;
    this.#used[page] = used;
    this.#blockCount--;
    if (used === this.#blocksPerPage - 1) this.#list(page);
    // The last page with room stays, or a block taken and given back in turn
    // would take and give back a page each time.
    if (used === 0 && (this.#next[page] !== NO_PAGE || this.#previous[page] !== NO_PAGE)) {
      this.#dropPage(page);
    }
  }

  /** Gives back the empty page that free() keeps, if nothing is in use. */
  trim(): void {
    if (this.#blockCount === 0 && this.#roomy !== NO_PAGE) this.#dropPage(this.#roomy);
  }

  /** Adds the bytes of the pages that exist to `pages`, in the order of their numbers. */
  save(pages: Uint8Array[]): PagePoolImage {
    for (const page of this.pages) if (page.length > 0) pages.push(bytesOf(page));
    return {
      used: this.#used,
      fresh: this.#fresh,
      free: this.#free,
      next: this.#next,
      previous: this.#previous,
      absent: this.#absent,
      roomy: this.#roomy,
      blockCount: this.#blockCount,
    };
  }

  /** Makes the pool, which is new, what `image` says; its pages are added to `pages`, to be filled. */
  restore(image: PagePoolImage, pages: Uint8Array[]): void {
    const absent = new Set(image.absent);
    for (let page = 0; page < image.used.length; page++) {
      const isAbsent = absent.has(page);
      const words = isAbsent ? ABSENT : new Int32Array(new SharedArrayBuffer(this.pageBytes));
      this.pages.push(words);
      if (!isAbsent) pages.push(bytesOf(words));
    }
    append(this.#used, image.used);
    append(this.#fresh, image.fresh);
    append(this.#free, image.free);
    append(this.#next, image.next);
    append(this.#previous, image.previous);
    append(this.#absent, image.absent);
    this.#roomy = image.roomy;
    this.#pageCount = image.used.length - absent.size;
    this.#blockCount = image.blockCount;
  }

  #addPage(): number {
    const page = this.#absent.pop() ?? this.pages.length;
    if (page >= this.#pagesMax) {
      throw new KvixError("INDEX_FULL", "the index has used its last page number");
    }
    this.pages[page] = new Int32Array(new SharedArrayBuffer(this.#pageWords * 4));
    this.#used[page] = 0;
    this.#fresh[page] = 0;
    this.#free[page] = 0;
    this.#pageCount++;
    this.#list(page);
    return page;
  }

  #dropPage(page: number): void {
    this.#unlist(page);
    this.pages[page] = ABSENT;
    this.#absent.push(page);
    this.#pageCount--;
  }

  #list(page: number): void {
    this.#previous[page] = NO_PAGE;
    this.#next[page] = this.#roomy;
    if (this.#roomy !== NO_PAGE) this.#previous[this.#roomy] = page;
    this.#roomy = page;
  }

  #unlist(page: number): void {
    const next = this.#next[page]!;
    const previous = this.#previous[page]!;
    if (next !== NO_PAGE) this.#previous[next] = previous;
    if (previous === NO_PAGE) this.#roomy = next;
    else this.#next[previous] = next;
  }
}
