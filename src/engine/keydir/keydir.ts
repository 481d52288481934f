/**
 * The keydir: every key in memory, and where its newest record lies.
 *
 *     key bytes --hash--> HashTable --entry number--> EntryTable: fields and key
 *
 * An entry number is good until the next put(), remove() or maintain(), which
 * may move entries; a visitor may remove, and what it is shown does not move.
 * All bytes lie in shared pages of fixed size; nothing is allocated per key or
 * per look-up.
 *
 * No call touches more than 64 KiB of index pages on top of the caller's own
 * key (StepMeter asserts it): what growth needs is done in steps, by the writes
 * that cause it and by maintain(). Only the load at opening, when nobody waits
 * for anything else, works in larger pieces (bulk-load.ts).
 */
import { KvixError } from "../../base/kvix-error.js";
import { BulkLoad, type OnReplaced } from "./bulk-load.js";
import { CellEvacuation, EVACUATION_STEP_BYTES } from "./cell-evacuation.js";
import { CollisionList } from "./collision-list.js";
import { type EntryTableImage, NO_ENTRY } from "./entry-table.js";
import { ExpirySweep } from "./expiry-sweep.js";
import { HashTable, type HashTableImage } from "./hash-table.js";
import { KeyOrder, type KeyOrderImage } from "./key-order.js";
import { KeyTable } from "./key-table.js";
import { KeyedHash } from "./keyed-hash.js";
import { type OrderedCursor, OrderWalk } from "./ordered-cursor.js";
import { StepMeter } from "./step-meter.js";

export { NO_ENTRY } from "./entry-table.js";
export type { OrderedCursor } from "./ordered-cursor.js";

const KEY_BYTES_MAX = 65_535;
/** Inserts and removals, or bytes of their keys, between two looks at whether upkeep is overdue. */
const SHARE_WRITES = 64;
const SHARE_BYTES = 4 * 1024;
/** What a step of the hash may touch; one of the order touches less than an evacuation. */
const TABLE_STEP_BYTES = 50 * 1024;

/** How a keydir is made. */
export interface KeydirOptions {
  /** 16 secret random bytes: the hash's seed. */
  readonly seed: Uint8Array;
  /** The bytes that the caller lets the index have; only told back. Infinity by default. */
  readonly bytesMax?: number;
  /** Instead of the keyed hash: for tests that force collisions. 32 bits. */
  readonly hash?: (key: Uint8Array) => number;
}

/**
 * A keydir beside its pages. It and the pages are what a checkpoint holds:
 * whoever changes what either means raises CHECKPOINT_FORMAT_VERSION.
 */
export interface KeydirImage {
  readonly seed: readonly number[];
  readonly entries: EntryTableImage;
  readonly table: HashTableImage;
  readonly collisions: readonly number[];
  readonly order: KeyOrderImage;
}

/** The index of a store. */
export class Keydir {
  /** The limit given at construction, in bytes. */
  readonly bytesMax: number;
  readonly #meter = new StepMeter();
  readonly #keys = new KeyTable();
  readonly #entries = this.#keys.entries;
  readonly #collisions = new CollisionList(this.#keys, this.#meter);
  readonly #table = new HashTable(this.#keys, this.#collisions, this.#meter);
  readonly #order = new KeyOrder(this.#keys, this.#meter);
  readonly #sweep = new ExpirySweep(this.#entries);
  readonly #evacuation = new CellEvacuation(this.#entries, this.#meter, (entry) => {
    this.#move(entry);
  });
  readonly #seed: Uint8Array;
  readonly #hash: KeyedHash;
  readonly #forcedHash: ((key: Uint8Array) => number) | undefined;
  /** A key on its way from its cell to the hash. */
  readonly #scratch = new Uint8Array(KEY_BYTES_MAX);
  /** Since the last share of upkeep. */
  #unsharedWrites = 0;
  #unsharedBytes = 0;
  #isCellsTurn = false;
  /** A visitor is being shown entries. */
  #isShowing = false;
  /** Where the frame lay of the entry that the last `put` overwrote; length 0: it inserted. */
  replacedSegment = 0;
  replacedOffset = 0;
  replacedLength = 0;

  constructor(options: KeydirOptions) {
    this.bytesMax = options.bytesMax ?? Number.POSITIVE_INFINITY;
    this.#seed = options.seed.slice();
    this.#hash = new KeyedHash(options.seed);
    this.#forcedHash = options.hash;
  }

  /** Entries. */
  get count(): number {
    return this.#entries.count;
  }

  /** Entries with an expiry. */
  get expiring(): number {
    return this.#entries.expiring;
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#entries.bytes + this.#table.bytes + this.#collisions.bytes + this.#order.bytes;
  }

  /** The most bytes of index pages that one call has touched; never above 65,536. */
  get worstStepBytes(): number {
    return this.#meter.worstBytes;
  }

  /** Sorted runs and parts of runs that a seek looks into; bounded, see key-order.ts. */
  get runCount(): number {
    return this.#order.runCount;
  }

  /** The entry of `key`, or NO_ENTRY. */
  find(key: Uint8Array): number {
    return this.findIn(key, 0, key.length);
  }

  /** The entry of the key `source[start, end)`, or NO_ENTRY. */
  findIn(source: Uint8Array, start: number, end: number): number {
    return this.#table.find(this.#hashOf(source, start, end), source, start, end);
  }

  /** The slot number of the segment, 0..65,535. */
  segmentOf(entry: number): number {
    return this.#entries.segmentOf(entry);
  }

  /** The offset of the frame in its segment, in bytes, below 2^32. */
  offsetOf(entry: number): number {
    return this.#entries.offsetOf(entry);
  }

  /** The length of the frame in bytes, below 2^32. */
  lengthOf(entry: number): number {
    return this.#entries.lengthOf(entry);
  }

  /** When the record expires, in Unix milliseconds; 0: never. */
  expiresAtMsOf(entry: number): number {
    return this.#entries.expiresAtMsOf(entry);
  }

  /** The record's version, at most 2^48 - 1. */
  versionOf(entry: number): number {
    return this.#entries.versionOf(entry);
  }

  /** The length of the key in bytes. */
  keyLengthOf(entry: number): number {
    return this.#entries.keyLengthOf(entry);
  }

  /** A copy of the key. */
  keyOf(entry: number): Uint8Array {
    const key = new Uint8Array(this.#entries.keyLengthOf(entry));
    this.#keys.copy(entry, key);
    return key;
  }

  /** Copies the key into `target`, which has room, from `at` on; answers its length. */
  copyKey(entry: number, target: Uint8Array, at: number): number {
    return this.#keys.copy(entry, target, at);
  }

  /** Compares the key with `other`: negative if it comes before, positive if behind. */
  compareKey(entry: number, other: Uint8Array): number {
    return this.#keys.compareWith(entry, other, 0, other.length);
  }

  /**
   * Inserts the key `source[start, end)` or overwrites its entry in place, and
   * answers the entry. Throws KEY_EMPTY, KEY_TOO_LARGE; INDEX_FULL at 2^32 - 8,192
   * entries. Numbers outside what the accessors promise are the caller's defect.
   */
  put(
    source: Uint8Array,
    start: number,
    end: number,
    segment: number,
    offset: number,
    length: number,
    expiresAtMs: number,
    version: number,
  ): number {
    if (end <= start) throw new KvixError("KEY_EMPTY");
    if (end - start > KEY_BYTES_MAX) throw new KvixError("KEY_TOO_LARGE");
    const hash = this.#hashOf(source, start, end);
    const known = this.#table.find(hash, source, start, end);
    if (known !== NO_ENTRY) {
      this.replacedSegment = this.#entries.segmentOf(known);
      this.replacedOffset = this.#entries.offsetOf(known);
      this.replacedLength = this.#entries.lengthOf(known);
      this.#entries.write(known, segment, offset, length, expiresAtMs, version);
      return known;
    }
    this.replacedLength = 0;
    const entry = this.#insert(hash, source, start, end);
    this.#entries.write(entry, segment, offset, length, expiresAtMs, version);
    this.#share(end - start, entry);
    return entry;
  }

  /** The frame of an entry, which stays as it is, lies elsewhere now. */
  moveFrame(entry: number, segment: number, offset: number): void {
    const entries = this.#entries;
    const expiresAtMs = entries.expiresAtMsOf(entry);
    const length = entries.lengthOf(entry);
    entries.write(entry, segment, offset, length, expiresAtMs, entries.versionOf(entry));
  }

  /**
   * Fills the keydir at opening: faster than put(), and not in bounded steps.
   * Between this and the load's flush() nothing else may be done with the keydir.
   */
  load(onReplaced: OnReplaced): BulkLoad {
    const target = {
      keys: this.#keys,
      table: this.#table,
      order: this.#order,
      meter: this.#meter,
      hashOf: (source: Uint8Array, start: number, end: number) => this.#hashOf(source, start, end),
      addOne: (entry: number) => {
        this.#meter.begin();
        this.#order.add(entry, this.#entries.keyLengthOf(entry));
        this.#share(this.#entries.keyLengthOf(entry), NO_ENTRY);
      },
    };
    return new BulkLoad(target, onReplaced);
  }

  /** Removes an entry. Its number may be that of another key afterwards. */
  remove(entry: number): void {
    this.#meter.begin();
    const key = this.#scratch;
    const length = this.#keys.copy(entry, key);
    this.#table.remove(this.#hashOf(key, 0, length), entry, key, 0, length);
    this.#entries.retire(entry);
    this.#share(length, NO_ENTRY);
  }

  /**
   * The most bytes that inserting one more key of this length may allocate; or
   * `keys` more keys of together `keyBytes`.
   */
  bytesFor(keyBytes: number, keys = 1): number {
    return (
      this.#entries.bytesFor(keyBytes, keys) +
      this.#table.bytesFor(keys) +
      this.#order.bytesFor(keys)
    );
  }

  /**
   * Visits up to `limit` entries with 0 < expiry <= `nowMs`, and answers whether
   * more may be due. Looks at 16,384 entries at most; reads no key. The visitor
   * may remove what it is shown.
   */
  soonestDue(nowMs: number, limit: number, visit: (entry: number) => void): boolean {
    return this.#show(() => this.#sweep.visitDue(nowMs, limit, visit));
  }

  /**
   * The index as it stands, for a checkpoint: `parts` for JSON, which holds the
   * secret seed, and the bytes of the pages, which are good until the next change.
   */
  save(): { readonly parts: KeydirImage; readonly pages: readonly Uint8Array[] } {
    const pages: Uint8Array[] = [];
    const parts = {
      seed: Array.from(this.#seed),
      entries: this.#entries.save(pages),
      table: this.#table.save(pages),
      collisions: this.#collisions.save(pages),
      order: this.#order.save(pages),
    };
    return { parts, pages };
  }

  /**
   * The index that save() told of, once the bytes of `pages` are those that it
   * gave; not to be used before, nor if `parts` are not what it gave.
   */
  static restored(parts: KeydirImage): {
    readonly keydir: Keydir;
    readonly pages: readonly Uint8Array[];
  } {
    const keydir = new Keydir({ seed: Uint8Array.from(parts.seed) });
    const pages: Uint8Array[] = [];
    keydir.#entries.restore(parts.entries, pages);
    keydir.#table.restore(parts.table, pages);
    keydir.#collisions.restore(parts.collisions, pages);
    keydir.#order.restore(parts.order, pages);
    return { keydir, pages };
  }

  /** One bounded step of upkeep; true while there is more to do. */
  maintain(): boolean {
    this.#meter.begin();
    if (this.#table.step() || this.#order.step() || this.#evacuation.step(NO_ENTRY)) return true;
    if (this.#entries.count === 0) {
      for (const part of [this.#entries, this.#table, this.#order]) part.trim();
    }
    return false;
  }

  /** Walks up from the first entry whose key is at or above `key` (not `inclusive`: above). */
  seek(key: Uint8Array, inclusive: boolean): OrderedCursor {
    return new OrderWalk(this.#order, this.#keys, { key, inclusive, step: 1 });
  }

  /** Walks down from `key` (not `inclusive`: from below it), or from the last key of all. */
  seekBackward(key: Uint8Array | undefined, inclusive: boolean): OrderedCursor {
    return new OrderWalk(this.#order, this.#keys, { key, inclusive, step: -1 });
  }

  /** Walks up from the first key. */
  first(): OrderedCursor {
    return new OrderWalk(this.#order, this.#keys, { key: undefined, inclusive: true, step: 1 });
  }

  /** Visits every entry in the order of entry numbers; the visitor may remove any. */
  forEach(visit: (entry: number) => void): void {
    this.#show(() => this.#entries.forEach(visit));
  }

  /** Runs what shows entries to a visitor: none moves meanwhile, so none is missed or shown twice. */
  #show<Answer>(visitAll: () => Answer): Answer {
    this.#isShowing = true;
    try {
      return visitAll();
    } finally {
      this.#isShowing = false;
    }
  }

  #hashOf(source: Uint8Array, start: number, end: number): number {
    if (this.#forcedHash === undefined) return this.#hash.of(source, start, end);
    return this.#forcedHash(source.subarray(start, end)) | 0;
  }

  #insert(hash: number, source: Uint8Array, start: number, end: number): number {
    this.#meter.begin();
    const entry = this.#entries.allocate(source, start, end);
    this.#table.insert(hash, entry, source, start, end);
    this.#order.add(entry, end - start);
    return entry;
  }

  /** Gives an entry another cell, and so another number. */
  #move(entry: number): void {
    const key = this.#scratch;
    const length = this.#keys.copy(entry, key);
    const moved = this.#entries.relocate(entry);
    this.#table.replace(this.#hashOf(key, 0, length), entry, moved, key, 0, length);
    this.#order.add(moved, length);
    this.#order.epoch++;
  }

  /**
   * The share of upkeep that a write of a key of this length does: the hash
   * keeps pace with it; order and cells only when nobody calls maintain(), or
   * not often enough. `entry` stays where it is: the write is about to answer it.
   */
  #share(keyBytes: number, entry: number): void {
    if (this.#meter.room >= TABLE_STEP_BYTES && this.#table.step()) return;
    this.#unsharedWrites++;
    this.#unsharedBytes += keyBytes;
    if (this.#unsharedWrites < SHARE_WRITES && this.#unsharedBytes < SHARE_BYTES) return;
    if (this.#meter.room < EVACUATION_STEP_BYTES) return;
    this.#unsharedWrites = 0;
    this.#unsharedBytes = 0;
    // In turn, so that neither waits for the other to be done.
    this.#isCellsTurn = !this.#isCellsTurn && !this.#isShowing;
    if (this.#isCellsTurn && this.#entries.cells.isOverdue) this.#evacuation.step(entry);
    else if (this.#order.isOverdue) this.#order.step();
  }
}
