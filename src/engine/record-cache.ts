/**
 * The frames of small records that were read lately, so that reading them again
 * costs no system call and no checksum.
 *
 * A version names one record for ever (V15): what is found under it is right
 * wherever the record lies, and whatever became of its segment since. So nothing
 * is ever taken out because of a write.
 *
 *   pages   64 KiB each, filled in turn; when all are full the oldest is emptied,
 *           and of the records that come only one in eight is kept: so a set of
 *           records larger than the cache does not wash itself out before it is
 *           read again (bimodal insertion: Qureshi et al., "Adaptive Insertion
 *           Policies for High Performance Caching", 2007)
 *           entry: version, low 32 bits u32 | its high 16 bits u16 | length u16 | frame
 *   slots   16 KiB each, made when one of their buckets is first needed;
 *           buckets of four: place of an entry in units of 16 bytes << 8 | tag 1..255
 *
 * Invariants:
 *  1. A slot that is not 0 points at an entry: those of a page are cleared
 *     before the page is filled again. So no value can pass for an entry.
 *  2. Only verified frames are added (V2).
 *  3. It never takes more than `bytesMax` and a sixteenth (V11); pages are
 *     made when they are needed.
 */

/** Larger frames are read from the page cache: copying outweighs the system call. */
export const CACHED_FRAME_BYTES_MAX = 4096;
/** What 24 bits can point at in units of 16 bytes: 256 MiB. */
export const CACHE_BYTES_MAX = 2 ** 28;

const PAGE_BYTES = 65_536;
const UNIT_BYTES = 16;
const UNITS_PER_PAGE = PAGE_BYTES / UNIT_BYTES;
const HEADER_BYTES = 8;
const WAYS = 4;
const SLOTS_PER_PAGE = 4096;
/** Of so many records one is kept when there is no page left that was never filled. */
const KEPT_WHEN_FULL = 8;
/** One slot for so many bytes: with entries of 100 bytes or more a full bucket is rare. */
const BYTES_PER_SLOT = 64;

/** One page, as words for the headers and as bytes for the frames. */
interface Page {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

/** The frames read lately, by version. */
export class RecordCache {
  readonly #pagesMax: number;
  readonly #pages: Page[] = [];
  /** The page that is filled now, and how far. */
  #page = -1;
  #filled = PAGE_BYTES;
  readonly #slotPages: (Uint32Array | undefined)[];
  #nextWay = 0;
  #untilKept = 0;
  /** Every page has been filled once. */
  #isFull = false;

  /** `bytesMax`: at most `CACHE_BYTES_MAX`; less than a page caches nothing. */
  constructor(bytesMax: number) {
    this.#pagesMax = Math.floor(bytesMax / PAGE_BYTES);
    let slots = SLOTS_PER_PAGE;
    while (slots * BYTES_PER_SLOT < this.#pagesMax * PAGE_BYTES) slots *= 2;
    this.#slotPages = new Array(slots / SLOTS_PER_PAGE).fill(undefined);
  }

  /** A copy of the frame of the record of `version`; undefined if it is not here. */
  find(version: number): Uint8Array | undefined {
    const hash = hashOf(version);
    const slots = this.#slotPages[this.#slotPageOf(hash)];
    if (slots === undefined) return undefined;
    const low = version >>> 0;
    const high = (version / 2 ** 32) >>> 0;
    const tag = tagOf(hash);
    const bucket = bucketOf(hash);
    for (let at = bucket; at < bucket + WAYS; at += 1) {
      const slot = slots[at]!;
      if ((slot & 0xff) !== tag) continue;
      const unit = slot >>> 8;
      const { words, bytes } = this.#pages[Math.floor(unit / UNITS_PER_PAGE)]!;
      const start = (unit % UNITS_PER_PAGE) * UNIT_BYTES;
      const rest = words[(start >>> 2) + 1]!;
      if (words[start >>> 2] !== low || (rest & 0xffff) !== high) continue;
      const length = rest >>> 16;
      const frame = Buffer.allocUnsafe(length);
      frame.set(bytes.subarray(start + HEADER_BYTES, start + HEADER_BYTES + length));
      return frame;
    }
    return undefined;
  }

  /** Keeps a copy of a verified frame. Not all that is given is kept. */
  add(version: number, frame: Uint8Array): void {
    const { length } = frame;
    if (length > CACHED_FRAME_BYTES_MAX || this.#pagesMax === 0) return;
    if (this.#isFull) {
      this.#untilKept = (this.#untilKept + 1) % KEPT_WHEN_FULL;
      if (this.#untilKept !== 0) return;
    }
    const taken = roundUp(HEADER_BYTES + length, UNIT_BYTES);
    if (this.#filled + taken > PAGE_BYTES) this.#turnPage();
    const { words, bytes } = this.#pages[this.#page]!;
    const start = this.#filled;
    this.#filled += taken;
    words[start >>> 2] = version >>> 0;
    words[(start >>> 2) + 1] = ((version / 2 ** 32) >>> 0) | (length << 16);
    bytes.set(frame, start + HEADER_BYTES);
    this.#point(hashOf(version), this.#page * UNITS_PER_PAGE + start / UNIT_BYTES);
  }

  #point(hash: number, unit: number): void {
    const page = this.#slotPageOf(hash);
    const slots = this.#slotPages[page] ?? new Uint32Array(SLOTS_PER_PAGE);
    this.#slotPages[page] = slots;
    const bucket = bucketOf(hash);
    let at = bucket;
    while (at < bucket + WAYS && slots[at] !== 0) at += 1;
    if (at === bucket + WAYS) {
      at = bucket + this.#nextWay;
      this.#nextWay = (this.#nextWay + 1) % WAYS;
    }
    slots[at] = (unit << 8) | tagOf(hash);
  }

  #turnPage(): void {
    const next = (this.#page + 1) % this.#pagesMax;
    if (next === this.#pages.length) {
      const words = new Uint32Array(PAGE_BYTES / 4);
      this.#pages.push({ words, bytes: new Uint8Array(words.buffer) });
    } else {
      this.#isFull = true;
      this.#empty(next);
    }
    this.#page = next;
    this.#filled = 0;
  }

  /** Clears the slots that point into a page, then the page: a length of 0 ends its entries. */
  #empty(page: number): void {
    const { words } = this.#pages[page]!;
    let start = 0;
    while (start < PAGE_BYTES) {
      const rest = words[(start >>> 2) + 1]!;
      const length = rest >>> 16;
      if (length === 0) break;
      const version = (rest & 0xffff) * 2 ** 32 + words[start >>> 2]!;
      this.#unpoint(hashOf(version), page * UNITS_PER_PAGE + start / UNIT_BYTES);
      start += roundUp(HEADER_BYTES + length, UNIT_BYTES);
    }
    words.fill(0);
  }

  #unpoint(hash: number, unit: number): void {
    const slots = this.#slotPages[this.#slotPageOf(hash)];
    if (slots === undefined) return;
    const bucket = bucketOf(hash);
    const pointer = ((unit << 8) | tagOf(hash)) >>> 0;
    for (let at = bucket; at < bucket + WAYS; at += 1) {
      if (slots[at] === pointer) slots[at] = 0;
    }
  }

  #slotPageOf(hash: number): number {
    return (hash >>> 18) & (this.#slotPages.length - 1);
  }
}

/** Versions come one after the other; multiplying spreads them (Knuth's golden ratio, murmur3's end). */
function hashOf(version: number): number {
  let hash = Math.imul(version | 0, 0x9e3779b1) ^ Math.imul((version / 2 ** 32) | 0, 0x85ebca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function bucketOf(hash: number): number {
  return (hash >>> 6) & (SLOTS_PER_PAGE - WAYS);
}

/** 1..255, of other bits than the bucket. */
function tagOf(hash: number): number {
  return hash & 0xff || 1;
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}
