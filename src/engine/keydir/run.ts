/**
 * A run: entry numbers in the order of their keys.
 *
 *     consumed         still there                 to be appended, while merging
 *     ---------- from [ e e e | e e e e | e e ] end
 *
 * The numbers lie in blocks of 1,024. A finished run never changes but at its
 * front: a merge takes numbers off there, and a block goes back once it is
 * taken off whole. So a merge needs no more memory than its inputs had, and
 * every number is in exactly one run at any time.
 */
import { append } from "./page-bytes.js";
import { PagePool } from "./page-pool.js";

/** Entry numbers of a block. */
export const BLOCK_NUMBERS = 1024;
const BLOCK_SHIFT = 10;
const BLOCKS_PER_PAGE = 64;
const PAGE_SHIFT = 6;

/** The pool that runs take their blocks from. */
export function newRunPool(): PagePool {
  return new PagePool({
    blockWords: BLOCK_NUMBERS,
    blocksPerPage: BLOCKS_PER_PAGE,
    trailerWords: 0,
    pagesMax: 2 ** 31 / BLOCKS_PER_PAGE,
  });
}

/** Entry numbers that ascend by key: what merges and cursors read. */
export interface Sequence {
  /** Leading bytes that all its keys have in common, or fewer. */
  readonly sharedBytes: number;
  /** The position of the first number. */
  readonly from: number;
  /** The position after the last. */
  readonly end: number;
  /** The number at a position. */
  at(position: number): number;
}

/** A run beside its numbers, for a checkpoint. */
export interface RunImage {
  readonly sharedBytes: number;
  readonly from: number;
  readonly end: number;
  readonly blocks: readonly number[];
}

/** A sequence in blocks of a pool. */
export class Run implements Sequence {
  sharedBytes: number;
  from = 0;
  end = 0;
  readonly #pool: PagePool;
  readonly #blocks: number[] = [];

  constructor(pool: PagePool, sharedBytes: number) {
    this.#pool = pool;
    this.sharedBytes = sharedBytes;
  }

  /** A run as save() told of it, in a pool that is restored. */
  static restored(pool: PagePool, image: RunImage): Run {
    const run = new Run(pool, image.sharedBytes);
    run.from = image.from;
    run.end = image.end;
    append(run.#blocks, image.blocks);
    return run;
  }

  /** The run without the blocks that were taken off. */
  save(): RunImage {
    const gone = this.from >>> BLOCK_SHIFT;
    return {
      sharedBytes: this.sharedBytes,
      from: this.from - gone * BLOCK_NUMBERS,
      end: this.end - gone * BLOCK_NUMBERS,
      blocks: this.#blocks.slice(gone),
    };
  }

  /** Numbers in the run. */
  get length(): number {
    return this.end - this.from;
  }

  at(position: number): number {
    const block = this.#blocks[position >>> BLOCK_SHIFT]!;
    const page = this.#pool.pages[block >>> PAGE_SHIFT]!;
    const base = (block & (BLOCKS_PER_PAGE - 1)) << BLOCK_SHIFT;
    return page[base + (position & (BLOCK_NUMBERS - 1))]! >>> 0;
  }

  /** Appends a number; its key is above all others of the run. */
  push(entry: number): void {
    const position = this.end++;
    if ((position & (BLOCK_NUMBERS - 1)) === 0) this.#blocks.push(this.#pool.allocate());
    const block = this.#blocks[this.#blocks.length - 1]!;
    const base = (block & (BLOCKS_PER_PAGE - 1)) << BLOCK_SHIFT;
    this.#pool.pages[block >>> PAGE_SHIFT]![base + (position & (BLOCK_NUMBERS - 1))] = entry;
  }

  /** Takes the first number off. */
  shift(): number {
    const position = this.from++;
    const entry = this.at(position);
    const isLastOfBlock = (this.from & (BLOCK_NUMBERS - 1)) === 0;
    if (isLastOfBlock || this.from === this.end) {
      this.#pool.free(this.#blocks[position >>> BLOCK_SHIFT]!);
    }
    return entry;
  }
}
