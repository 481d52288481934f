/**
 * Filling a keydir at opening, many entries at a time.
 *
 *     add -> cell, and [hash, entry number] in the batch
 *     full batch -> put in the order of the hash's partitions, partition by
 *                   partition into the table -> sorted by key -> one run
 *
 * One key at a time a load waits for memory at every step: for the slot, for
 * the cell, for the keys that a merge compares. A batch touches each partition
 * once and each cell once more, in the order in which they lie.
 *
 * Nothing is looked up and nothing is served meanwhile. So here, and only here,
 * a step is not bound to 64 KiB, but by the batch: 2^21 entries, or 64 MiB of
 * keys and one key. Entries of one key are told apart when the batch is full:
 * the highest version stays, of equal ones the first (V5).
 */
import { BulkLayout } from "./bulk-layout.js";
import { NO_ENTRY } from "./entry-table.js";
import type { HashTable } from "./hash-table.js";
import type { KeyOrder } from "./key-order.js";
import { KeyRadixSorter } from "./key-radix-sort.js";
import type { KeyTable } from "./key-table.js";
import { BLOCK_NUMBERS } from "./run.js";
import type { StepMeter } from "./step-meter.js";

/** A batch has half as many entries as there are, within these bounds: what is there is laid out anew. */
const BATCH_ENTRIES_MIN = 1 << 19;
const BATCH_ENTRIES_MAX = 1 << 21;
const FIRST_BATCH_ENTRIES = 1024;
const BATCH_KEY_BYTES = 64 * 1024 * 1024;

/** The parts of the keydir that is filled. */
export interface BulkTarget {
  readonly keys: KeyTable;
  readonly table: HashTable;
  readonly order: KeyOrder;
  readonly meter: StepMeter;
  /** The hash of `source[start, end)`. */
  readonly hashOf: (source: Uint8Array, start: number, end: number) => number;
  /** Names an entry in the order, and does the share of upkeep that a put does. */
  readonly addOne: (entry: number) => void;
}

/** Is told of each entry that another of the same key has replaced. */
export type OnReplaced = (segment: number, length: number, expiresAtMs: number) => void;

/** One filling; `flush` ends it. */
export class BulkLoad {
  readonly #target: BulkTarget;
  readonly #onReplaced: OnReplaced;
  #hashes = new Int32Array(FIRST_BATCH_ENTRIES);
  #entries = new Uint32Array(FIRST_BATCH_ENTRIES);
  #batchEntries = BATCH_ENTRIES_MIN;
  #count = 0;
  #keyBytes = 0;
  #layout: BulkLayout | undefined;
  /** Hash and entry, in turn, of what a partition has no room for. */
  readonly #beyond: number[] = [];

  constructor(target: BulkTarget, onReplaced: OnReplaced) {
    this.#target = target;
    this.#onReplaced = onReplaced;
  }

  /** Adds an entry; the numbers are those of Keydir.put. It is found after `flush`. */
  add(
    source: Uint8Array,
    start: number,
    end: number,
    segment: number,
    offset: number,
    length: number,
    expiresAtMs: number,
    version: number,
  ): void {
    if (this.#count === this.#hashes.length || this.#keyBytes >= BATCH_KEY_BYTES) {
      if (this.#count < this.#batchEntries && this.#keyBytes < BATCH_KEY_BYTES) this.#grow();
      else this.flush();
    }
    const { keys, hashOf } = this.#target;
    const entry = keys.entries.allocate(source, start, end);
    keys.entries.write(entry, segment, offset, length, expiresAtMs, version);
    const at = this.#count++;
    this.#hashes[at] = hashOf(source, start, end);
    this.#entries[at] = entry;
    this.#keyBytes += end - start;
  }

  /** Puts what was added where it is found. */
  flush(): void {
    const count = this.#count;
    this.#count = 0;
    this.#keyBytes = 0;
    if (count === 0) return;
    this.#target.table.reserve(count);
    this.#fillTable(count);
    this.#fillOrder(count);
    const half = this.#target.keys.entries.count / 2;
    this.#batchEntries = Math.min(Math.max(half, BATCH_ENTRIES_MIN), BATCH_ENTRIES_MAX);
  }

  #grow(): void {
    const hashes = new Int32Array(2 * this.#hashes.length);
    const entries = new Uint32Array(2 * this.#hashes.length);
    hashes.set(this.#hashes);
    entries.set(this.#entries);
    this.#hashes = hashes;
    this.#entries = entries;
  }

  /** Into the table: sorted by partition, then partition by partition. */
  #fillTable(count: number): void {
    const { table } = this.#target;
    const partitions = table.partitions;
    // Where each partition's entries begin; one after another they become where they end.
    const ends = new Uint32Array(partitions + 1);
    for (let at = 0; at < count; at++) ends[table.partitionOf(this.#hashes[at]!) + 1]!++;
    for (let partition = 1; partition < partitions; partition++) {
      ends[partition]! += ends[partition - 1]!;
    }
    const hashes = new Int32Array(count);
    const entries = new Uint32Array(count);
    for (let at = 0; at < count; at++) {
      const hash = this.#hashes[at]!;
      const to = ends[table.partitionOf(hash)]!++;
      hashes[to] = hash;
      entries[to] = this.#entries[at]!;
    }
    this.#layout ??= new BulkLayout();
    const layout = this.#layout;
    const settle = (known: number, entry: number) => this.#settle(known, entry);
    const beyond = (hash: number, entry: number) => this.#beyond.push(hash, entry);
    let from = 0;
    for (let partition = 0; partition < partitions; partition++) {
      const end = ends[partition]!;
      if (end === from) continue;
      const isFilled = table.fill(partition, layout, hashes, entries, from, end, settle, beyond);
      if (!isFilled) for (; from < end; from++) this.#addAlone(hashes[from]!, entries[from]!);
      from = end;
      for (let i = 0; i < this.#beyond.length; i += 2) {
        this.#addAlone(this.#beyond[i]!, this.#beyond[i + 1]!);
      }
      this.#beyond.length = 0;
    }
  }

  /** The way of a single put: where hashes were made to collide. */
  #addAlone(hash: number, entry: number): void {
    const { keys, table, meter } = this.#target;
    meter.begin();
    const key = new Uint8Array(keys.entries.keyLengthOf(entry));
    keys.copy(entry, key);
    const known = table.find(hash, key, 0, key.length);
    if (known !== NO_ENTRY) this.#settle(known, entry);
    else table.insert(hash, entry, key, 0, key.length);
  }

  /** Of two entries of one key the known one keeps its number and gets what is newer; false: of two keys. */
  #settle(known: number, entry: number): boolean {
    const { keys } = this.#target;
    if (keys.compare(known, entry, 0) !== 0) return false;
    const { entries } = keys;
    const isNewer = entries.versionOf(entry) > entries.versionOf(known);
    const older = isNewer ? known : entry;
    this.#onReplaced(
      entries.segmentOf(older),
      entries.lengthOf(older),
      entries.expiresAtMsOf(older),
    );
    if (isNewer) {
      entries.write(
        known,
        entries.segmentOf(entry),
        entries.offsetOf(entry),
        entries.lengthOf(entry),
        entries.expiresAtMsOf(entry),
        entries.versionOf(entry),
      );
    }
    // Nothing names it, so its cell is free at once; nobody takes one before the batch is done.
    entries.retire(entry);
    entries.free(entry);
    return true;
  }

  /** Into the order: few one by one, many as a run. */
  #fillOrder(count: number): void {
    const { order, keys, addOne } = this.#target;
    const entries = this.#entries;
    let left = 0;
    for (let at = 0; at < count; at++) {
      const entry = entries[at]!;
      if (keys.entries.isKnownLive(entry)) entries[left++] = entry;
    }
    if (left < BLOCK_NUMBERS) {
      for (let at = 0; at < left; at++) addOne(entries[at]!);
      return;
    }
    new KeyRadixSorter(keys, left).sort(entries);
    order.addSorted(entries, left);
  }
}
