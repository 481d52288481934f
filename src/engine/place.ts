/** Places: where the records of an answer lie, and what they take of it. */
import type { ListedRecord, Omission, StoredRecord } from "./store-records.js";

/** What lies around a record in an answer: tags, lengths, size and marks. At most this. */
export const LISTED_OVERHEAD_BYTES = 32;
/** What a record without value and update time has beside its key, all around it included. */
export const BARE_RECORD_BYTES = 72;

/** A record that the index told of, and where it lies; kept by a ticket until it is read. */
export interface Place extends Omit<ListedRecord, "record"> {
  readonly segment: number;
  readonly offset: number;
  /** Undefined: still to be read. */
  record: StoredRecord | Omission | undefined;
}

/** What a record takes of an answer. */
export function costOf({ key, recordBytes, record }: Place): number {
  if (record === undefined) return recordBytes + LISTED_OVERHEAD_BYTES;
  return key.length + BARE_RECORD_BYTES;
}
