/**
 * One interface to a store, whatever is behind it: the embedded store (`open`) and
 * the client of a server (`connect`). A suite of tests holds both to it, and a model
 * in memory beside them (test/conformance).
 *
 * Keys and values are bytes or strings (as UTF-8). Bytes that are handed over must
 * not be changed until the call's promise settles. Errors are KvixErrors: match on
 * `reason`. Absence is a value, and so is a condition that was not met.
 */
import type {
  CommitOptions,
  CommitResult,
  IncrementOptions,
  IncrementResult,
  Mutation,
} from "./commits.js";
import type { Data } from "./data.js";
import type {
  BatchGetOptions,
  BatchGetResult,
  DeleteRangeOptions,
  DeleteRangeResult,
  ListOptions,
  ListPage,
  Scan,
  ScanOptions,
} from "./reads.js";
import type { KvixRecord, ListedRecord } from "./records.js";
import type { Download, UploadOptions, UploadResult, UploadSource } from "./transfers.js";
import type { WatchBatch, WatchOptions } from "./watches.js";
import type {
  CallOptions,
  DeleteResult,
  SetOptions,
  SetResult,
  TouchOptions,
  TouchResult,
  WriteOptions,
} from "./writes.js";

/** A durable, ordered, conditional key-value store. */
export interface KeyValueStore extends AsyncDisposable {
  /** The record of `key`; undefined if it is absent or expired. */
  get(key: Data, options?: CallOptions): Promise<KvixRecord | undefined>;
  /** Whether `key` has a record; answered from the index. */
  exists(key: Data, options?: CallOptions): Promise<boolean>;
  /** Writes a record. Resolves when it is as durable as `durability` says. */
  set(key: Data, value: Data, options?: SetOptions): Promise<SetResult>;
  /** Writes a record that expires `ttlMs` from now. */
  setX(key: Data, value: Data, ttlMs: number, options?: WriteOptions): Promise<SetResult>;
  /** Removes the record of `key`, if there is one. */
  delete(key: Data, options?: WriteOptions): Promise<DeleteResult>;
  /**
   * Gives the record of `key` another expiry, if there is one. It is written anew,
   * so it costs what setting the same value costs.
   */
  touch(key: Data, options: TouchOptions): Promise<TouchResult>;
  /**
   * Adds to a number, which is a value of decimal text. Throws NOT_A_NUMBER and
   * NUMBER_OVERFLOW.
   */
  increment(
    key: Data,
    delta?: number | bigint,
    options?: IncrementOptions,
  ): Promise<IncrementResult>;
  /**
   * Makes up to 10,000 changes, each of another key, if all conditions hold: all of them
   * or none, across any crash. Without changes it tells whether the conditions hold.
   */
  commit(mutations: readonly Mutation[], options?: CommitOptions): Promise<CommitResult>;
  /**
   * The records of a range in key order. They are fetched page by page, and each
   * page is a point in time of its own.
   */
  list(options?: ListOptions): AsyncIterable<ListedRecord>;
  /** One page of records in key order; the next one begins behind the `after` of this one. */
  listPage(options?: ListOptions, after?: Uint8Array): Promise<ListPage>;
  /**
   * What stands under each of 1 to 10,000 keys, at one point in time. An answer ends at 4
   * MiB; the keys that it has no room for are "unread".
   */
  batchGet(keys: readonly Data[], options?: BatchGetOptions): Promise<BatchGetResult>;
  /**
   * The records of a range in key order, all at one point in time, however much is
   * written meanwhile; at most for 5 minutes (SNAPSHOT_ENDED). Leaving the loop ends it.
   */
  scan(options?: ScanOptions): Scan;
  /** Removes the records of a range, at most 10,000 a call; not atomic. */
  deleteRange(options: DeleteRangeOptions): Promise<DeleteRangeResult>;
  /**
   * Tells every change of the keys asked for: once, in version order, what happened at
   * once in one batch, and only when it is durable. Leaving the loop, or `signal`, ends it.
   * Throws HISTORY_LOST if the changes after `afterVersion` are no longer all there.
   */
  watch(options?: WatchOptions): AsyncGenerator<WatchBatch, void, undefined>;
  /**
   * Sets a record whose value comes piece by piece. Nothing of it is visible before all
   * of it is there, and nothing is left of one that fails. The condition is decided, and
   * a ttl counts, when all of it is there.
   */
  upload(key: Data, source: UploadSource, options?: UploadOptions): Promise<UploadResult>;
  /**
   * The record of `key`, its value piece by piece; undefined if it is absent or expired.
   * Nothing of it is to be trusted before its end: then its checksum was right.
   */
  download(key: Data, options?: CallOptions): Promise<Download | undefined>;
  /** The newest version that is known here to be published. */
  readonly version: number;
  /** Resolves to the newest durable version when everything acknowledged so far is durable. */
  sync(options?: CallOptions): Promise<number>;
  /** Lets go of the store. Of an embedded one: when what was accepted is finished and synced. */
  close(): Promise<void>;
}
