/** Naming the one flipped bit of a frame, and never a wrong one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BIT_FLIP_FRAME_BYTES_MAX, findFlippedBit } from "../../src/format/bit-flip.js";
import { frameOf, recordOf, sampleSalt, text, viewOf, withFlippedBit } from "./frames.js";

/** A frame of exactly this length. */
function frameOfLength(frameBytes: number): Uint8Array {
  return frameOf(new Uint8Array(frameBytes - 17).map((_, index) => index * 31));
}

/** Up to here two flips are told from one; docs/format.md says so. */
const TWO_FLIPS_BYTES_MAX = 11_454;
/** Up to here three are. */
const THREE_FLIPS_BYTES_MAX = 375;

for (const length of [18, 19, 64, 150, 1_041]) {
  test(`V13 every single flipped bit of a frame of ${length} bytes is named, checksum and header included`, () => {
    const frame = frameOfLength(length);
    for (let bit = 0; bit < length * 8; bit++) {
      assert.equal(findFlippedBit(withFlippedBit(frame, bit), sampleSalt), bit);
    }
  });
}

test("V13 a flipped bit is named in a long frame, first and last bits included", () => {
  for (const length of [100_000, BIT_FLIP_FRAME_BYTES_MAX]) {
    const frame = frameOfLength(length);
    for (const bit of [0, 31, 32, 135, 136, 400_001, length * 8 - 1]) {
      frame[bit >> 3] = (frame[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(findFlippedBit(frame, sampleSalt), bit);
      frame[bit >> 3] = (frame[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    }
  }
});

test("a sound frame, one under another salt, a stump and one past the bound name no bit", () => {
  const frame = frameOf(recordOf(text("user:1"), text("Ada"), 1));
  assert.equal(findFlippedBit(frame, sampleSalt), undefined);
  assert.equal(findFlippedBit(frame, (sampleSalt ^ 5) >>> 0), undefined);
  for (let length = 0; length <= 3; length++) {
    assert.equal(findFlippedBit(new Uint8Array(length), sampleSalt), undefined);
  }
  // Four bytes are a checksum of nothing; one bit beside the salt must not count as a find.
  const stump = new Uint8Array(4);
  viewOf(stump).setUint32(0, sampleSalt ^ 1, true);
  assert.equal(findFlippedBit(stump, sampleSalt), undefined);
  const long = frameOfLength(BIT_FLIP_FRAME_BYTES_MAX + 1);
  assert.equal(findFlippedBit(withFlippedBit(long, 200), sampleSalt), undefined);
});

/** The pattern of each bit, by its power of x, in a frame of so many bits. */
function patternsOf(bits: number): Int32Array {
  const patterns = new Int32Array(bits);
  let pattern = 1 << 31;
  for (let power = 0; power < bits; power++) {
    patterns[power] = pattern;
    pattern = (pattern >>> 1) ^ (-(pattern & 1) & 0xedb88320);
  }
  return patterns;
}

// Which bits are hit only shifts their patterns. So two flips pass for a third bit somewhere in a
// frame exactly if x^0 and x^b together are x^c for some b and c in it: that can be tried in full.
test("V13 no two flipped bits name a third, up to 11,454 bytes and not one byte further", () => {
  const patterns = patternsOf((TWO_FLIPS_BYTES_MAX + 1) * 8);
  const powerOf = new Map(Array.from(patterns, (pattern, power) => [pattern, power]));
  let shortest = Number.POSITIVE_INFINITY;
  for (const [power, pattern] of patterns.entries()) {
    const third = powerOf.get(pattern ^ (1 << 31));
    if (third !== undefined) shortest = Math.min(shortest, Math.max(power, third));
  }
  assert.ok(shortest >= TWO_FLIPS_BYTES_MAX * 8);
  assert.ok(shortest < (TWO_FLIPS_BYTES_MAX + 1) * 8);
});

// Three flips pass for a fourth exactly if two pairs of bits have the same sum.
test("V13 no three flipped bits name a fourth, up to 375 bytes", () => {
  const patterns = patternsOf(THREE_FLIPS_BYTES_MAX * 8);
  const sums = new Int32Array((patterns.length * (patterns.length - 1)) / 2);
  let count = 0;
  for (const [power, pattern] of patterns.entries()) {
    for (let lower = 0; lower < power; lower++) sums[count++] = pattern ^ (patterns[lower] ?? 0);
  }
  sums.sort();
  for (let index = 1; index < sums.length; index++) {
    if (sums[index] === sums[index - 1]) assert.fail("two pairs with the same sum");
  }
  assert.equal(count, sums.length);
});

test("V13 two or three flipped bits of a frame of 375 bytes name none", () => {
  const frame = frameOfLength(THREE_FLIPS_BYTES_MAX);
  const anyBit = fc.nat(frame.length * 8 - 1);
  fc.assert(
    fc.property(fc.uniqueArray(anyBit, { minLength: 2, maxLength: 3 }), (bits) => {
      const damaged = bits.reduce(withFlippedBit, frame);
      assert.equal(findFlippedBit(damaged, sampleSalt), undefined);
    }),
    { numRuns: 1_000 },
  );
});

test("V13 any two flipped bits of a small frame name none, every pair", () => {
  const frame = frameOfLength(40);
  for (let first = 0; first < frame.length * 8; first++) {
    const once = withFlippedBit(frame, first);
    for (let second = 0; second < first; second++) {
      assert.equal(findFlippedBit(withFlippedBit(once, second), sampleSalt), undefined);
    }
  }
});
