/** Records as a program has them, wherever the store is. */
import { KvixError } from "../base/kvix-error.js";
import { dateOf, textOf } from "./data.js";

/** What a record is made of. */
export interface RecordParts {
  /** Undefined: it did not come along, for a message had no room for it. */
  readonly value: Uint8Array | undefined;
  readonly version: number;
  readonly updatedAtMs: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
}

/**
 * Why a record that is told of has no value: it was not asked for; there was no
 * room for it; or its bytes are damaged, or the disk refused to read them.
 */
export type Omission = "keys-only" | "too-large" | "unreadable";

/** What a record of a page, a batch or a scan is made of. */
export interface ListedParts {
  readonly key: Uint8Array;
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** The size of the encoded record in bytes, value included. */
  readonly recordBytes: number;
  /** The record itself, or why it is not there. */
  readonly record: RecordParts | Omission;
}

/** A record as it is read. */
export class KvixRecord {
  readonly #parts: RecordParts;

  constructor(parts: RecordParts) {
    this.#parts = parts;
  }

  /**
   * The value; the bytes are the caller's own. Throws RECORD_TOO_LARGE if it did not come
   * along: see `isValueOmitted`.
   */
  get value(): Uint8Array {
    const { value } = this.#parts;
    if (value === undefined) throw new KvixError("RECORD_TOO_LARGE");
    return value;
  }

  /**
   * Whether the value did not come along: that of a `previous` or `current` from a server,
   * for which a message had no room. Get or download it.
   */
  get isValueOmitted(): boolean {
    return this.#parts.value === undefined;
  }

  /** The value as text; throws NOT_TEXT if it is not UTF-8, and what `value` throws. */
  text(): string {
    return textOf(this.value);
  }

  /** The version of the write that made it. */
  get version(): number {
    return this.#parts.version;
  }

  /** When it was written. */
  get updateTime(): Date {
    return new Date(this.#parts.updatedAtMs);
  }

  /** When it expires; undefined: never. */
  get expireTime(): Date | undefined {
    return dateOf(this.#parts.expiresAtMs);
  }
}

/** A record of a page, a batch or a scan. */
export class ListedRecord {
  readonly #parts: ListedParts;

  constructor(parts: ListedParts) {
    this.#parts = parts;
  }

  /** The bytes are the caller's own. */
  get key(): Uint8Array {
    return this.#parts.key;
  }

  /** The key as text; throws NOT_TEXT if it is not UTF-8. */
  keyText(): string {
    return textOf(this.#parts.key);
  }

  /** The record with its value; undefined: see `omission`. */
  get record(): KvixRecord | undefined {
    const { record } = this.#parts;
    return typeof record === "string" ? undefined : new KvixRecord(record);
  }

  /** Why the value did not come along. "too-large", "unreadable": `get` the key. */
  get omission(): Omission | undefined {
    const { record } = this.#parts;
    return typeof record === "string" ? record : undefined;
  }

  get version(): number {
    return this.#parts.version;
  }

  /** When it expires; undefined: never. */
  get expireTime(): Date | undefined {
    return dateOf(this.#parts.expiresAtMs);
  }

  /** The size of the encoded record in bytes, value included. */
  get recordBytes(): number {
    return this.#parts.recordBytes;
  }
}
