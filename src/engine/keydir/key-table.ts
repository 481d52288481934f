/**
 * The keys of the entries: compared, copied, and looked at eight bytes at a
 * time. Order is that of unsigned bytes, a prefix first.
 */
import { EntryTable, KEY_WORD, lastWordAt, wordAt } from "./entry-table.js";

/** The keys of the entries. */
export class KeyTable {
  readonly entries = new EntryTable();
  /** Key bytes compared so far; work is paced by it, since keys may be long. */
  comparedBytes = 0;

  /** Whether the key of `entry` is `source[start, end)`, every byte. */
  equals(entry: number, source: Uint8Array, start: number, end: number): boolean {
    const words = this.entries.wordsOf(entry);
    let word = this.entries.cells.startOf(entry) + KEY_WORD;
    if (words[word - 1]! >>> 16 !== end - start) return false;
    let at = start;
    for (; at + 4 <= end; at += 4) if (words[word++] !== wordAt(source, at)) return false;
    return at === end || words[word] === lastWordAt(source, at, end);
  }

  /** Copies the key of `entry` into `target`, which has room, from `at` on; answers its length. */
  copy(entry: number, target: Uint8Array, at = 0): number {
    const words = this.entries.wordsOf(entry);
    const start = this.entries.cells.startOf(entry) + KEY_WORD;
    const length = words[start - 1]! >>> 16;
    for (let i = 0; i < length; i++) {
      target[at + i] = words[start + (i >>> 2)]! >>> ((i & 3) << 3);
    }
    return length;
  }

  /**
   * Compares the key of `entry` with `source[start, end)`: negative if it is
   * less, positive if greater.
   */
  compareWith(entry: number, source: Uint8Array, start: number, end: number): number {
    const words = this.entries.wordsOf(entry);
    const first = this.entries.cells.startOf(entry) + KEY_WORD;
    const length = words[first - 1]! >>> 16;
    const shorter = Math.min(length, end - start);
    let at = 0;
    while (at + 4 <= shorter && words[first + (at >>> 2)] === wordAt(source, start + at)) at += 4;
    for (; at < shorter; at++) {
      const byte = (words[first + (at >>> 2)]! >>> ((at & 3) << 3)) & 0xff;
      const other = source[start + at]!;
      if (byte !== other) {
        this.comparedBytes += at;
        return byte - other;
      }
    }
    this.comparedBytes += shorter;
    return length - (end - start);
  }

  /** Compares the keys of two entries whose first `from` bytes are known to be equal. */
  compare(left: number, right: number, from: number): number {
    const leftLength = this.entries.keyLengthOf(left);
    const rightLength = this.entries.keyLengthOf(right);
    const shorter = Math.min(leftLength, rightLength);
    const at = this.#difference(left, right, from, shorter);
    if (at === shorter) return leftLength - rightLength;
    return this.#byteAt(left, at) - this.#byteAt(right, at);
  }

  /** How many leading bytes two keys share, at most `most`. */
  sharedBytes(left: number, right: number, most: number): number {
    const shorter = Math.min(this.entries.keyLengthOf(left), this.entries.keyLengthOf(right));
    return this.#difference(left, right, 0, Math.min(most, shorter));
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
    for (let i = base; i < base + count; i++) {
      const words = this.entries.wordsOf(entries[i]!);
      const first = this.entries.cells.startOf(entries[i]!) + KEY_WORD;
      const length = words[first - 1]! >>> 16;
      high[i] = bigEndianAt(words, first, from, length);
      low[i] = bigEndianAt(words, first, from + 4, length);
    }
  }

  /**
   * Gathers four bytes of the keys of entries [from, end), from byte `at` on and
   * with zeros behind a key's end, as numbers that compare like the bytes.
   */
  gatherWord(
    entries: Uint32Array,
    from: number,
    end: number,
    at: number,
    target: Uint32Array,
  ): void {
    for (let i = from; i < end; i++) {
      const words = this.entries.wordsOf(entries[i]!);
      const first = this.entries.cells.startOf(entries[i]!) + KEY_WORD;
      target[i] = bigEndianAt(words, first, at, words[first - 1]! >>> 16);
    }
  }

  /** The first byte from `from` on in which two keys differ, or `end`. */
  #difference(left: number, right: number, from: number, end: number): number {
    const leftWords = this.entries.wordsOf(left);
    const rightWords = this.entries.wordsOf(right);
    const leftFirst = this.entries.cells.startOf(left) + KEY_WORD;
    const rightFirst = this.entries.cells.startOf(right) + KEY_WORD;
    let at = from & ~3;
    while (at < end) {
      const bits = leftWords[leftFirst + (at >>> 2)]! ^ rightWords[rightFirst + (at >>> 2)]!;
      if (bits !== 0) {
        at += (31 - Math.clz32(bits & -bits)) >>> 3;
        break;
      }
      at += 4;
    }
    this.comparedBytes += Math.max(0, at - from);
    return Math.min(at, end);
  }

  #byteAt(entry: number, at: number): number {
    const word = this.entries.cells.startOf(entry) + KEY_WORD + (at >>> 2);
    return (this.entries.wordsOf(entry)[word]! >>> ((at & 3) << 3)) & 0xff;
  }
}

/** Bytes [at, at + 4) of a key of `length` bytes, the first highest, zeros behind its end. */
function bigEndianAt(words: Int32Array, first: number, at: number, length: number): number {
  if (at >= length) return 0;
  const shift = (at & 3) << 3;
  let word = words[first + (at >>> 2)]!;
  // The word after the key's last is not the key's, but then it is masked below.
  if (shift !== 0) word = (word >>> shift) | (words[first + (at >>> 2) + 1]! << (32 - shift));
  word = (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
  const missing = at + 4 - length;
  return missing <= 0 ? word : word & (-1 << (missing << 3));
}
