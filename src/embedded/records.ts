/** Records as an embedded program has them. */
import { KvixError } from "../base/kvix-error.js";
import type { Omission, StoredRecord, ListedRecord as StoreListedRecord } from "../engine/store.js";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A record as it is read. */
export class KvixRecord {
  readonly #stored: StoredRecord;

  constructor(stored: StoredRecord) {
    this.#stored = stored;
  }

  /** The value; the bytes are the caller's own. */
  get value(): Uint8Array {
    return this.#stored.value;
  }

  /** The value as text; throws NOT_TEXT if it is not UTF-8. */
  text(): string {
    return textOf(this.#stored.value);
  }

  /** The version of the write that made it. */
  get version(): number {
    return this.#stored.version;
  }

  /** When it was written. */
  get updateTime(): Date {
    return new Date(this.#stored.updatedAtMs);
  }

  /** When it expires; undefined: never. */
  get expireTime(): Date | undefined {
    return dateOf(this.#stored.expiresAtMs);
  }
}

/** A record of a page. */
export class ListedRecord {
  readonly #listed: StoreListedRecord;

  constructor(listed: StoreListedRecord) {
    this.#listed = listed;
  }

  /** The bytes are the caller's own. */
  get key(): Uint8Array {
    return this.#listed.key;
  }

  /** The key as text; throws NOT_TEXT if it is not UTF-8. */
  keyText(): string {
    return textOf(this.#listed.key);
  }

  /** The record with its value; undefined: see `omission`. */
  get record(): KvixRecord | undefined {
    const { record } = this.#listed;
    return typeof record === "string" ? undefined : new KvixRecord(record);
  }

  /** Why the value did not come along. "too-large", "unreadable": `get` the key. */
  get omission(): Omission | undefined {
    const { record } = this.#listed;
    return typeof record === "string" ? record : undefined;
  }

  get version(): number {
    return this.#listed.version;
  }

  /** When it expires; undefined: never. */
  get expireTime(): Date | undefined {
    return dateOf(this.#listed.expiresAtMs);
  }

  /** The size of the encoded record in bytes, value included. */
  get recordBytes(): number {
    return this.#listed.recordBytes;
  }
}

/** An instant of Unix milliseconds; 0 is none. */
export function dateOf(ms: number): Date | undefined {
  return ms === 0 ? undefined : new Date(ms);
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new KvixError("NOT_TEXT", "", { cause });
  }
}
