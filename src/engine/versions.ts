/**
 * The store-wide version counter. A version is never used twice, whatever was
 * lost (V15): blocks are reserved in the manifest before their first use, and
 * an open that does not follow a clean close starts at the mark.
 */

import { KvixError } from "../base/kvix-error.js";
import { VERSION_MAX } from "../base/limits.js";

/** How many versions one manifest change reserves. */
export const VERSION_BLOCK = 2 ** 20;

/** Gives out versions; knows how far they are reserved. */
export class Versions {
  #next: number;
  #mark: number;

  /** `next` is the first version to give; all below `mark` are reserved on disk. */
  constructor(next: number, mark: number) {
    this.#next = next;
    this.#mark = mark;
  }

  /** The newest version given, or that was there before. */
  get last(): number {
    return this.#next - 1;
  }

  /** A new version. It may be used in memory at once, on disk only below the mark. */
  take(): number {
    if (this.#next > VERSION_MAX) throw new KvixError("VERSIONS_EXHAUSTED");
    const version = this.#next;
    this.#next += 1;
    return version;
  }

  /** Throws VERSIONS_EXHAUSTED unless `count` more can be given. */
  requireRoomFor(count: number): void {
    if (this.#next + count - 1 > VERSION_MAX) throw new KvixError("VERSIONS_EXHAUSTED");
  }

  /** Whether `version` is reserved on disk. */
  isReserved(version: number): boolean {
    return version < this.#mark;
  }

  /** Whether half of the reserved block is used up, and there is another to reserve. */
  get isRunningLow(): boolean {
    return this.#mark <= VERSION_MAX && this.#mark - this.#next < VERSION_BLOCK / 2;
  }

  /** The mark of the next reservation, which covers `version`. */
  nextMark(version: number): number {
    const mark = Math.max(version + 1, this.#mark, this.#next) + VERSION_BLOCK;
    return Math.min(mark, VERSION_MAX + 1);
  }

  /** To be called when the manifest has the new mark. */
  reservedTo(mark: number): void {
    if (mark > this.#mark) this.#mark = mark;
  }
}
