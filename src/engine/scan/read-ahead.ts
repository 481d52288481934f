/**
 * How many parts a scan reads at once.
 *
 * Records that lie side by side are read a part at a time. Where they lie scattered over
 * a segment, a read for each of them is half of what a scan costs; the more parts are
 * read at once, the closer together in the file their records lie, and the more of them
 * one read has:
 *
 *     1 part --scattered--> 4 --scattered--> 16 --scattered--> 64 --still--> 1, for good
 *
 * Bounds (V11): what more than one part takes is taken from memory that all scans share;
 * where that is used up a scan goes on part by part.
 */
import type { ByteBudget } from "../byte-budget.js";
import { SMALL_PART_BYTES_MAX } from "./scan-window.js";

const PARTS_MAX = 64;
const GROWTH = 4;
/** What a part counts: its records, and their places and keys with room to grow. */
const PART_COST_BYTES = 3 * SMALL_PART_BYTES_MAX;
/** With fewer records to a read they lie scattered. */
const SCATTERED_RECORDS = 16;
/** With fewer even at the widest, reading ahead gains nothing. */
const HOPELESS_RECORDS = 2;

/** The read-ahead of one scan. */
export class ReadAhead {
  readonly #shared: ByteBudget;
  #wanted = 1;
  #isHopeless = false;
  #parts = 1;
  #heldBytes = 0;

  /** `shared`: the memory that all scans read ahead into. */
  constructor(shared: ByteBudget) {
    this.#shared = shared;
  }

  /** How many parts to read now. Its memory is held until `giveBack`. */
  begin(): number {
    const bytes = this.#wanted * PART_COST_BYTES;
    this.#parts = 1;
    if (this.#wanted > 1 && this.#shared.tryTake(bytes)) {
      this.#heldBytes = bytes;
      this.#parts = this.#wanted;
    }
    return this.#parts;
  }

  /** So many records took so many reads. */
  learn(records: number, reads: number): void {
    if (this.#isHopeless || this.#parts < this.#wanted) return;
    // So few where a large record, or the end, cut the window short: that tells nothing.
    if (records < this.#parts) return;
    if (records >= reads * SCATTERED_RECORDS) return;
    if (this.#wanted < PARTS_MAX) {
      this.#wanted *= GROWTH;
    } else if (records < reads * HOPELESS_RECORDS) {
      this.#isHopeless = true;
      this.#wanted = 1;
    }
  }

  giveBack(): void {
    this.#shared.give(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
