/**
 * The hash: from a key's hash to its entry number, growing by linear hashing.
 *
 * There are P partitions, 2^L <= P < 2^(L+1). A hash belongs to partition
 * h mod 2^(L+1), or h mod 2^L where there is no such partition yet. To grow,
 * partition P - 2^L is split and its other half becomes partition P; to shrink,
 * the last partition is joined to the one it came from.
 *
 * Invariants
 *   1. P stays between entries / 1,024 and entries / 512, but for the steps due.
 *   2. A key is in its partition or in the collision list, never in both.
 *   3. One call lays out one partition anew (split and join: two), not more.
 *
 * A partition has room for 2,760 entries, sixteen standard deviations above
 * what chance can bring, and for sixteen of one hash. Keys beyond that have
 * hashes made to collide; they go to the collision list, where they are found
 * by their bytes (I7).
 */
import type { BulkLayout } from "./bulk-layout.js";
import type { CollisionList } from "./collision-list.js";
import { NO_ENTRY } from "./entry-table.js";
import { ENTRIES_PER_BLOCK, EQUAL_HASHES_MAX, PARTITION_BLOCKS_MAX } from "./hash-block.js";
import { HashLayout } from "./hash-layout.js";
import { HashPartitions, type HashPartitionsImage } from "./hash-partitions.js";
import type { KeyTable } from "./key-table.js";
import type { StepMeter } from "./step-meter.js";

/** Entries for each partition, on the average, above which the next one is split. */
const SPLIT_ABOVE = 1024;
/** And below which the last one is joined. */
const JOIN_BELOW = 512;
const PARTITION_ENTRIES_MAX = PARTITION_BLOCKS_MAX * ENTRIES_PER_BLOCK;

/** The table beside its pages, for a checkpoint. */
export interface HashTableImage {
  readonly level: number;
  readonly count: number;
  readonly partitions: HashPartitionsImage;
}

/** Where a key's entry is found. */
export class HashTable {
  readonly #partitions: HashPartitions;
  readonly #collisions: CollisionList;
  readonly #meter: StepMeter;
  readonly #layout = new HashLayout();
  /** The other half, when a partition is split. */
  readonly #layoutAdded = new HashLayout();
  /** L of the above. */
  #level = 0;
  #count = 0;

  constructor(keys: KeyTable, collisions: CollisionList, meter: StepMeter) {
    this.#partitions = new HashPartitions(keys, meter);
    this.#collisions = collisions;
    this.#meter = meter;
    this.#partitions.add();
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#partitions.bytes + 2 * this.#layout.words.byteLength;
  }

  /** Bytes that `entries` more would allocate at most. */
  bytesFor(entries: number): number {
    // A split leaves at most one block more than its entries need.
    const splits = Math.ceil(entries / SPLIT_ABOVE) + 1;
    return this.#partitions.bytesFor(Math.ceil(entries / ENTRIES_PER_BLOCK) + splits + 1, splits);
  }

  /** The entry of the key `source[start, end)` with this hash, or NO_ENTRY. */
  find(hash: number, source: Uint8Array, start: number, end: number): number {
    const entry = this.#partitions.find(this.#partitionOf(hash), hash, source, start, end);
    if (entry !== NO_ENTRY || this.#collisions.count === 0) return entry;
    return this.#collisions.find(source, start, end);
  }

  /** Adds an entry for the key that the find() just before did not find. */
  insert(hash: number, entry: number, source: Uint8Array, start: number, end: number): void {
    const partition = this.#partitionOf(hash);
    const blocks = this.#partitions.blocksOf(partition);
    if (this.#partitions.entriesOf(partition) >= blocks * ENTRIES_PER_BLOCK) {
      if (blocks === PARTITION_BLOCKS_MAX) {
        this.#collisions.insert(entry, source, start, end);
        return;
      }
      this.#resize(partition, Math.min(blocks + 1 + (blocks >>> 3), PARTITION_BLOCKS_MAX));
      this.#partitions.find(partition, hash, source, start, end);
    }
    if (this.#partitions.insertAtGap(partition, hash, entry)) this.#count++;
    else this.#collisions.insert(entry, source, start, end);
  }

  /** Gives the key `source[start, end)` with this hash another entry than it has. */
  replace(
    hash: number,
    entry: number,
    replacement: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#partitions.replace(this.#partitionOf(hash), hash, entry, replacement)) return;
    this.#collisions.replace(replacement, source, start, end);
  }

  /** Takes out the entry of the key `source[start, end)` with this hash. */
  remove(hash: number, entry: number, source: Uint8Array, start: number, end: number): void {
    const partition = this.#partitionOf(hash);
    if (!this.#partitions.remove(partition, hash, entry)) {
      this.#collisions.remove(source, start, end);
      return;
    }
    this.#count--;
    const entries = this.#partitions.entriesOf(partition);
    const blocks = this.#partitions.blocksOf(partition);
    if (entries === 0 || entries <= (blocks - 2) * ENTRIES_PER_BLOCK) {
      this.#resize(partition, blocksFor(entries));
    }
  }

  /** Splits or joins one partition if that is due; whether it was. */
  step(): boolean {
    const partitions = this.#partitions.count;
    if (this.#count > partitions * SPLIT_ABOVE) return this.#split();
    return partitions > 1 && this.#count < partitions * JOIN_BELOW && this.#join();
  }

  /** Partitions. */
  get partitions(): number {
    return this.#partitions.count;
  }

  /** The partition of a hash. */
  partitionOf(hash: number): number {
    return this.#partitionOf(hash);
  }

  /** Splits partitions until there are enough for so many entries more; for a load. */
  reserve(entries: number): void {
    while (this.#count + entries > this.#partitions.count * SPLIT_ABOVE) {
      this.#meter.begin();
      this.#split();
    }
  }

  /**
   * Adds the entries [from, end), which are of this partition, in one piece. `bulk`
   * is the load's scratch; see its layInto for `settle` and `refuse`. False where hashes were made to
   * collide: then keys are to be found and inserted one by one.
   */
  fill(
    partition: number,
    bulk: BulkLayout,
    hashes: Int32Array,
    entries: Uint32Array,
    from: number,
    end: number,
    settle: (known: number, entry: number) => boolean,
    refuse: (hash: number, entry: number) => void,
  ): boolean {
    const had = this.#partitions.entriesOf(partition);
    const count = had + end - from;
    if (count > PARTITION_ENTRIES_MAX || this.#collisions.count > 0) return false;
    bulk.begin();
    this.#partitions.gather(partition, bulk);
    for (let i = from; i < end; i++) bulk.add(hashes[i]!, entries[i]!);
    this.#layout.begin(Math.max(blocksFor(count), this.#partitions.blocksOf(partition)));
    bulk.layInto(this.#layout, EQUAL_HASHES_MAX, settle, refuse);
    this.#meter.begin();
    this.#partitions.store(partition, this.#layout);
    this.#count += this.#layout.entries - had;
    return true;
  }

  /** Adds the bytes of all pages to `pages`. */
  save(pages: Uint8Array[]): HashTableImage {
    return {
      level: this.#level,
      count: this.#count,
      partitions: this.#partitions.save(pages),
    };
  }

  /** Makes the table, which is new, what `image` says; its pages are added to `pages`, to be filled. */
  restore(image: HashTableImage, pages: Uint8Array[]): void {
    this.#level = image.level;
    this.#count = image.count;
    this.#partitions.restore(image.partitions, pages);
  }

  /** Gives back what is held in reserve. */
  trim(): void {
    this.#partitions.trim();
  }

  #partitionOf(hash: number): number {
    const partition = hash & ((2 << this.#level) - 1);
    return partition < this.#partitions.count ? partition : partition & ((1 << this.#level) - 1);
  }

  #resize(partition: number, blocks: number): void {
    this.#layout.begin(blocks);
    this.#partitions.collect(partition, this.#layout, 0, 0);
    this.#partitions.store(partition, this.#layout);
  }

  #split(): boolean {
    const partitions = this.#partitions;
    const bit = 1 << this.#level;
    const added = partitions.count;
    const source = added - bit;
    const moving = partitions.countWith(bit, source);
    this.#layout.begin(blocksFor(partitions.entriesOf(source) - moving));
    this.#layoutAdded.begin(blocksFor(moving));
    partitions.collect(source, this.#layout, bit, 0);
    partitions.collect(source, this.#layoutAdded, bit, bit);
    partitions.add();
    partitions.store(source, this.#layout);
    partitions.store(added, this.#layoutAdded);
    if (added + 1 === 2 * bit) this.#level++;
    return true;
  }

  #join(): boolean {
    const partitions = this.#partitions;
    const removed = partitions.count - 1;
    const level = removed + 1 === 1 << this.#level ? this.#level - 1 : this.#level;
    const target = removed - (1 << level);
    const entries = partitions.entriesOf(target) + partitions.entriesOf(removed);
    if (entries > PARTITION_ENTRIES_MAX) return false;
    this.#layout.begin(blocksFor(entries));
    partitions.collect(target, this.#layout, 0, 0);
    partitions.collect(removed, this.#layout, 0, 0);
    partitions.dropLast();
    partitions.store(target, this.#layout);
    this.#level = level;
    return true;
  }
}

function blocksFor(entries: number): number {
  return Math.ceil(entries / ENTRIES_PER_BLOCK);
}
