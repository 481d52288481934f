/**
 * A walk over a snapshot in key order: the index and the undo list, merged.
 *
 *     index  a    c d      g         whichever key comes next is looked up in
 *     undo      b   d   f            both; what the snapshot does not see is
 *                                    passed over
 *
 * It stays right whatever is written between two calls. A key that the snapshot
 * sees is in the index as long as it is not replaced, and in the undo list from
 * then on; the walk over the index visits every key that stays, the walk over
 * the undo list seeks anew behind the last key at every step. Of the index only
 * the key is kept from one call to the next, never an entry number.
 */
import { hasExpired, keyTextOf } from "../accepted-state.js";
import { compareKeys, type KeyBounds } from "../key-range.js";
import { type Keydir, NO_ENTRY, type OrderedCursor } from "../keydir/keydir.js";
import type { UndoList } from "./undo-list.js";

/** How many keys one call looks at. */
const VISITS_MAX = 1024;

/** A record as the index knew it at the snapshot's version. */
export interface SnapshotEntry {
  readonly key: Uint8Array;
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** Of its encoded record, in bytes. */
  readonly recordBytes: number;
  readonly segment: number;
  readonly offset: number;
}

/** Takes what a walk comes to, entry by entry; nothing is made for one. */
export interface PlaceSink {
  /** Whether it takes no more. */
  readonly isFull: boolean;
  /** An entry of the index, whose number is good for this turn. */
  add(keydir: Keydir, entry: number, version: number, expiresAtMs: number): void;
  addEntry(entry: SnapshotEntry): void;
}

/** What a walk asks its snapshot. */
export interface SnapshotView {
  readonly version: number;
  readonly openedAtMs: number;
  /** Throws what has ended it. */
  requireOpen(): void;
  /** What it sees of a key of which the index has `entry` now; `keyText` if it is at hand. */
  look(key: Uint8Array, keyText: string | undefined, entry: number): SnapshotEntry | undefined;
}

/** The next key of the index, which the walk has not passed yet. */
interface Head {
  readonly key: Uint8Array;
  readonly text: string;
}

/** The walk. */
export class SnapshotCursor {
  readonly #snapshot: SnapshotView;
  readonly #keydir: Keydir;
  readonly #undo: () => UndoList;
  readonly #bounds: KeyBounds;
  readonly #isReverse: boolean;
  readonly #index: OrderedCursor;
  /** The key that was passed last. */
  #passed: string | undefined;
  #after: Uint8Array | undefined;
  #head: Head | undefined;
  #hasIndexEnded = false;
  #hasEnded = false;

  constructor(
    snapshot: SnapshotView,
    keydir: Keydir,
    undo: () => UndoList,
    bounds: KeyBounds,
    isReverse: boolean,
  ) {
    this.#snapshot = snapshot;
    this.#keydir = keydir;
    this.#undo = undo;
    this.#bounds = bounds;
    this.#isReverse = isReverse;
    const { low, high } = bounds;
    if (isReverse) this.#index = keydir.seekBackward(high, false);
    else this.#index = low === undefined ? keydir.first() : keydir.seek(low, true);
  }

  /** Whether there is nothing more. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /**
   * The key that the walk has come to, hidden ones included: where another walk
   * goes on if the snapshot ends. Undefined: it has not begun.
   */
  get after(): Uint8Array | undefined {
    return this.#after;
  }

  /**
   * The next entry. Undefined: at the end, as `hasEnded` says, or after 1,024
   * keys that the snapshot does not see; then it is to be called again, in
   * another turn. Throws SNAPSHOT_ENDED, STORE_CLOSING.
   */
  next(): SnapshotEntry | undefined {
    this.#snapshot.requireOpen();
    for (let visits = 0; visits < VISITS_MAX && !this.#hasEnded; visits += 1) {
      const entry = this.#step();
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /**
   * Gives the next entries to `sink` until that is full, the walk has ended, or the call
   * has looked at 1,024 keys: then it is to be called again, in another turn. Throws
   * SNAPSHOT_ENDED, STORE_CLOSING.
   */
  fill(sink: PlaceSink): void {
    this.#snapshot.requireOpen();
    let visits = 0;
    while (visits < VISITS_MAX && !this.#hasEnded && !sink.isFull) {
      if (this.#undo().count === 0 && this.#head === undefined) {
        visits += this.#fillFromIndex(sink, VISITS_MAX - visits);
        continue;
      }
      const entry = this.#step();
      if (entry !== undefined) sink.addEntry(entry);
      visits += 1;
    }
  }

  /** While nothing was replaced the index alone tells all; answers how many keys it has passed. */
  #fillFromIndex(sink: PlaceSink, visitsMax: number): number {
    const keydir = this.#keydir;
    const { version: seen, openedAtMs } = this.#snapshot;
    const limit = this.#isReverse ? this.#bounds.low : this.#bounds.high;
    let last = NO_ENTRY;
    let visits = 0;
    while (visits < visitsMax && !sink.isFull) {
      const entry = this.#hasIndexEnded ? NO_ENTRY : this.#index.next();
      if (entry === NO_ENTRY || (limit !== undefined && this.#isEntryBeyond(entry, limit))) {
        this.#hasIndexEnded = true;
        this.#hasEnded = true;
        break;
      }
      visits += 1;
      last = entry;
      const version = keydir.versionOf(entry);
      const expiresAtMs = keydir.expiresAtMsOf(entry);
      if (version > seen || hasExpired(expiresAtMs, openedAtMs)) continue;
      sink.add(keydir, entry, version, expiresAtMs);
    }
    if (last !== NO_ENTRY) this.#pass(keydir.keyOf(last), undefined);
    return visits;
  }

  #isEntryBeyond(entry: number, limit: Uint8Array): boolean {
    const order = this.#keydir.compareKey(entry, limit);
    return this.#isReverse ? order < 0 : order >= 0;
  }

  /** Passes one key; answers what the snapshot sees of it. */
  #step(): SnapshotEntry | undefined {
    const undo = this.#undo();
    if (undo.count === 0 && this.#head === undefined) return this.#stepIndex();
    const next = this.#head === undefined ? this.#nextOfIndex() : undefined;
    if (next !== undefined) this.#head = { key: next.key, text: keyTextOf(next.key) };
    const replaced = this.#nextReplaced(undo);
    const head = this.#head;
    if (head !== undefined && (replaced === undefined || !this.#isBefore(replaced, head.text))) {
      this.#head = undefined;
      this.#pass(head.key, head.text);
      // Between two calls the entry may have moved, or gone.
      const entry = next?.entry ?? this.#keydir.find(head.key);
      return this.#snapshot.look(head.key, head.text, entry);
    }
    if (replaced === undefined) {
      this.#hasEnded = true;
      return undefined;
    }
    const key = new Uint8Array(Buffer.from(replaced, "latin1"));
    this.#pass(key, replaced);
    return this.#snapshot.look(key, replaced, this.#keydir.find(key));
  }

  /** Nothing was replaced: what the index has next is what comes next. */
  #stepIndex(): SnapshotEntry | undefined {
    const next = this.#nextOfIndex();
    if (next === undefined) {
      this.#hasEnded = true;
      return undefined;
    }
    this.#pass(next.key, undefined);
    return this.#snapshot.look(next.key, undefined, next.entry);
  }

  #pass(key: Uint8Array, text: string | undefined): void {
    this.#after = key;
    this.#passed = text;
  }

  /** The next entry of the index in the range; its number is good for this turn. */
  #nextOfIndex(): { readonly entry: number; readonly key: Uint8Array } | undefined {
    if (this.#hasIndexEnded) return undefined;
    const entry = this.#index.next();
    if (entry !== NO_ENTRY) {
      const key = this.#keydir.keyOf(entry);
      if (!this.#isBeyond(key)) return { entry, key };
    }
    this.#hasIndexEnded = true;
    return undefined;
  }

  /** The next key of the undo list behind the last that was passed, if it lies in the range. */
  #nextReplaced(undo: UndoList): string | undefined {
    const { low, high } = this.#bounds;
    const passed = this.#passed ?? (this.#after && keyTextOf(this.#after));
    const bound = this.#isReverse ? high : low;
    const from = passed ?? (bound && keyTextOf(bound));
    const text = this.#isReverse ? undo.keyBelow(from) : undo.keyAbove(from, passed === undefined);
    const limit = this.#isReverse ? low : high;
    if (text === undefined || limit === undefined) return text;
    const limitText = keyTextOf(limit);
    return (this.#isReverse ? text < limitText : text >= limitText) ? undefined : text;
  }

  #isBefore(one: string, other: string): boolean {
    return this.#isReverse ? one > other : one < other;
  }

  #isBeyond(key: Uint8Array): boolean {
    const { low, high } = this.#bounds;
    if (this.#isReverse) return low !== undefined && compareKeys(key, low) < 0;
    return high !== undefined && compareKeys(key, high) >= 0;
  }
}
