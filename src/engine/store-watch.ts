/** What the floors above ask of a watch: which changes to tell, and what telling them looks like. */
import type { ResumePoint } from "../base/kvix-error.js";

/** What to watch, and from where on. */
export interface WatchOptions {
  /** Keys that begin with these bytes; not together with bounds. Empty: no prefix. */
  readonly prefix?: Uint8Array | undefined;
  /** Keys at or above this one; empty: from the first. */
  readonly start?: Uint8Array | undefined;
  /** Keys below this one; empty: to the last. */
  readonly end?: Uint8Array | undefined;
  /** Only this key; not together with a prefix or bounds. Empty: left out. */
  readonly key?: Uint8Array | undefined;
  /** Without values and update times. */
  readonly keysOnly?: boolean | undefined;
  /** The changes after this version; 0: all. Left out: what changes from now on. */
  readonly afterVersion?: number | undefined;
  /** First the records that stand; not together with `afterVersion`. */
  readonly includeCurrent?: boolean | undefined;
  /** How often to tell how far the watch is if there is nothing else: 100 to 3,600,000; by default 10,000. */
  readonly progressIntervalMs?: number | undefined;
  /**
   * The most bytes of a step: 1 to 128 MiB; by default 4 MiB. Each event counts for its
   * record, or without a value for its key, and for what lies around it. One whose
   * record alone is more comes without its value.
   */
  readonly bytesMax?: number | undefined;
  /** Ends it (CANCELLED). */
  readonly signal?: AbortSignal | undefined;
}

/** One change of one key, or one record that stands. */
export interface WatchEvent {
  /** "expire": its time was up, and it was removed. */
  readonly kind: "set" | "delete" | "expire";
  readonly key: Uint8Array;
  /** Of the change. */
  readonly version: number;
  /** Of what was set, in Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** The size of the encoded Record in bytes, value included; 0 if it is gone. */
  readonly recordBytes: number;
  /**
   * The encoding of the record as it lies on disk (of one that is gone: of its key, and
   * the version and time of that), or why it is not there: it was not asked for; a step has
   * no room for it; of the current state, its bytes are damaged or cannot be read.
   */
  readonly record: Uint8Array | "keys-only" | "too-large" | "unreadable";
}

/** What one step of a watch tells. Its bytes are the caller's own, as part of what was read at once. */
export interface WatchStep {
  /** In version order; of the current state, in key order. */
  readonly events: readonly WatchEvent[];
  /** All up to this version is told; 0: while the current state is not told whole. */
  readonly version: number;
  /** The events are records that stand. */
  readonly isCurrent: boolean;
  /** The next step goes on with the same commit; `version` stands before it. */
  readonly continues: boolean;
}

/** The steps of a watch. */
export interface WatchSteps extends AsyncIterableIterator<WatchStep, undefined> {
  /** Where another watch goes on behind the step that was handed out last. */
  readonly resume: ResumePoint;
}
