/**
 * What a scan has collected from its walk and is to give next: places in key order, in
 * rows of numbers, so that nothing is made for each of them; divided into parts. A scan
 * has one, and fills it again and again.
 *
 *     records  | 0 1 2 ... | ...... | held      a record that begins a part which the
 *     parts    |     0     |    1   |           window may not have is held for the next
 *
 *     small part   of records that together take at most 64 KiB
 *     large part   of one record that alone takes more; a window of its own
 *
 *     row, words of 32 bits, which lie together because they are read together, in
 *     another order than that of the keys
 *     0 offset | 1 bytes of the record | 2 segment, and in its high half the state
 *     3 4 version | 5 6 where its key begins and ends | 7 where it goes | 8 9 expiry
 *
 * Invariant: nothing in it depends on the index any more, so it may be kept for as long
 * as the snapshot that it was collected from.
 */
import { FRAME_HEADER_BYTES } from "../../format/frame.js";
import type { Keydir } from "../keydir/keydir.js";
import { BARE_RECORD_BYTES, LISTED_OVERHEAD_BYTES } from "../place.js";
import type { PlaceSink, SnapshotEntry } from "../snapshots/snapshot-cursor.js";
import type { Omission } from "../store-records.js";

/** What a small part may take. */
export const SMALL_PART_BYTES_MAX = 65_536;
/** What a part has beside its records. */
const PART_OVERHEAD_BYTES = 64;
/** Room for so many places, and for their keys, at first. */
const PLACES_FIRST = 64;
const KEY_BYTES_FIRST = 2048;
/** What the places of one part, the one that is held, and their keys may have grown to. */
const PLACES_OF_PART = 2048;
const KEY_BYTES_OF_PART = 256 * 1024;

/** What becomes of a record. */
export const RecordState = {
  UNREAD: 0,
  READ: 1,
  KEYS_ONLY: 2,
  TOO_LARGE: 3,
  UNREADABLE: 4,
} as const;
const OMISSIONS: readonly (Omission | undefined)[] = [
  undefined,
  undefined,
  "keys-only",
  "too-large",
  "unreadable",
];

/** Words of a row. */
const ROW_WORDS = 10;
const HIGH = 2 ** 32;

/** What a window may have. */
export interface WindowBounds {
  /** The most a part may take, as of a page of List. */
  readonly bytesMax: number;
  readonly keysOnly: boolean;
  /** The most records. */
  readonly recordsMax: number;
  /** The most small parts. */
  readonly partsMax: number;
}

/** Places in key order. */
export class ScanWindow implements PlaceSink {
  /** The keys, one after the other. */
  keys = new Uint8Array(KEY_BYTES_FIRST);
  /** For who reads the records: their numbers in the order in which they lie. */
  order = new Uint32Array(PLACES_FIRST);
  #rows = new Uint32Array(PLACES_FIRST * ROW_WORDS);
  #keysEnd = 0;
  /** Where each part ends: the number of the first record that is not its own. */
  readonly partEnds: number[] = [];
  #bounds: WindowBounds = { bytesMax: 0, keysOnly: false, recordsMax: 0, partsMax: 0 };
  #partBytesMax = 0;
  #places = 0;
  #partStart = 0;
  #partBytes = PART_OVERHEAD_BYTES;
  #isFull = true;
  #isLarge = false;

  /** Is empty, but for what it has held. */
  begin(bounds: WindowBounds): void {
    const held = this.isHolding ? this.entry(this.count) : undefined;
    this.#bounds = bounds;
    this.#partBytesMax = Math.min(SMALL_PART_BYTES_MAX, bounds.bytesMax);
    this.#places = 0;
    this.#keysEnd = 0;
    this.partEnds.length = 0;
    this.#startPart(0);
    this.#isFull = bounds.recordsMax === 0;
    this.#isLarge = false;
    if (bounds.partsMax === 1) this.#shrink();
    if (held !== undefined) this.addEntry(held);
  }

  /** How many records its parts have. */
  get count(): number {
    return this.partEnds.at(-1) ?? 0;
  }

  /** Whether it takes no more. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Whether its one part is a large one. */
  get isLarge(): boolean {
    return this.#isLarge;
  }

  /** Whether it has a record that the next window begins with. */
  get isHolding(): boolean {
    return this.#places > this.count;
  }

  /** What its last part takes. */
  get lastPartBytes(): number {
    return this.#partBytes;
  }

  add(keydir: Keydir, entry: number, version: number, expiresAtMs: number): void {
    const keyBytes = keydir.keyLengthOf(entry);
    this.#makeRoom(keyBytes);
    keydir.copyKey(entry, this.keys, this.#keysEnd);
    const recordBytes = keydir.lengthOf(entry) - FRAME_HEADER_BYTES;
    const segment = keydir.segmentOf(entry);
    const offset = keydir.offsetOf(entry);
    this.#addRow(segment, offset, recordBytes, version, expiresAtMs, keyBytes);
  }

  addEntry(entry: SnapshotEntry): void {
    const { key, version, expiresAtMs, recordBytes, segment, offset } = entry;
    this.#makeRoom(key.length);
    this.keys.set(key, this.#keysEnd);
    this.#addRow(segment, offset, recordBytes, version, expiresAtMs, key.length);
  }

  /** Nothing more comes. */
  finish(): void {
    if (!this.#isFull && this.#places > this.#partStart) this.partEnds.push(this.#places);
    this.#isFull = true;
  }

  segmentOf(at: number): number {
    return this.#rows[at * ROW_WORDS + 2]! & 0xffff;
  }

  /** Of its frame in the segment. */
  offsetOf(at: number): number {
    return this.#rows[at * ROW_WORDS]!;
  }

  /** Of the encoded record, without the header of its frame. */
  recordBytesOf(at: number): number {
    return this.#rows[at * ROW_WORDS + 1]!;
  }

  versionOf(at: number): number {
    const row = at * ROW_WORDS;
    return this.#rows[row + 4]! * HIGH + this.#rows[row + 3]!;
  }

  /** Where its key begins in `keys`. */
  keyStartOf(at: number): number {
    return this.#rows[at * ROW_WORDS + 5]!;
  }

  /** Where its key ends in `keys`. */
  keyEndOf(at: number): number {
    return this.#rows[at * ROW_WORDS + 6]!;
  }

  /** Where the record goes, as its reader has said. */
  startOf(at: number): number {
    return this.#rows[at * ROW_WORDS + 7]!;
  }

  setStart(at: number, start: number): void {
    this.#rows[at * ROW_WORDS + 7] = start;
  }

  /** Of RecordState. */
  stateOf(at: number): number {
    return this.#rows[at * ROW_WORDS + 2]! >>> 16;
  }

  setState(at: number, state: number): void {
    const word = at * ROW_WORDS + 2;
    this.#rows[word] = (this.#rows[word]! & 0xffff) | (state << 16);
  }

  /** Why a record has no value; undefined: it has, or is still to be read. */
  omissionOf(at: number): Omission | undefined {
    return OMISSIONS[this.stateOf(at)];
  }

  /** A copy of its key. */
  keyOf(at: number): Uint8Array {
    return this.keys.slice(this.keyStartOf(at), this.keyEndOf(at));
  }

  /** The place of a record by itself. */
  entry(at: number): SnapshotEntry {
    const row = at * ROW_WORDS;
    return {
      key: this.keyOf(at),
      version: this.versionOf(at),
      expiresAtMs: this.#rows[row + 9]! * HIGH + this.#rows[row + 8]!,
      recordBytes: this.recordBytesOf(at),
      segment: this.segmentOf(at),
      offset: this.offsetOf(at),
    };
  }

  /** Adds a row whose key lies behind the keys, and takes it into a part. */
  #addRow(
    segment: number,
    offset: number,
    recordBytes: number,
    version: number,
    expiresAtMs: number,
    keyBytes: number,
  ): void {
    const at = this.#places;
    const rows = this.#rows;
    const row = at * ROW_WORDS;
    rows[row] = offset;
    rows[row + 1] = recordBytes;
    rows[row + 2] = segment;
    rows[row + 3] = version;
    rows[row + 4] = version / HIGH;
    rows[row + 5] = this.#keysEnd;
    this.#keysEnd += keyBytes;
    rows[row + 6] = this.#keysEnd;
    rows[row + 8] = expiresAtMs;
    rows[row + 9] = expiresAtMs / HIGH;
    this.#take(at);
  }

  /** Takes a place, whose row is written, into a part. */
  #take(at: number): void {
    this.#places = at + 1;
    const costBytes = this.#classify(at);
    if (this.#partBytes + costBytes > this.#partBytesMax && at > this.#partStart) {
      this.partEnds.push(at);
      this.#startPart(at);
      const isLarge = this.#partBytes + costBytes > this.#partBytesMax;
      this.#isFull = isLarge || this.partEnds.length === this.#bounds.partsMax;
      // It is held, and the next window looks at it anew.
      if (this.#isFull) return;
    }
    this.#partBytes += costBytes;
    this.#isLarge = this.#partBytes > this.#partBytesMax;
    this.#isFull = this.#isLarge || at + 1 === this.#bounds.recordsMax;
    if (this.#isFull) this.partEnds.push(at + 1);
  }

  #startPart(at: number): void {
    this.#partStart = at;
    this.#partBytes = PART_OVERHEAD_BYTES;
  }

  /** What is to become of a record; answers what it takes of its part. */
  #classify(at: number): number {
    const { bytesMax, keysOnly } = this.#bounds;
    const wholeBytes = this.recordBytesOf(at) + LISTED_OVERHEAD_BYTES;
    if (!keysOnly && wholeBytes + PART_OVERHEAD_BYTES <= bytesMax) return wholeBytes;
    this.setState(at, keysOnly ? RecordState.KEYS_ONLY : RecordState.TOO_LARGE);
    return this.keyEndOf(at) - this.keyStartOf(at) + BARE_RECORD_BYTES;
  }

  /** What it had for many parts was lent to it (read-ahead.ts): one part keeps none of it. */
  #shrink(): void {
    if (this.order.length > PLACES_OF_PART) {
      this.order = new Uint32Array(PLACES_FIRST);
      this.#rows = new Uint32Array(PLACES_FIRST * ROW_WORDS);
    }
    if (this.keys.length > KEY_BYTES_OF_PART) this.keys = new Uint8Array(KEY_BYTES_FIRST);
  }

  /** Makes room for one more place. */
  #makeRoom(keyBytes: number): void {
    if (this.#places === this.order.length) {
      const places = 2 * this.#places;
      const rows = this.#rows;
      this.order = new Uint32Array(places);
      this.#rows = new Uint32Array(places * ROW_WORDS);
      this.#rows.set(rows);
    }
    const keysEnd = this.#keysEnd + keyBytes;
    if (keysEnd > this.keys.length) {
      const { keys } = this;
      this.keys = new Uint8Array(2 * keysEnd);
      this.keys.set(keys);
    }
  }
}
