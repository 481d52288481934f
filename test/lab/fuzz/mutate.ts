/**
 * Changes of an input: small ones at random places, and pieces of other inputs.
 * What an input becomes follows from the random source.
 */
import type { SimRandom } from "../../support/sim-random.js";

/** Numbers at which decoders go wrong, in the widths in which they stand in files. */
const EDGES: readonly number[] = [
  0,
  1,
  2,
  16,
  17,
  127,
  128,
  255,
  256,
  16_383,
  16_384,
  65_535,
  65_536,
  1_048_576,
  2_097_151,
  134_217_728,
  134_217_729,
  268_435_455,
  268_435_456,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];

/** Changes in a row; most inputs get few. */
const CHANGES_MAX = 6;
const PIECE_BYTES_MAX = 32;

/** An input made of `bytes`, and at times of `other`; at most `lengthMax` long. */
export function mutated(
  random: SimRandom,
  bytes: Uint8Array,
  other: Uint8Array,
  lengthMax: number,
): Uint8Array {
  let next: Uint8Array = bytes.slice();
  const changes = 1 + random.below(random.below(CHANGES_MAX) + 1);
  for (let change = 0; change < changes; change += 1) next = changed(random, next, other);
  return next.length > lengthMax ? next.subarray(0, lengthMax) : next;
}

function changed(random: SimRandom, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  if (bytes.length === 0) return random.bytes(1 + random.below(PIECE_BYTES_MAX));
  const at = random.below(bytes.length);
  switch (random.below(10)) {
    case 0:
    case 1:
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return bytes;
    case 2:
      bytes[at] = random.below(256);
      return bytes;
    case 3:
      bytes[at] = (bytes[at] as number) + random.pick([-1, 1, 7, 0x80]);
      return bytes;
    case 4:
      writeEdge(random, bytes, at);
      return bytes;
    case 5:
      return bytes.slice(0, at);
    case 6: {
      const length = 1 + random.below(PIECE_BYTES_MAX);
      return joined(bytes.subarray(0, at), bytes.subarray(Math.min(at + length, bytes.length)));
    }
    case 7: {
      const piece = bytes.subarray(at, at + 1 + random.below(PIECE_BYTES_MAX));
      const to = random.below(bytes.length + 1);
      return joined(bytes.subarray(0, to), piece, bytes.subarray(to));
    }
    case 8:
      return joined(bytes.subarray(0, at), random.bytes(1 + random.below(4)), bytes.subarray(at));
    default: {
      const from = random.below(other.length + 1);
      return joined(bytes.subarray(0, at), other.subarray(from));
    }
  }
}

function writeEdge(random: SimRandom, bytes: Uint8Array, at: number): void {
  const edge = random.pick(EDGES);
  const width = random.pick([1, 2, 4, 8]);
  const isBig = random.chance(0.2);
  for (let index = 0; index < width && at + index < bytes.length; index += 1) {
    const power = isBig ? width - 1 - index : index;
    bytes[at + index] = Math.floor(edge / 2 ** (8 * power)) % 256;
  }
}

function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
