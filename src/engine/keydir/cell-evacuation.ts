/**
 * Empties pages of cells that are mostly garbage: their live entries move to
 * other pages, a few at a time, and the page goes back once the order has let
 * go of its numbers.
 *
 * An entry that moves gets another number. For the order that is a removal and
 * a put; for whoever walks, a reason to seek again.
 */
import { CELL_PAGE_SHIFT, SHARED_CELL_BYTES_MAX } from "./cell-pages.js";
import type { EntryTable } from "./entry-table.js";
import { SEAL_BYTES_MAX } from "./key-order.js";
import type { StepMeter } from "./step-meter.js";

/** Bytes of cells that a step moves at most, but for the last cell. */
const STEP_BYTES = 4 * 1024;
/** Places that a step looks at. */
const STEP_PLACES = 1024;
/** What a step may touch: each of these bytes read and written, the last cell too; and a seal. */
export const EVACUATION_STEP_BYTES = 2 * (STEP_BYTES + SHARED_CELL_BYTES_MAX) + SEAL_BYTES_MAX;

/** The walk through one victim after the other. */
export class CellEvacuation {
  readonly #entries: EntryTable;
  readonly #meter: StepMeter;
  readonly #move: (entry: number) => void;
  #page = -1;
  #place = 0;

  /** `move` gives an entry another number, in the table and wherever it is named. */
  constructor(entries: EntryTable, meter: StepMeter, move: (entry: number) => void) {
    this.#entries = entries;
    this.#meter = meter;
    this.#move = move;
  }

  /** Moves some entries, but not `kept`; false if there is no victim, or no room. */
  step(kept: number): boolean {
    const { cells } = this.#entries;
    const page = cells.victim();
    if (page < 0) return false;
    if (page !== this.#page) {
      this.#page = page;
      this.#place = 0;
    }
    const cellBytes = cells.cellWords[page]! * 4;
    const end = Math.min(this.#place + STEP_PLACES, cells.placesOf(page));
    for (let movedBytes = 0; this.#place < end && movedBytes < STEP_BYTES; this.#place++) {
      const entry = page * (1 << CELL_PAGE_SHIFT) + this.#place;
      if (entry === kept || !cells.isLive(entry)) continue;
      this.#meter.add(2 * cellBytes);
      movedBytes += cellBytes;
      this.#move(entry);
    }
    // Then it is another victim's turn, or that of what was kept.
    if (this.#place === cells.placesOf(page)) this.#page = -1;
    return true;
  }
}
