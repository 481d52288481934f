/**
 * What the floors above ask of a store. The service and the embedded door talk
 * to this interface only, so that another engine can stand behind the same
 * contract. Keys and values are bytes that must not change until the call's
 * promise settles.
 *
 * Errors are KvixErrors of the catalogue. Absence is a value, not an error.
 */
import type { StoreStats } from "./store-stats.js";

/** When a write may be acknowledged; see the proto's Durability. */
export type Durability = "sync" | "buffered";

/** What must hold of the key when a write is accepted. */
export type Condition =
  | { readonly kind: "absent" }
  | { readonly kind: "present" }
  | { readonly kind: "version"; readonly version: number };

/** When a record expires. `ttlMs` counts from acceptance; `atMs` is Unix milliseconds. */
export type Expiry =
  | { readonly kind: "never" }
  | { readonly kind: "ttl"; readonly ttlMs: number }
  | { readonly kind: "at"; readonly atMs: number }
  | { readonly kind: "keep" };

/** What goes with every write. */
export interface WriteOptions {
  readonly condition?: Condition | undefined;
  /** Whether to answer with the record that was replaced or removed. */
  readonly returnPrevious?: boolean | undefined;
  /** Left out: the store's own setting. */
  readonly durability?: Durability | undefined;
  /** Gives up before the hand-off to the log (CANCELLED), never after. */
  readonly signal?: AbortSignal | undefined;
}

/** A record as it was read and verified. */
export interface StoredRecord {
  /** The canonical encoding of the proto's Record; the caller owns the bytes. */
  readonly payload: Uint8Array;
  /** A view into `payload`. */
  readonly value: Uint8Array;
  readonly version: number;
  readonly updatedAtMs: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
}

/** What the index knows of a visible key. */
export interface KeyFacts {
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** The size of the encoded Record in bytes. */
  readonly recordBytes: number;
}

/** The answer to a Set. */
export interface SetResult {
  readonly applied: boolean;
  /** The version of the record written; 0 if not applied. */
  readonly version: number;
  /** When the record written expires; 0: never, or not applied. */
  readonly expiresAtMs: number;
  readonly previous: StoredRecord | undefined;
  /** Not applied: the record that stands. */
  readonly current: StoredRecord | undefined;
}

/** The answer to a Delete. */
export interface DeleteResult {
  readonly applied: boolean;
  readonly deleted: boolean;
  /** The version of the delete; 0 if nothing was removed. */
  readonly version: number;
  readonly previous: StoredRecord | undefined;
  /** Not applied: the record that stands. */
  readonly current: StoredRecord | undefined;
}

/** One change of an atomic batch. */
export type Mutation =
  | {
      readonly kind: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly expiry?: Expiry | undefined;
    }
  | { readonly kind: "delete"; readonly key: Uint8Array };

/** What became of one change: its version, 0 if it changed nothing (a delete of an absent key). */
export interface BatchResult {
  readonly versions: readonly number[];
}

/** A durable, ordered, conditional key-value store. */
export interface Store {
  /** The newest published version. */
  readonly version: number;
  /**
   * The visible record of `key`, or undefined. At once if the read needs no
   * waiting, which saves a promise on the shortest path there is.
   */
  get(key: Uint8Array): StoredRecord | undefined | Promise<StoredRecord | undefined>;
  /** What the index knows of `key`, or undefined if it is absent or expired. Never touches the disk. */
  exists(key: Uint8Array): KeyFacts | undefined;
  set(
    key: Uint8Array,
    value: Uint8Array,
    expiry: Expiry,
    options?: WriteOptions,
  ): Promise<SetResult>;
  delete(key: Uint8Array, options?: WriteOptions): Promise<DeleteResult>;
  /** Applies all mutations or none, in one frame. The same key twice is FIELD_INVALID. */
  batch(
    mutations: readonly Mutation[],
    options?: Pick<WriteOptions, "durability" | "signal">,
  ): Promise<BatchResult>;
  stats(): StoreStats;
  /** Finishes what was accepted, syncs it, marks the close as clean. Idempotent. */
  close(): Promise<void>;
}
