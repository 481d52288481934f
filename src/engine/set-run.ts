/**
 * A run of sets: plain records that are set one after the other and go through the
 * queue as one operation, for those who have very many: what an operation costs is
 * then paid once for all of them.
 *
 *     a set, a set, a set -> one operation, a frame for each set -> one outcome
 *
 * Each set is what one of its own would be: without a condition, never expiring, with a
 * version and a frame of its own. They take effect in their order, are written, synced
 * and published together, and are refused together, but for INDEX_FULL, which each is
 * refused with alone.
 */
import type { KvixError } from "../base/kvix-error.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import { RECORD_TAIL_BYTES_MAX } from "../format/record.js";
import type { Durability } from "./store-records.js";

/** The sets of a run, one behind the other. */
export interface SetRun {
  /** Holds their keys and values; it is not to change until the outcome is heard. */
  readonly source: Uint8Array;
  /** PLACES_PER_RECORD numbers for each: where in `source` its key starts and ends, and its value. */
  readonly places: Int32Array;
}

/** What goes with a run. */
export interface SetRunOptions {
  /** Left out: the store's own setting. */
  readonly durability?: Durability | undefined;
  /** Gives up before the hand-off to the log (CANCELLED), never after. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of a run. */
export interface SetRunResult {
  /** The version of the first set that was applied; each one after it has the next. */
  readonly firstVersion: number;
  /** Sets that were refused, by their number in the run, from 0, in order; undefined: none was. */
  readonly refused: ReadonlyMap<number, KvixError> | undefined;
}

/** The largest run worth having, as `setRunBytes` counts. */
export const SET_RUN_BYTES_MAX = 64 * 1024;

/** Tags and lengths of a key and a value, in bytes, at most. */
const FIELD_HEADS_BYTES_MAX = 12;

/** How many bytes a set makes a run longer, and at most its frame. */
export function setRunBytes(keyBytes: number, valueBytes: number): number {
  const aroundBytes = FRAME_HEADER_BYTES + FIELD_HEADS_BYTES_MAX + RECORD_TAIL_BYTES_MAX;
  return keyBytes + valueBytes + aroundBytes;
}
