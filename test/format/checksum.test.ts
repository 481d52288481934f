/** The checksum: ours and zlib's are one. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { crc32, crc32Between } from "../../src/format/checksum.js";

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
