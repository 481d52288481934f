/**
 * What every key had at every version, as far as is known: for each key the entries
 * that were written to it, in version order.
 *
 * An entry whose time was up at some moment may have been swept: from then on it may
 * be gone, even if the wall clock goes back.
 */
import type { Seen, WriteCall } from "./call.js";
import type { WallLog } from "./wall-log.js";

/** What a write made of a key. */
export interface Entry {
  readonly version: number;
  /** Undefined: it was removed. */
  readonly value: string | undefined;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** The moment it was asked for. */
  readonly since: number;
  /** What wrote it; undefined: an earlier life. */
  readonly call?: WriteCall;
  /** Its bytes were damaged on the disk: who reads it may be told so. */
  readonly isDamaged?: boolean;
  /** It was a tombstone then: with a hint that still has it, it may be one again. */
  readonly wasTombstone?: boolean;
}

/** "maybe": it depends on when in an interval one looks, or on whether it was swept. */
export type Visibility = "yes" | "no" | "maybe";

/** All keys of one life. */
export class KeyStates {
  readonly #wall: WallLog;
  readonly #byKey = new Map<string, Entry[]>();

  constructor(wall: WallLog) {
    this.#wall = wall;
  }

  /** All that was written to a key, oldest first. */
  of(key: string): readonly Entry[] {
    return this.#byKey.get(key) ?? [];
  }

  /** Every key that was ever written. */
  get keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  /** A write took effect; later than all others of the key. */
  put(key: string, entry: Entry): void {
    const entries = this.#byKey.get(key);
    if (entries === undefined) this.#byKey.set(key, [entry]);
    else entries.push(entry);
  }

  /** What a key has after all writes up to a version. */
  at(key: string, version: number): Entry | undefined {
    return this.#byKey.get(key)?.findLast((entry) => entry.version <= version);
  }

  /** What a key has after all writes that took effect. */
  newest(key: string): Entry | undefined {
    return this.#byKey.get(key)?.at(-1);
  }

  /** Whether who looks between two moments sees a record. */
  visibility(entry: Entry | undefined, from: number, to: number): Visibility {
    if (entry?.value === undefined) return "no";
    const { expiresAtMs, since } = entry;
    if (expiresAtMs === 0 || this.#wall.highestSince(since) < expiresAtMs) return "yes";
    if (this.#wall.lowestBetween(from, to) >= expiresAtMs) return "no";
    return "maybe";
  }

  /** Whether nothing may be found of it by now, though it was not removed. */
  mayBeSwept({ expiresAtMs, since }: Entry): boolean {
    return expiresAtMs !== 0 && this.#wall.highestSince(since) >= expiresAtMs;
  }
}

/** Whether this is what the entry made of the key. */
export function isOf(entry: Entry, { value, version, expiresAtMs }: Seen): boolean {
  return entry.value === value && entry.version === version && entry.expiresAtMs === expiresAtMs;
}
