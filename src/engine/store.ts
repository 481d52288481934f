/**
 * What the floors above ask of a store. The service and the embedded door talk
 * to this interface only, so that another engine can stand behind the same
 * contract. Keys and values are bytes that must not change until the call's
 * promise settles.
 *
 * Errors are KvixErrors of the catalogue. Absence is a value, not an error.
 */
import type { SetRun, SetRunOptions, SetRunResult } from "./set-run.js";
import type {
  BatchGetOptions,
  BatchGetResult,
  DeleteRangeOptions,
  DeleteRangeResult,
  Scan,
  ScanOptions,
} from "./store-ranges.js";
import type { Durability, KeyRange, ListedRecord, Outcome, StoredRecord } from "./store-records.js";
import type { CompactionProgress, SegmentFacts, StoreSettings, StoreStats } from "./store-stats.js";
import type { WatchOptions, WatchSteps } from "./store-watch.js";

export type { SetRun, SetRunOptions, SetRunResult } from "./set-run.js";
export type {
  Durability,
  KeyRange,
  ListedRecord,
  Omission,
  Outcome,
  StoredRecord,
} from "./store-records.js";

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

/** The expiry that a Touch gives; it must be a new one. */
export type TouchExpiry = Exclude<Expiry, { kind: "keep" }>;

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

/** The answer to a Touch. */
export interface TouchResult {
  readonly applied: boolean;
  /** Whether a visible record was touched; applied and not found: there was none. */
  readonly found: boolean;
  /** The version that the record has now; 0 if nothing was written. */
  readonly version: number;
  /** When the record expires now; 0: never, or nothing was written. */
  readonly expiresAtMs: number;
  /** Not applied: the record that stands. */
  readonly current: StoredRecord | undefined;
}

/** The answer to an upload. */
export type UploadResult = Omit<SetResult, "previous">;

/** An upload under way. What fails has ended it, and left nothing. */
export interface Upload {
  /**
   * Takes the next bytes of the value, and resolves when they are staged. One at a time.
   * Throws UPLOAD_MISMATCH if more come than were announced, NO_SPACE, WRITE_FAILED,
   * CANCELLED, STORE_CLOSING.
   */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * That was all: writes the record if its length and its CRC-32 are right, or throws
   * UPLOAD_MISMATCH. The condition is decided and the ttl counts from now on.
   */
  finish(checksum: number): Promise<UploadResult>;
  /** Gives up, unless it is finished, and resolves when nothing is left of it. Idempotent. */
  abort(): Promise<void>;
}

/** What became of an upload that was asked for. */
export type UploadStart =
  | { readonly kind: "begun"; readonly upload: Upload }
  /** The condition does not hold of what stands now: `applied` is false, and no byte is wanted. */
  | { readonly kind: "unmet"; readonly result: UploadResult };

/** A record that is read in pieces. */
export interface Download {
  /** The canonical encoding of the proto's Record without its value. */
  readonly bare: Uint8Array;
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  readonly valueBytes: number;
  /**
   * The bytes of the value, at most 256 KiB at a time, read as they are taken; the caller
   * owns them. Nothing of them, nor of `bare`, is to be trusted before the end: then
   * they were held against their checksum. To be taken once. Throws RECORD_CORRUPT,
   * READ_FAILED, CANCELLED, STORE_CLOSING, and SNAPSHOT_ENDED if they are not taken for
   * five minutes, or are still being taken five minutes after a compaction has replaced
   * the segment that they lie in.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** The CRC-32 of the value; known when `chunks` has come to its end. */
  readonly checksum: number;
  /** Lets go of it. Idempotent; what leaves the loop over `chunks` has done so. */
  close(): void;
}

/** A condition of a commit, and the key that it is about. */
export interface KeyCondition {
  readonly key: Uint8Array;
  readonly condition: Condition;
}

/** One change of a commit. */
export type Mutation =
  | {
      readonly kind: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      /** Left out: never. */
      readonly expiry?: Expiry | undefined;
    }
  | { readonly kind: "delete"; readonly key: Uint8Array }
  | { readonly kind: "touch"; readonly key: Uint8Array; readonly expiry: TouchExpiry }
  | {
      readonly kind: "increment";
      readonly key: Uint8Array;
      /** What is added: 64 bits, signed. */
      readonly delta: bigint;
      /** What an absent or expired key counts as: 64 bits, signed. */
      readonly initial: bigint;
      /** Left out: it keeps the one it has. */
      readonly expiry?: Expiry | undefined;
    };

/** What goes with a commit. */
export interface CommitOptions extends Pick<WriteOptions, "durability" | "signal"> {
  /** What must hold, or nothing is changed: at most 10,000, each of another key. */
  readonly conditions?: readonly KeyCondition[] | undefined;
  /** What names this request, so that a repeat of it changes nothing: 16 to 64 bytes. */
  readonly requestId?: Uint8Array | undefined;
  /** The most bytes of the records in `unmet` together: 0 to 4 MiB, which is the default. */
  readonly unmetBytesMax?: number | undefined;
}

/** What became of one change. */
export interface MutationResult {
  /** The version that it wrote; 0: it found nothing to change. */
  readonly version: number;
  /** Of a set, a touch or an increment: when the record expires, in Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** Of a delete or a touch: whether there was a visible record. */
  readonly found: boolean;
  /** Of an increment: the number, delta added; else 0. */
  readonly value: bigint;
}

/** A condition that did not hold. */
export interface UnmetCondition {
  /** Which one, from 0. */
  readonly index: number;
  /** The record that stands; undefined: the key is absent. */
  readonly current: ListedRecord | undefined;
}

/** The answer to a commit. */
export interface CommitResult {
  readonly applied: boolean;
  /** One for each mutation, in their order; none if it was not applied. */
  readonly results: readonly MutationResult[];
  /** Not applied: the conditions that did not hold. */
  readonly unmet: readonly UnmetCondition[];
  /** The request was known: this is what the first one was answered. */
  readonly repeated: boolean;
}

/** What goes with an Increment. */
export interface IncrementOptions extends Pick<WriteOptions, "durability" | "signal"> {
  /** What an absent or expired key counts as: 64 bits, signed; 0 by default. */
  readonly initial?: bigint | undefined;
  /** Left out: the record keeps the one it has. */
  readonly expiry?: Expiry | undefined;
  /** As for a commit. */
  readonly requestId?: Uint8Array | undefined;
}

/** The answer to an Increment. */
export interface IncrementResult {
  /** The number, delta added. */
  readonly value: bigint;
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** The request was known: this is what the first one was answered. */
  readonly repeated: boolean;
}

/** What a page is to hold. */
export interface ListOptions extends KeyRange {
  /** From the last key down. */
  readonly reverse?: boolean | undefined;
  /** Only what the index knows; the disk is not touched. */
  readonly keysOnly?: boolean | undefined;
  /** The most records of the page: 1 to 10,000; by default 1,000. */
  readonly limit?: number | undefined;
  /**
   * The most bytes of the page: 1 to 4 MiB, which is the default. Each record counts
   * for its encoding, or without a value for its key, and for what lies around it.
   */
  readonly bytesMax?: number | undefined;
  /** Go on behind this key: the `after` of the page before. */
  readonly after?: Uint8Array | undefined;
  /** Gives up (CANCELLED). */
  readonly signal?: AbortSignal | undefined;
}

/** One page. */
export interface ListPage {
  /** In key order; none is expired. */
  readonly records: readonly ListedRecord[];
  /** What the next page goes on behind; undefined: there is none. The caller's own bytes. */
  readonly after: Uint8Array | undefined;
  /** The page shows exactly what was published by this version. */
  readonly version: number;
}

/** A durable, ordered, conditional key-value store. */
export interface Store {
  /** The newest published version. */
  readonly version: number;
  /** What its users must know of how it was opened. */
  readonly settings: StoreSettings;
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
  /**
   * A `set` that tells an outcome of its end, for those who have very many under way: a
   * promise each would cost more than the write. Throws what is wrong with the request.
   */
  submitSet(
    key: Uint8Array,
    value: Uint8Array,
    expiry: Expiry,
    options: WriteOptions,
    outcome: Outcome<SetResult>,
  ): void;
  /** The longest run of sets that it takes, as `setRunBytes` counts. */
  readonly setRunBytesMax: number;
  /** Sets the records of a run, 1 or more, one after the other. Throws what is wrong with it. */
  submitSets(run: SetRun, options: SetRunOptions, outcome: Outcome<SetRunResult>): void;
  delete(key: Uint8Array, options?: WriteOptions): Promise<DeleteResult>;
  /**
   * Appends the record of `key` anew with another expiry. Its value is that of
   * the newest accepted write; if that cannot be read, nothing is appended.
   */
  touch(
    key: Uint8Array,
    expiry: TouchExpiry,
    options?: Omit<WriteOptions, "returnPrevious">,
  ): Promise<TouchResult>;
  /**
   * Begins to write a record whose value, 0 to 100 MiB, comes in pieces and is staged on
   * the disk: nothing is visible before all of it is there. The condition is looked at
   * now, and decided when it is finished; `signal` gives up until then. Throws
   * OVERLOADED (256 are under way), NO_SPACE (the disk must have room for the value
   * twice), STORE_READ_ONLY.
   */
  upload(
    key: Uint8Array,
    valueBytes: number,
    expiry: Expiry,
    options?: Omit<WriteOptions, "returnPrevious">,
  ): Promise<UploadStart>;
  /**
   * The visible record of `key`, to be read in pieces; undefined: there is none. Throws
   * RECORD_CORRUPT, READ_FAILED, and OVERLOADED if 1,024 are being read so.
   */
  download(
    key: Uint8Array,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<Download | undefined>;
  /**
   * Adds to a number, which is a value of canonical decimal text (number-text.ts).
   * Throws NOT_A_NUMBER, NUMBER_OVERFLOW; with a request id REQUEST_ID_REUSED,
   * REQUEST_IDS_FULL, and PREVIOUS_CORRUPT if the answer of the first is unreadable.
   */
  increment(key: Uint8Array, delta: bigint, options?: IncrementOptions): Promise<IncrementResult>;
  /**
   * Applies all mutations, if all conditions hold, or none: in one step, in one
   * frame, across any crash. At most 10,000 mutations, each of another key
   * (FIELD_INVALID), and 128 MiB of frames (BATCH_TOO_LARGE); without mutations it
   * only tells whether the conditions hold. Otherwise it throws what an Increment does.
   */
  commit(mutations: readonly Mutation[], options?: CommitOptions): Promise<CommitResult>;
  /** One page of records in key order, at one point in time. */
  list(options: ListOptions): Promise<ListPage>;
  /**
   * Tells every change of the keys asked for: once, in version order, what happened at
   * once in one step or in several that say `continues`; only when it is durable. The
   * first step comes at once. It is to be read to its end, left (`return`), or ended by
   * its signal; one read at a time. Throws FIELD_INVALID, HISTORY_LOST, OVERLOADED,
   * STORE_CLOSING; while it is read also SNAPSHOT_ENDED, RECORD_CORRUPT (among changes:
   * with the range of versions that is lost), READ_FAILED, CANCELLED, and what a sync
   * fails with. Errors that it ends with say from which version on to go on (`resume`).
   */
  watch(options: WatchOptions): WatchSteps;
  /** What stands under each of 1 to 10,000 keys, at one point in time, as far as it fits an answer. */
  batchGet(keys: readonly Uint8Array[], options?: BatchGetOptions): Promise<BatchGetResult>;
  /**
   * All records of a range in key order, at one point in time, part by part, however much
   * is written meanwhile; at most for 5 minutes. It throws FIELD_INVALID; the scan throws
   * SNAPSHOT_ENDED, STORE_CLOSING, CANCELLED and OVERLOADED, with `resume`.
   */
  scan(options?: ScanOptions): Scan;
  /**
   * Removes the records of a range, each as `delete` does; not atomic. If it fails when
   * some are removed, or may be, the outcome is "unknown" and `removed` of the error's
   * metadata says how many are known to be.
   */
  deleteRange(options: DeleteRangeOptions): Promise<DeleteRangeResult>;
  /** Resolves to the newest durable version when everything acknowledged so far is durable. */
  sync(): Promise<number>;
  /**
   * Runs a compaction, or joins the one under way, and tells how far it is: a few
   * times a second, the newest only to who is slow to ask, and at its end, with an
   * outcome. A run that was asked for is cancelled when all who asked have given up
   * (by `signal`, or by leaving the loop). Bad news is an outcome; it throws
   * STORE_CLOSING alone.
   */
  compact(options?: {
    readonly signal?: AbortSignal | undefined;
  }): AsyncIterable<CompactionProgress>;
  stats(): StoreStats;
  /** The files that it consists of, oldest first. */
  segments(): readonly SegmentFacts[];
  /** Finishes what was accepted, syncs it, marks the close as clean. Idempotent. */
  close(): Promise<void>;
}
