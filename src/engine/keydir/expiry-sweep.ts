/**
 * Finds entries whose time has come, without reading a key (T8).
 *
 * A hand goes round over the entry numbers. Pages and blocks whose bound lies
 * in the future are passed over; a block that may hold something due is looked
 * through, and its bound is set right. One call looks through at most 64
 * blocks, so it ends soon however many entries there are.
 */

import { ENTRY_PAGE_SHIFT, type EntryTable } from "./entry-table.js";
import { EXPIRY_BLOCK_ENTRIES } from "./expiry-bounds.js";

const BLOCKS_PER_CALL = 64;
const PAGE_ENTRIES = 1 << ENTRY_PAGE_SHIFT;

/** The hand that goes round. */
export class ExpirySweep {
  readonly #entries: EntryTable;
  readonly #due = new Float64Array(EXPIRY_BLOCK_ENTRIES);
  /** The entry number to go on with. */
  #hand = 0;

  constructor(entries: EntryTable) {
    this.#entries = entries;
  }

  /**
   * Visits up to `limit` live entries with 0 < expiry <= `nowMs`. True if more
   * may be due: call again. An entry that the visitor leaves in place is
   * visited again only after the hand has gone round.
   */
  visitDue(nowMs: number, limit: number, visit: (entry: number) => void): boolean {
    const bounds = this.#entries.expiry;
    const size = bounds.pageCount * PAGE_ENTRIES;
    if (this.#hand >= size) this.#hand = 0;
    let passed = 0;
    let visited = 0;
    let looked = 0;
    while (passed < size) {
      const at = this.#hand;
      let next = at + EXPIRY_BLOCK_ENTRIES - (at % EXPIRY_BLOCK_ENTRIES);
      if (bounds.ofPage(at >>> ENTRY_PAGE_SHIFT) > nowMs) {
        next = at + PAGE_ENTRIES - (at % PAGE_ENTRIES);
      } else if (bounds.ofBlock(at) <= nowMs) {
        if (looked === BLOCKS_PER_CALL || visited >= limit) return true;
        looked++;
        next = this.#lookThrough(at, next, nowMs, limit - visited);
        visited += this.#visit(visit);
      }
      passed += next - at;
      this.#hand = next >= size ? 0 : next;
    }
    return false;
  }

  #found = 0;

  /** Collects up to `limit` due entries of [from, end), and answers where to go on. */
  #lookThrough(from: number, end: number, nowMs: number, limit: number): number {
    const entries = this.#entries;
    let soonestMs = Number.POSITIVE_INFINITY;
    this.#found = 0;
    for (let entry = from; entry < end; entry++) {
      if (!entries.isKnownLive(entry)) continue;
      const expiresAtMs = entries.expiresAtMsOf(entry);
      if (expiresAtMs === 0) continue;
      if (expiresAtMs < soonestMs) soonestMs = expiresAtMs;
      if (expiresAtMs <= nowMs) {
        if (this.#found === limit) return entry;
        this.#due[this.#found++] = entry;
      }
    }
    // The bound may rise only when the whole block was seen.
    if (from % EXPIRY_BLOCK_ENTRIES === 0) entries.expiry.raise(from, soonestMs);
    return end;
  }

  /** Visits what was collected, unless an earlier visit has removed or renewed it. */
  #visit(visit: (entry: number) => void): number {
    const found = this.#found;
    for (let i = 0; i < found; i++) {
      const entry = this.#due[i]!;
      if (this.#entries.isKnownLive(entry)) visit(entry);
    }
    return found;
  }
}
