/** What a program asks of many records at once, and what it is answered. */
import { type Data, optionalBytesOf } from "./data.js";
import type { ListedRecord } from "./records.js";
import type { CallOptions, Durability } from "./writes.js";

/** Which keys: those that begin with `prefix`, or those from `start` up to before `end`, or all. */
export interface RangeOptions {
  readonly prefix?: Data | undefined;
  readonly start?: Data | undefined;
  readonly end?: Data | undefined;
}

/** How a range is read. */
export interface RangeReadOptions extends RangeOptions, CallOptions {
  /** From the last key down. */
  readonly reverse?: boolean | undefined;
  /** Without values, which spares the disk. */
  readonly keysOnly?: boolean | undefined;
}

/** What to list. */
export interface ListOptions extends RangeReadOptions {
  /** The most records of a page: 1 to 10,000; by default 1,000. */
  readonly pageSize?: number | undefined;
}

/** One page, as it stood at one point in time. */
export interface ListPage {
  readonly records: readonly ListedRecord[];
  /**
   * For the next page of the same listing at the same store; undefined: there is none.
   * What is in it is the store's own affair.
   */
  readonly after: Uint8Array | undefined;
  /** The page shows exactly what was published by this version. */
  readonly version: number;
}

/** How several keys are read. */
export interface BatchGetOptions extends CallOptions {
  /** Without values, which spares the disk. */
  readonly keysOnly?: boolean | undefined;
}

/** What stands under several keys, at one point in time. */
export interface BatchGetResult {
  /**
   * One for each key, in the order of the keys; undefined: it is absent or expired.
   * "unread": the answer was full before; ask for it again, at another point in time.
   */
  readonly entries: readonly (ListedRecord | undefined | "unread")[];
  /** The answer shows exactly what was published by this version. */
  readonly version: number;
}

/** What to scan. */
export interface ScanOptions extends RangeReadOptions {
  /** The most records; left out: all. */
  readonly limit?: number | undefined;
  /**
   * When the point in time is given up (SNAPSHOT_ENDED), or the connection to the
   * server, go on behind the last key at a newer one. Without it a scan that cannot be
   * gone on with throws.
   */
  readonly resume?: boolean | undefined;
}

/** The records of a range in key order, at one point in time. To be taken once. */
export interface Scan extends AsyncIterableIterator<ListedRecord, undefined> {
  /** The version that the records show; 0 before the first one is there. */
  readonly version: number;
  /** How often it was gone on with at a newer point in time, because `resume` allows it. */
  readonly resumptions: number;
}

/** Which records to remove: a range, or all of them, which must be said. */
export interface DeleteRangeOptions extends RangeOptions, CallOptions {
  readonly all?: boolean | undefined;
  /** Only count. */
  readonly dryRun?: boolean | undefined;
  /** The most records: 1 to 10,000, which is the default. */
  readonly limit?: number | undefined;
  readonly durability?: Durability | undefined;
}

/** What became of a range. */
export interface DeleteRangeResult {
  /** How many records were removed or, in a dry run, would be. */
  readonly count: number;
  /** There may be more of them: call again. */
  readonly more: boolean;
}

/** The bytes of a range's bounds. */
export function rangeOf({ prefix, start, end }: RangeOptions): {
  readonly prefix: Uint8Array | undefined;
  readonly start: Uint8Array | undefined;
  readonly end: Uint8Array | undefined;
} {
  return {
    prefix: optionalBytesOf(prefix, "prefix"),
    start: optionalBytesOf(start, "start"),
    end: optionalBytesOf(end, "end"),
  };
}
