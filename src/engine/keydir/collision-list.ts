/**
 * Entries whose hashes were made to collide, in the order of their keys.
 *
 * With a secret seed this list is empty; it is what keeps the index correct,
 * and a look-up logarithmic, where the hash gives way: 10^5 equal hashes cost
 * some microseconds each (I7).
 *
 * Chunks of at most 512 entry numbers; a full one is cut in two, an empty one
 * goes. No chunk is empty, and keys ascend within and across chunks.
 */
import { NO_ENTRY } from "./entry-table.js";
import type { KeyTable } from "./key-table.js";
import { bytesOf } from "./page-bytes.js";
import type { StepMeter } from "./step-meter.js";

const CHUNK_ENTRIES = 512;

interface Chunk {
  readonly entries: Uint32Array;
  count: number;
}

/** A sorted list of entries. */
export class CollisionList {
  readonly #keys: KeyTable;
  readonly #meter: StepMeter;
  readonly #chunks: Chunk[] = [];
  #count = 0;

  constructor(keys: KeyTable, meter: StepMeter) {
    this.#keys = keys;
    this.#meter = meter;
  }

  /** Entries in the list. */
  get count(): number {
    return this.#count;
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_ENTRIES * 4;
  }

  /** The entry whose key is `source[start, end)`, or NO_ENTRY. */
  find(source: Uint8Array, start: number, end: number): number {
    const chunk = this.#chunks[this.#chunkFor(source, start, end)];
    if (chunk === undefined) return NO_ENTRY;
    const place = this.#placeIn(chunk, source, start, end);
    if (place === chunk.count) return NO_ENTRY;
    const entry = chunk.entries[place]!;
    return this.#keys.equals(entry, source, start, end) ? entry : NO_ENTRY;
  }

  /** Adds the entry of the key `source[start, end)`, which is not in the list. */
  insert(entry: number, source: Uint8Array, start: number, end: number): void {
    if (this.#chunks.length === 0) this.#chunks.push(newChunk());
    const index = this.#chunkFor(source, start, end);
    let chunk = this.#chunks[index]!;
    if (chunk.count === CHUNK_ENTRIES) {
      const upper = this.#cut(index);
      if (this.#keys.compareWith(upper.entries[0]!, source, start, end) <= 0) chunk = upper;
    }
    const place = this.#placeIn(chunk, source, start, end);
    chunk.entries.copyWithin(place + 1, place, chunk.count);
    this.#meter.add((chunk.count - place + 1) * 4);
    chunk.entries[place] = entry;
    chunk.count++;
    this.#count++;
  }

  /** Gives the key `source[start, end)`, which is in the list, another entry. */
  replace(entry: number, source: Uint8Array, start: number, end: number): void {
    const chunk = this.#chunks[this.#chunkFor(source, start, end)]!;
    chunk.entries[this.#placeIn(chunk, source, start, end)] = entry;
  }

  /** Takes out the key `source[start, end)`, which is in the list. */
  remove(source: Uint8Array, start: number, end: number): void {
    const index = this.#chunkFor(source, start, end);
    const chunk = this.#chunks[index]!;
    const place = this.#placeIn(chunk, source, start, end);
    chunk.entries.copyWithin(place, place + 1, chunk.count);
    this.#meter.add((chunk.count - place) * 4);
    chunk.count--;
    this.#count--;
    if (chunk.count === 0) this.#chunks.splice(index, 1);
  }

  /** Adds the chunks to `pages`; answers how many entries each has. */
  save(pages: Uint8Array[]): readonly number[] {
    for (const { entries } of this.#chunks) pages.push(bytesOf(entries));
    return this.#chunks.map(({ count }) => count);
  }

  /** Makes the list, which is new, one of such chunks; they are added to `pages`, to be filled. */
  restore(counts: readonly number[], pages: Uint8Array[]): void {
    for (const count of counts) {
      const chunk = { ...newChunk(), count };
      this.#chunks.push(chunk);
      this.#count += count;
      pages.push(bytesOf(chunk.entries));
    }
  }

  /** The last chunk whose first key is not above this one; the first if there is none. */
  #chunkFor(source: Uint8Array, start: number, end: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const first = this.#chunks[middle]!.entries[0]!;
      if (this.#keys.compareWith(first, source, start, end) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The place of the first key of a chunk that is not below this one. */
  #placeIn(chunk: Chunk, source: Uint8Array, start: number, end: number): number {
    let low = 0;
    let high = chunk.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys.compareWith(chunk.entries[middle]!, source, start, end) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Moves the upper half of a full chunk into one of its own. */
  #cut(index: number): Chunk {
    const lower = this.#chunks[index]!;
    const upper = newChunk();
    upper.entries.set(lower.entries.subarray(CHUNK_ENTRIES / 2));
    upper.count = CHUNK_ENTRIES / 2;
    lower.count = CHUNK_ENTRIES / 2;
    this.#chunks.splice(index + 1, 0, upper);
    this.#meter.add(CHUNK_ENTRIES * 2);
    return upper;
  }
}

function newChunk(): Chunk {
  return { entries: new Uint32Array(CHUNK_ENTRIES), count: 0 };
}
