/**
 * The newest accepted state of every key: the keydir, and over it the writes
 * that are accepted but not yet published. Conditions are evaluated here;
 * readers see the keydir alone.
 */
import { type Keydir, NO_ENTRY } from "./keydir/keydir.js";
import type { PendingEntry, RecordPlace } from "./write-op.js";

/** What is known of a key as of the newest accepted write. */
export interface AcceptedKey {
  /** Whether there is a record, expired or not. */
  readonly exists: boolean;
  /** Whether there is a record and its time is not up. */
  readonly isVisible: boolean;
  /** The version of the record; 0 if there is none. */
  readonly version: number;
  readonly expiresAtMs: number;
  readonly place: RecordPlace | undefined;
  /** Whether the keydir or a pending write has an entry that a Set would replace. */
  readonly isIndexed: boolean;
}

/** Whether a record's time is up: visible until that instant, invisible from it on (T1). */
export function hasExpired(expiresAtMs: number, nowMs: number): boolean {
  return expiresAtMs !== 0 && nowMs >= expiresAtMs;
}

/** A key as a string of one character a byte: what a Map can hold. */
export function keyTextOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

const ABSENT: AcceptedKey = {
  exists: false,
  isVisible: false,
  version: 0,
  expiresAtMs: 0,
  place: undefined,
  isIndexed: false,
};

/** The pending writes over a keydir. */
export class AcceptedState {
  readonly #keydir: Keydir;
  readonly #pending = new Map<string, PendingEntry>();
  #pendingIndexBytes = 0;

  constructor(keydir: Keydir) {
    this.#keydir = keydir;
  }

  /** Index memory that pending new keys may take. */
  get pendingIndexBytes(): number {
    return this.#pendingIndexBytes;
  }

  /** Whether a write of this key is accepted and not yet published. */
  hasPending(keyText: string): boolean {
    return this.#pending.has(keyText);
  }

  look(key: Uint8Array, keyText: string, nowMs: number): AcceptedKey {
    const pending = this.#pending.get(keyText);
    if (pending !== undefined) {
      if (pending.isTombstone) return ABSENT;
      return {
        exists: true,
        isVisible: !hasExpired(pending.expiresAtMs, nowMs),
        version: pending.version,
        expiresAtMs: pending.expiresAtMs,
        place: { kind: "pending", entry: pending },
        isIndexed: true,
      };
    }
    const keydir = this.#keydir;
    const entry = keydir.find(key);
    if (entry === NO_ENTRY) return ABSENT;
    const expiresAtMs = keydir.expiresAtMsOf(entry);
    const version = keydir.versionOf(entry);
    return {
      exists: true,
      isVisible: !hasExpired(expiresAtMs, nowMs),
      version,
      expiresAtMs,
      place: {
        kind: "published",
        segment: keydir.segmentOf(entry),
        offset: keydir.offsetOf(entry),
        length: keydir.lengthOf(entry),
        version,
      },
      isIndexed: true,
    };
  }

  /** Takes a write into the accepted state. */
  accept(entry: PendingEntry): void {
    this.#pending.set(entry.keyText, entry);
    this.#pendingIndexBytes += entry.indexBytes;
  }

  /** Lets a write go that is published now. */
  settle(entry: PendingEntry): void {
    if (this.#pending.get(entry.keyText) === entry) this.#pending.delete(entry.keyText);
    this.#pendingIndexBytes -= entry.indexBytes;
  }

  /** Forgets all pending writes: none of them will be published. */
  clear(): void {
    this.#pending.clear();
    this.#pendingIndexBytes = 0;
  }
}
