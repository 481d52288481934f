/** The checksum: ours and zlib's are one. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { crc32, crc32Between, crc32Combine } from "../../src/format/checksum.js";

test("the checksum of any range, of any length, with any seed, is zlib's", () => {
  const seeds = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 600 }),
      fc.nat(600),
      fc.nat(600),
      seeds,
      (bytes, a, b, seed) => {
        // Of no bytes at all zlib answers 0, whatever the seed.
        if (bytes.length === 0) return;
        const start = Math.min(a, b, bytes.length);
        const end = Math.min(Math.max(a, b), bytes.length);
        assert.equal(
          crc32Between(bytes, start, end, seed),
          zlibCrc32(bytes.subarray(start, end), seed),
        );
      },
    ),
    { numRuns: 2000 },
  );
});

test("the check value of CRC-32 is cbf43926, and checksums chain", () => {
  const digits = new TextEncoder().encode("123456789");
  assert.equal(crc32(digits), 0xcbf43926);
  assert.equal(crc32Between(digits, 0, 9, 0), 0xcbf43926);
  assert.equal(crc32Between(digits, 4, 9, crc32(digits.subarray(0, 4))), 0xcbf43926);
});

test("the checksum of two runs of bytes is told from theirs, whatever their lengths and the seed", () => {
  const seeds = fc.integer({ min: 0, max: 0xffffffff });
  const run = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(run, run, seeds, (first, second, seed) => {
      const whole = zlibCrc32(second, zlibCrc32(first, seed));
      assert.equal(crc32Combine(zlibCrc32(first, seed), zlibCrc32(second), second.length), whole);
    }),
    { numRuns: 2000 },
  );
  const before = zlibCrc32(new Uint8Array([1, 2, 3]));
  assert.equal(crc32Combine(before, 0, 0), before);
  for (const length of [65_535, 1_048_577, 104_857_600]) {
    const second = Buffer.alloc(length, 7);
    assert.equal(crc32Combine(before, zlibCrc32(second), length), zlibCrc32(second, before));
  }
});
