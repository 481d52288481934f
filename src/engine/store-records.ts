/** Records, ranges of them, and promises about them, in the words of store.ts. */

/** When a write may be acknowledged; see the proto's Durability. */
export type Durability = "sync" | "buffered";

/**
 * Who hears of the end of an operation. One of the two is called, once. It may be before
 * the call that began the operation has returned, and in the midst of others' ends: so
 * neither may throw, nor begin anything in the same turn of the stack.
 */
export interface Outcome<Result> {
  resolve(result: Result): void;
  reject(error: unknown): void;
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

/** Which keys: a prefix, or bounds, or all. */
export interface KeyRange {
  /** Keys that begin with these bytes; not together with bounds. Empty: no prefix. */
  readonly prefix?: Uint8Array | undefined;
  /** Keys at or above this one; empty: from the first. */
  readonly start?: Uint8Array | undefined;
  /** Keys below this one; empty: to the last. */
  readonly end?: Uint8Array | undefined;
}

/**
 * Why a record of an answer has no value: it was not asked for; the answer has
 * no room for it; or its bytes are damaged, or the disk refused to read them.
 */
export type Omission = "keys-only" | "too-large" | "unreadable";

/** One record of many. */
export interface ListedRecord {
  readonly key: Uint8Array;
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** The size of the encoded Record in bytes, value included. */
  readonly recordBytes: number;
  /** The record itself, or why it is not there. */
  readonly record: StoredRecord | Omission;
}
