/** What the floors above ask of many records at once: batches of keys, scans, range deletes. */
import type { Durability, KeyRange, ListedRecord } from "./store-records.js";

/** How a batch of keys is read. */
export interface BatchGetOptions {
  /** Only what the index knows; the disk is not touched. */
  readonly keysOnly?: boolean | undefined;
  /**
   * The most bytes of the answer: 1 to 4 MiB, which is the default. Each record counts
   * for its encoding, or without a value for its key, and for what lies around it. The
   * first is answered in any case.
   */
  readonly bytesMax?: number | undefined;
  /** Gives up (CANCELLED). */
  readonly signal?: AbortSignal | undefined;
}

/** What stands under a key; "unread": the answer was full before, it is to be asked for again. */
export type BatchGetEntry = ListedRecord | "absent" | "unread";

/** What stands under each of several keys. */
export interface BatchGetResult {
  /** One for each key, in the order of the keys. */
  readonly entries: readonly BatchGetEntry[];
  /** The answer shows exactly what was published by this version. */
  readonly version: number;
}

/** What a scan is to tell. */
export interface ScanOptions extends KeyRange {
  /** From the last key down. */
  readonly reverse?: boolean | undefined;
  /** Only what the index knows; the disk is not touched. */
  readonly keysOnly?: boolean | undefined;
  /** The most records: 1 to 2^53 - 1; left out: all. */
  readonly limit?: number | undefined;
  /** Parts are wanted as bytes, so spaced. */
  readonly spacing?: RecordSpacing | undefined;
  /** The most bytes of a part, as of a page of List: 1 to 4 MiB, which is the default. */
  readonly bytesMax?: number | undefined;
  /** Gives up (CANCELLED). */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What is to be left free around records that lie one after the other in one piece of
 * memory, in bytes: for what goes with them in a message.
 */
export interface RecordSpacing {
  /** Before and after a record whose encoding has so many bytes. */
  before(recordBytes: number): number;
  after(recordBytes: number): number;
  /** Behind the last one. */
  readonly behind: number;
}

/** The encoded records of a part in one piece of memory, spaced. */
export interface PackedRecords {
  /** They belong to who takes the part. */
  readonly bytes: Uint8Array;
  /** The lengths of the records, in their order. */
  readonly recordBytes: readonly number[];
}

/** The next records of a scan. */
export interface ScanPart {
  /**
   * In key order; at least one. None was expired when the scan began. Records may share
   * up to 64 KiB of memory: what outlives the part is better copied.
   */
  readonly records: readonly ListedRecord[];
  /**
   * Instead of `records`, which are none then: the same as bytes. Only if `spacing` was
   * given, and if no record comes without its value.
   */
  readonly packed?: PackedRecords | undefined;
  /** The version that the whole scan shows: exactly what was published by then. */
  readonly version: number;
}

/**
 * A scan. It begins when it is first asked for a part, and keeps what it reads until it
 * is at its end, fails, or is left (`return`): so a loop over it keeps nothing behind.
 */
export interface Scan extends AsyncIterableIterator<ScanPart, undefined> {
  /**
   * Where another scan goes on behind all parts that were given: no record up to this
   * key (down to it, in reverse) is still to come. Undefined: nothing was passed yet.
   */
  readonly after: Uint8Array | undefined;
}

/** Which records are removed. */
export interface DeleteRangeOptions extends KeyRange {
  /** All of them: must be said, where neither a prefix nor a bound is given. */
  readonly all?: boolean | undefined;
  /** Only count. */
  readonly dryRun?: boolean | undefined;
  /** The most records: 1 to 10,000, which is the default. */
  readonly limit?: number | undefined;
  /** Left out: the store's own setting. */
  readonly durability?: Durability | undefined;
  /** Gives up (CANCELLED); what was handed to the log before stays removed. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of a range. */
export interface DeleteRangeResult {
  /** How many visible records were removed or, in a dry run, would be. */
  readonly count: number;
  /** There are more of them, or may be. */
  readonly more: boolean;
}
