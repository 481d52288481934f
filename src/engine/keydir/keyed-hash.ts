/**
 * HalfSipHash-1-3: the secret hash of a key.
 *
 * 32-bit words throughout, since they are what this language multiplies and
 * rotates fast. The seed is secret, so nobody can choose keys that collide. It
 * is drawn anew at every open but for one: an index that comes from a checkpoint
 * keeps the seed that it was made with. It and the hashes reach the disk only
 * there, in a file that only its owner may read.
 *
 * HalfSipHash has a key of 64 bits and uses it twice in its first state; here
 * the second use has 64 seed bits of its own. With both halves of the seed
 * equal this is HalfSipHash-1-3 to the letter, which a test holds.
 */

/** The length of a seed in bytes. */
export const SEED_BYTES = 16;

/** The keyed hash of byte strings. */
export class KeyedHash {
  readonly #s0: number;
  readonly #s1: number;
  readonly #s2: number;
  readonly #s3: number;

  /** `seed`: 16 secret random bytes. */
  constructor(seed: Uint8Array) {
    if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes`);
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength);
    this.#s0 = view.getInt32(0, true);
    this.#s1 = view.getInt32(4, true);
    this.#s2 = view.getInt32(8, true) ^ 0x6c796765;
    this.#s3 = view.getInt32(12, true) ^ 0x74656462;
  }

  /** The hash of `source[start, end)` as a signed 32-bit number. */
  of(source: Uint8Array, start: number, end: number): number {
    let v0 = this.#s0;
    let v1 = this.#s1;
    let v2 = this.#s2;
    let v3 = this.#s3;
    const length = end - start;
    const wordsEnd = start + (length & ~3);
    let rounds = 0;
    let word = 0;
    // One loop for the words of the key, its last word with the length in the
    // top byte, and the three closing rounds: the round is written once.
    for (let at = start; rounds < 4; at += 4) {
      if (at < wordsEnd) {
        word =
          source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
      } else {
        word = rounds === 0 ? lastWord(source, wordsEnd, end, length) : 0;
        if (rounds === 1) v2 ^= 0xff;
        rounds++;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return v1 ^ v3;
  }
}

/** The bytes after the last whole word, with the length in the top byte. */
function lastWord(source: Uint8Array, at: number, end: number, length: number): number {
  let word = length << 24;
  if (at < end) word |= source[at]!;
  if (at + 1 < end) word |= source[at + 1]! << 8;
  if (at + 2 < end) word |= source[at + 2]! << 16;
  return word;
}
