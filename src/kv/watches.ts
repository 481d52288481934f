/** What happens to keys, as it is told. */
import { type Data, dateOf, textOf } from "./data.js";
import type { RangeOptions } from "./reads.js";
import { KvixRecord, type Omission, type RecordParts } from "./records.js";
import type { CallOptions } from "./writes.js";

/** What to watch, and from where on. */
export interface WatchOptions extends RangeOptions, CallOptions {
  /** Only this key; not together with a prefix or bounds. */
  readonly key?: Data | undefined;
  /** Without values and update times. */
  readonly keysOnly?: boolean | undefined;
  /** The changes after this version; 0: all that the log still has. Left out: from now on. */
  readonly afterVersion?: number | undefined;
  /** First the records that stand; not together with `afterVersion`. */
  readonly includeCurrent?: boolean | undefined;
  /** How often to tell how far the watch is if there is nothing else: 100 to 3,600,000; by default 10,000. */
  readonly progressIntervalMs?: number | undefined;
}

/** What happened together, or that nothing did. */
export interface WatchBatch {
  /** In version order; of the current state, in key order. Those of one commit are in one batch. */
  readonly events: readonly WatchEvent[];
  /** All up to this version is told: `afterVersion` for who goes on here. 0: there is none yet. */
  readonly version: number;
  /** The events are records that stand, not changes. */
  readonly isCurrent: boolean;
  /**
   * The connection was lost before the current state was told whole: it is told anew
   * from its beginning. Forget what was told.
   */
  readonly isRestart: boolean;
}

/** What an event is made of. */
export interface EventParts {
  readonly kind: "set" | "delete" | "expire";
  readonly key: Uint8Array;
  readonly version: number;
  readonly expiresAtMs: number;
  readonly recordBytes: number;
  /** Of what was set: the record, or why it is not there. Of what is gone: nothing. */
  readonly record: RecordParts | Omission | undefined;
}

/** One change of one key, or one record that stands. */
export class WatchEvent {
  readonly #parts: EventParts;

  constructor(parts: EventParts) {
    this.#parts = parts;
  }

  /** "expire": its time was up, and the store has removed it. */
  get kind(): "set" | "delete" | "expire" {
    return this.#parts.kind;
  }

  /** The bytes are the caller's own. */
  get key(): Uint8Array {
    return this.#parts.key;
  }

  /** The key as text; throws NOT_TEXT if it is not UTF-8. */
  keyText(): string {
    return textOf(this.#parts.key);
  }

  /** Of the change. */
  get version(): number {
    return this.#parts.version;
  }

  /** What was set; undefined: it is gone, or see `omission`. */
  get record(): KvixRecord | undefined {
    const { record } = this.#parts;
    return typeof record === "object" ? new KvixRecord(record) : undefined;
  }

  /** Why what was set came without its value. */
  get omission(): Omission | undefined {
    const { record } = this.#parts;
    return typeof record === "string" ? record : undefined;
  }

  /** When what was set expires; undefined: never. */
  get expireTime(): Date | undefined {
    return dateOf(this.#parts.expiresAtMs);
  }

  /** The size of the encoded record in bytes, value included; 0 if it is gone. */
  get recordBytes(): number {
    return this.#parts.recordBytes;
  }
}
