/**
 * Where the frames of known requests lie: a packed hash table, 32 bytes a slot.
 *
 *     slot, eight words     0..2 mark, 96 bits | 3 mark, 16 bits, and the version's
 *                           high 16 | 4 the version's low 32 | 5 ordinal |
 *                           6 offset | 7 length; 0: the slot is free
 *
 * The mark of a request is 112 bits of a keyed hash, so that two requests never
 * share one. The ordinal names a segment, or rather one time of remembering it: it
 * is never used again, so a segment is forgotten by forgetting its ordinal, and
 * its slots are dropped when the table is next rebuilt.
 *
 * A rebuild goes on beside the calls, 256 slots with each that is added: no call
 * takes a time that grows with the table.
 */

/** A request's mark: four words, of which the last has 16 bits. */
export type RequestMark = readonly [number, number, number, number];

/** What a slot tells. */
export interface RequestSlot {
  readonly ordinal: number;
  /** Where the BATCH frame starts in its segment, and its length; in bytes. */
  readonly offset: number;
  readonly length: number;
  /** The newest version in it; 0: not known, but durable. */
  readonly version: number;
}

/** The bytes of a slot. */
export const REQUEST_SLOT_BYTES = 32;

const WORDS = REQUEST_SLOT_BYTES / 4;
const LENGTH_WORD = 7;
const CAPACITY_MIN = 1024;
/** Of 64 slots so many may be taken, those of forgotten segments included. */
const TAKEN_OF_64 = 48;
/** How many old slots move with each slot that is added. */
const MOVES_PER_ADD = 256;
/** A table shrinks at most by this at once, so that it is not full before all has moved. */
const SHRINK_MAX = 64;

/** The slots of all requests that are remembered. */
export class RequestTable {
  readonly #isLive: (ordinal: number) => boolean;
  #words = new Uint32Array(CAPACITY_MIN * WORDS);
  /** Slots that are not free. */
  #taken = 0;
  /** The table before, and how many of its slots have moved. */
  #old: Uint32Array | undefined;
  #moved = 0;

  /** `isLive`: whether the segment of an ordinal is remembered. */
  constructor(isLive: (ordinal: number) => boolean) {
    this.#isLive = isLive;
  }

  /** The memory that it takes, in bytes. */
  get bytes(): number {
    return this.#words.byteLength + (this.#old?.byteLength ?? 0);
  }

  /** What is known of a request. */
  find(mark: RequestMark): RequestSlot | undefined {
    const at = this.#findIn(this.#words, mark);
    if (at >= 0) return slotAt(this.#words, at);
    if (this.#old === undefined) return undefined;
    const before = this.#findIn(this.#old, mark);
    return before < 0 ? undefined : slotAt(this.#old, before);
  }

  /** Adds a request, or moves it; `live`: how many are remembered, this one included. */
  add(mark: RequestMark, slot: RequestSlot, live: number): void {
    if ((this.#taken + 1) * 64 > (this.#words.length / WORDS) * TAKEN_OF_64) this.#rebuild(live);
    this.#move(MOVES_PER_ADD);
    this.#put(mark, slot);
  }

  /** Every request that is remembered, as one slot after the other. */
  *live(): Generator<Uint32Array> {
    for (let at = 0; at < this.#words.length; at += WORDS) {
      if (this.#isUsed(this.#words, at)) yield this.#words.subarray(at, at + WORDS);
    }
    const old = this.#old;
    if (old === undefined) return;
    for (let at = this.#moved * WORDS; at < old.length; at += WORDS) {
      // One that was added again since stands in the new table.
      if (!this.#isUsed(old, at) || this.#findIn(this.#words, markAt(old, at)) >= 0) continue;
      yield old.subarray(at, at + WORDS);
    }
  }

  #isUsed(words: Uint32Array, at: number): boolean {
    return words[at + LENGTH_WORD] !== 0 && this.#isLive(words[at + 5]!);
  }

  /** Where a remembered request stands; -1: nowhere. */
  #findIn(words: Uint32Array, mark: RequestMark): number {
    const mask = words.length / WORDS - 1;
    for (let slot = mark[0] & mask; ; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (words[at + LENGTH_WORD] === 0) return -1;
      if (isMarkAt(words, at, mark) && this.#isLive(words[at + 5]!)) return at;
    }
  }

  #put(mark: RequestMark, slot: RequestSlot): void {
    const words = this.#words;
    let at = this.#findIn(words, mark);
    if (at < 0) {
      const mask = words.length / WORDS - 1;
      let free = mark[0] & mask;
      while (words[free * WORDS + LENGTH_WORD] !== 0) free = (free + 1) & mask;
      at = free * WORDS;
      this.#taken += 1;
    }
    words.set(mark, at);
    words[at + 3] = (mark[3] << 16) | Math.floor(slot.version / 2 ** 32);
    words[at + 4] = slot.version % 2 ** 32;
    words[at + 5] = slot.ordinal;
    words[at + 6] = slot.offset;
    words[at + LENGTH_WORD] = slot.length;
  }

  /** Begins another table, for twice of what is remembered now. */
  #rebuild(live: number): void {
    this.#move(Number.POSITIVE_INFINITY);
    const capacity = this.#words.length / WORDS;
    const wanted = Math.max(CAPACITY_MIN, capacity / SHRINK_MAX, Math.ceil((live * 8) / 3));
    this.#old = this.#words;
    this.#moved = 0;
    this.#words = new Uint32Array(2 ** Math.ceil(Math.log2(wanted)) * WORDS);
    this.#taken = 0;
  }

  #move(slots: number): void {
    const old = this.#old;
    if (old === undefined) return;
    const end = Math.min(this.#moved + slots, old.length / WORDS);
    for (; this.#moved < end; this.#moved += 1) {
      const at = this.#moved * WORDS;
      if (!this.#isUsed(old, at)) continue;
      const mark = markAt(old, at);
      if (this.#findIn(this.#words, mark) < 0) this.#put(mark, slotAt(old, at));
    }
    if (this.#moved === old.length / WORDS) this.#old = undefined;
  }
}

/** The mark in a slot. */
export function markAt(words: Uint32Array, at: number): RequestMark {
  return [words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]! >>> 16];
}

/** What the slot at word `at` tells. */
export function slotAt(words: Uint32Array, at: number): RequestSlot {
  return {
    ordinal: words[at + 5]!,
    offset: words[at + 6]!,
    length: words[at + LENGTH_WORD]!,
    version: (words[at + 3]! & 0xffff) * 2 ** 32 + words[at + 4]!,
  };
}

function isMarkAt(words: Uint32Array, at: number, mark: RequestMark): boolean {
  return (
    words[at] === mark[0] &&
    words[at + 1] === mark[1] &&
    words[at + 2] === mark[2] &&
    words[at + 3]! >>> 16 === mark[3]
  );
}
