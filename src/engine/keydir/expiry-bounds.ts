/**
 * Lower bounds of the soonest expiry, so that the sweep passes over entries of
 * which none is due.
 *
 * One bound for each block of 256 entry numbers, one for each page of 32
 * blocks. A write lowers them; nothing but a look at the whole block raises
 * them. A bound may be too low (the entry was removed or lives longer now):
 * that costs one look. It is never too high.
 */

import { bytesOf } from "./page-bytes.js";

/** Entries under one bound. */
export const EXPIRY_BLOCK_ENTRIES = 256;
const BLOCK_SHIFT = 8;
const BLOCKS = 32;
const PAGE_SHIFT = 13;
const NONE = new Float64Array(0);

/** The bounds beside those of the blocks, for a checkpoint. */
export interface ExpiryBoundsImage {
  /** By page; null: Infinity. */
  readonly pages: readonly (number | null)[];
  /** The pages that have bounds of blocks. */
  readonly filled: readonly number[];
}

/** The bounds, in Unix milliseconds; Infinity where nothing expires. */
export class ExpiryBounds {
  readonly #blocks: Float64Array[] = [];
  readonly #pages: number[] = [];
  #bytes = 0;

  /** Bytes allocated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Pages of 8,192 entries that the bounds reach to. */
  get pageCount(): number {
    return this.#pages.length;
  }

  /** Bytes that `entries` more would allocate at most. */
  bytesFor(entries: number): number {
    return Math.ceil(entries / (BLOCKS * EXPIRY_BLOCK_ENTRIES)) * BLOCKS * 8;
  }

  /** `entry` expires at `expiresAtMs`. */
  lower(entry: number, expiresAtMs: number): void {
    const page = entry >>> PAGE_SHIFT;
    while (this.#pages.length <= page) {
      this.#pages.push(Number.POSITIVE_INFINITY);
      this.#blocks.push(NONE);
    }
    let blocks = this.#blocks[page]!;
    if (blocks.length === 0) {
      blocks = new Float64Array(BLOCKS).fill(Number.POSITIVE_INFINITY);
      this.#blocks[page] = blocks;
      this.#bytes += BLOCKS * 8;
    }
    const block = (entry >>> BLOCK_SHIFT) & (BLOCKS - 1);
    if (expiresAtMs < blocks[block]!) blocks[block] = expiresAtMs;
    if (expiresAtMs < this.#pages[page]!) this.#pages[page] = expiresAtMs;
  }

  /** A bound of all entries of a page. */
  ofPage(page: number): number {
    return this.#pages[page] ?? Number.POSITIVE_INFINITY;
  }

  /** A bound of the block that begins with `entry`. */
  ofBlock(entry: number): number {
    const blocks = this.#blocks[entry >>> PAGE_SHIFT] ?? NONE;
    return blocks[(entry >>> BLOCK_SHIFT) & (BLOCKS - 1)] ?? Number.POSITIVE_INFINITY;
  }

  /** The block that begins with `entry` was looked through; its soonest expiry is this. */
  raise(entry: number, soonestMs: number): void {
    const page = entry >>> PAGE_SHIFT;
    const blocks = this.#blocks[page]!;
    blocks[(entry >>> BLOCK_SHIFT) & (BLOCKS - 1)] = soonestMs;
    let soonest = Number.POSITIVE_INFINITY;
    for (const bound of blocks) if (bound < soonest) soonest = bound;
    this.#pages[page] = soonest;
  }

  /** Adds the bounds of blocks to `pages`. */
  save(pages: Uint8Array[]): ExpiryBoundsImage {
    const filled: number[] = [];
    for (let page = 0; page < this.#blocks.length; page++) {
      if (this.#blocks[page]!.length > 0) filled.push(page);
    }
    const bounds = new Float64Array(filled.length * BLOCKS);
    for (const [index, page] of filled.entries()) bounds.set(this.#blocks[page]!, index * BLOCKS);
    if (bounds.length > 0) pages.push(bytesOf(bounds));
    return {
      pages: this.#pages.map((bound) => (Number.isFinite(bound) ? bound : null)),
      filled,
    };
  }

  /** Makes the bounds, which are new, what `image` says; those of blocks are to be filled. */
  restore(image: ExpiryBoundsImage, pages: Uint8Array[]): void {
    for (const bound of image.pages) {
      this.#pages.push(bound ?? Number.POSITIVE_INFINITY);
      this.#blocks.push(NONE);
    }
    const bounds = new Float64Array(image.filled.length * BLOCKS);
    for (const [index, page] of image.filled.entries()) {
      this.#blocks[page] = bounds.subarray(index * BLOCKS, (index + 1) * BLOCKS);
    }
    if (bounds.length > 0) pages.push(bytesOf(bounds));
    this.#bytes = bounds.byteLength;
  }

  /** Forgets everything; for when no entry is left. */
  clear(): void {
    this.#blocks.length = 0;
    this.#pages.length = 0;
    this.#bytes = 0;
  }
}
