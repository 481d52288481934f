/**
 * The newest accepted state of every key: the keydir, and over it the writes
 * that are accepted but not yet published. Conditions are evaluated here;
 * readers see the keydir alone. With it goes what is known of requests that bore
 * a request_id.
 */
import { type Keydir, NO_ENTRY } from "./keydir/keydir.js";
import type { RequestMemory } from "./requests/request-memory.js";
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

/** How many settled entries may lie about before they are swept out. */
const SETTLED_MAX = 1024;

/**
 * The pending writes over a keydir. They are put into a Map only when somebody
 * looks: most writes are unconditional, and nobody does.
 */
export class AcceptedState {
  readonly #keydir: Keydir;
  /** Requests, accepted ones included. */
  readonly requests: RequestMemory;
  #byKey = new Map<string, PendingEntry>();
  /** Accepted since the last look, in order. */
  #fresh: PendingEntry[] = [];
  #unsettled = 0;
  #pendingKeys = 0;
  #pendingKeyBytes = 0;

  constructor(keydir: Keydir, requests: RequestMemory) {
    this.#keydir = keydir;
    this.requests = requests;
  }

  /** How many keys are pending that may be new to the index. */
  get pendingKeys(): number {
    return this.#pendingKeys;
  }

  /** Their length together, in bytes. */
  get pendingKeyBytes(): number {
    return this.#pendingKeyBytes;
  }

  look(key: Uint8Array, nowMs: number): AcceptedKey {
    const pending = this.#unsettled > 0 ? this.#findPending(key) : undefined;
    if (pending !== undefined) {
      if (pending.flags !== 0) return ABSENT;
      const { version, expiresAtMs } = pending;
      const isVisible = !hasExpired(expiresAtMs, nowMs);
      const place = { kind: "pending", entry: pending } as const;
      return { exists: true, isVisible, version, expiresAtMs, place, isIndexed: true };
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
    this.#fresh.push(entry);
    this.#unsettled += 1;
    if (entry.newKeyBytes > 0) this.#pendingKeys += 1;
    this.#pendingKeyBytes += entry.newKeyBytes;
    if (this.#fresh.length > 2 * this.#unsettled + SETTLED_MAX) {
      this.#fresh = this.#fresh.filter((each) => !each.isSettled);
    }
  }

  /** Lets a write go that is published now. */
  settle(entry: PendingEntry): void {
    entry.settle();
    this.#unsettled -= 1;
    if (entry.newKeyBytes > 0) this.#pendingKeys -= 1;
    this.#pendingKeyBytes -= entry.newKeyBytes;
    if (this.#unsettled === 0) this.#clear();
  }

  /** Forgets all pending writes: those that are not published by now never will be. */
  giveUp(): void {
    this.requests.dropPending();
    this.#clear();
  }

  #clear(): void {
    if (this.#fresh.length > 0) this.#fresh = [];
    if (this.#byKey.size > 0) this.#byKey = new Map();
    this.#unsettled = 0;
    this.#pendingKeys = 0;
    this.#pendingKeyBytes = 0;
  }

  #findPending(key: Uint8Array): PendingEntry | undefined {
    if (this.#byKey.size > 2 * this.#unsettled + SETTLED_MAX) this.#sweepOut();
    for (const entry of this.#fresh) {
      if (entry.isSettled) continue;
      this.#byKey.set(keyTextOf(entry.source.subarray(entry.keyStart, entry.keyEnd)), entry);
    }
    if (this.#fresh.length > 0) this.#fresh = [];
    const pending = this.#byKey.get(keyTextOf(key));
    return pending?.isSettled === true ? undefined : pending;
  }

  #sweepOut(): void {
    for (const [keyText, entry] of this.#byKey) {
      if (entry.isSettled) this.#byKey.delete(keyText);
    }
  }
}
