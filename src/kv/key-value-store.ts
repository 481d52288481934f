/**
 * One interface to a store, whatever is behind it: the embedded store (`open`) and
 * the client of a server (`connect`). A suite of tests holds both to it, and a model
 * in memory beside them (test/conformance).
 *
 * Keys and values are bytes or strings (as UTF-8). Bytes that are handed over must
 * not be changed until the call's promise settles. Errors are KvixErrors: match on
 * `reason`. Absence is a value, and so is a condition that was not met.
 */
import type { Data } from "./data.js";
import type { ListOptions, ListPage } from "./reads.js";
import type { KvixRecord, ListedRecord } from "./records.js";
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
   * The records of a range in key order. They are fetched page by page, and each
   * page is a point in time of its own.
   */
  list(options?: ListOptions): AsyncIterable<ListedRecord>;
  /** One page of records in key order; the next one begins behind the `after` of this one. */
  listPage(options?: ListOptions, after?: Uint8Array): Promise<ListPage>;
  /** The newest version that is known here to be published. */
  readonly version: number;
  /** Resolves to the newest durable version when everything acknowledged so far is durable. */
  sync(options?: CallOptions): Promise<number>;
  /** Lets go of the store. Of an embedded one: when what was accepted is finished and synced. */
  close(): Promise<void>;
}
