/**
 * Moves the live keys out of key pages that are mostly garbage, a few at a
 * time, until the page is empty and goes back.
 *
 * A cell does not name its entry: the live key is looked up like any other.
 */
import { KvixError } from "../../base/kvix-error.js";
import { NO_ENTRY } from "./entry-table.js";
import { cellBytesOf, SHARED_CELL_BYTES_MAX } from "./key-arena.js";
import type { KeyTable } from "./key-table.js";
import type { StepMeter } from "./step-meter.js";

/** Bytes of cells that a step walks over at most, but for the last cell. */
const STEP_BYTES = 12 * 1024;
/** What a step may touch: each of these bytes read and written, the last cell too. */
export const EVACUATION_STEP_BYTES = 2 * (STEP_BYTES + SHARED_CELL_BYTES_MAX);

/** The walk through one victim after the other. */
export class ArenaEvacuation {
  readonly #keys: KeyTable;
  readonly #meter: StepMeter;
  readonly #find: (source: Uint8Array, start: number, end: number) => number;
  #page = -1;
  #offset = 0;

  constructor(
    keys: KeyTable,
    meter: StepMeter,
    find: (source: Uint8Array, start: number, end: number) => number,
  ) {
    this.#keys = keys;
    this.#meter = meter;
    this.#find = find;
  }

  /** Moves some keys; false if there is no victim. */
  step(): boolean {
    const arena = this.#keys.arena;
    const page = arena.victim();
    if (page < 0) return false;
    if (page !== this.#page) {
      this.#page = page;
      this.#offset = 0;
    }
    const end = Math.min(this.#offset + STEP_BYTES, arena.filledBytesOf(page));
    // The page goes back with its last live key, before the end is reached.
    while (this.#offset < end && arena.pages[page]!.length > 0) {
      const offset = this.#offset;
      const cellBytes = cellBytesOf(arena.lengthAt(page, offset));
      this.#offset += cellBytes;
      this.#meter.add(arena.isGone(page, offset) ? 1 : 2 * cellBytes);
      if (!arena.isGone(page, offset)) this.#move(page, offset);
    }
    if (arena.pages[page]!.length === 0) this.#page = -1;
    return true;
  }

  #move(page: number, offset: number): void {
    const arena = this.#keys.arena;
    const bytes = arena.pages[page]!;
    const start = arena.startAt(page, offset);
    const end = start + arena.lengthAt(page, offset);
    const entry = this.#find(bytes, start, end);
    if (entry === NO_ENTRY) throw new KvixError("INTERNAL_BUG", "a live key has no entry");
    arena.append(bytes, start, end);
    this.#keys.entries.moveKey(entry, arena.page, arena.offset);
    arena.release(page, offset);
  }
}
