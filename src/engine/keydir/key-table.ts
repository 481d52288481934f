/**
 * Entries and the bytes of their keys, taken together: what the hash compares
 * and the order sorts by. Order is that of unsigned bytes, a prefix first.
 */
import { EntryTable } from "./entry-table.js";
import { KeyArena } from "./key-arena.js";

/** The keys of the entries. */
export class KeyTable {
  readonly entries = new EntryTable();
  readonly arena = new KeyArena();
  /** Key bytes compared so far; work is paced by it, since keys may be long. */
  comparedBytes = 0;

  /** Whether the key of `entry` is `source[start, end)`, byte by byte. */
  equals(entry: number, source: Uint8Array, start: number, end: number): boolean {
    const page = this.entries.keyPageOf(entry);
    const offset = this.entries.keyOffsetOf(entry);
    const bytes = this.arena.pages[page]!;
    const length = this.arena.lengthAt(page, offset);
    if (length !== end - start) return false;
    const from = length < 0x80 ? offset + 1 : offset + 3;
    for (let i = 0; i < length; i++) if (bytes[from + i] !== source[start + i]) return false;
    return true;
  }

  /** The length of the key in bytes. */
  lengthOf(entry: number): number {
    return this.arena.lengthAt(this.entries.keyPageOf(entry), this.entries.keyOffsetOf(entry));
  }

  /** The page that holds the key's bytes. */
  bytesOf(entry: number): Uint8Array {
    return this.arena.pages[this.entries.keyPageOf(entry)]!;
  }

  /** Where in that page they begin. */
  startOf(entry: number): number {
    return this.arena.startAt(this.entries.keyPageOf(entry), this.entries.keyOffsetOf(entry));
  }

  /**
   * Compares the key of `entry` with `source[start, end)`: negative if it is
   * less, positive if greater. The first `from` bytes are known to be equal.
   */
  compareWith(entry: number, source: Uint8Array, start: number, end: number, from: number): number {
    const bytes = this.bytesOf(entry);
    const first = this.startOf(entry);
    const length = this.lengthOf(entry);
    const shorter = Math.min(length, end - start);
    let at = from;
    while (at < shorter && bytes[first + at] === source[start + at]) at++;
    this.comparedBytes += at - from;
    if (at < shorter) return bytes[first + at]! - source[start + at]!;
    return length - (end - start);
  }

  /** Compares the keys of two entries whose first `from` bytes are known to be equal. */
  compare(left: number, right: number, from: number): number {
    const start = this.startOf(right);
    return this.compareWith(left, this.bytesOf(right), start, start + this.lengthOf(right), from);
  }

  /** How many leading bytes two keys share, at most `most`. */
  sharedBytes(left: number, right: number, most: number): number {
    const leftBytes = this.bytesOf(left);
    const rightBytes = this.bytesOf(right);
    const leftStart = this.startOf(left);
    const rightStart = this.startOf(right);
    const end = Math.min(most, this.lengthOf(left), this.lengthOf(right));
    let at = 0;
    while (at < end && leftBytes[leftStart + at] === rightBytes[rightStart + at]) at++;
    this.comparedBytes += at;
    return at;
  }

  /**
   * Gathers eight bytes of the keys of `count` entries, from byte `from` on and
   * with zeros behind a key's end, as two numbers that compare like the bytes.
   * `base` is where the entries and their results lie in the arrays.
   */
  gather(
    entries: Uint32Array,
    base: number,
    count: number,
    from: number,
    high: Uint32Array,
    low: Uint32Array,
  ): void {
    // Two loops, so that the loads of each do not wait for one another.
    for (let i = base; i < base + count; i++) {
      const entry = entries[i]!;
      high[i] = this.entries.keyPageOf(entry);
      low[i] = this.entries.keyOffsetOf(entry);
    }
    for (let i = base; i < base + count; i++) {
      const page = high[i]!;
      const offset = low[i]!;
      const bytes = this.arena.pages[page]!;
      const length = this.arena.lengthAt(page, offset);
      const at = this.arena.startAt(page, offset) + from;
      if (length - from >= 8) {
        high[i] =
          (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
        low[i] =
          (bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!;
      } else {
        high[i] = paddedWord(bytes, at, length - from);
        low[i] = paddedWord(bytes, at + 4, length - from - 4);
      }
    }
  }
}

/** The first four of `count` bytes, zeros where there are fewer. */
function paddedWord(bytes: Uint8Array, at: number, count: number): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word = (word << 8) | (i < count ? bytes[at + i]! : 0);
  return word;
}
