/** Variable-length integers against protobuf's own rule. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NOT_A_VARINT, readVarint, varintBytes, writeVarint } from "../../src/format/varint.js";

const TWO_POW_49 = 2 ** 49;
const edges = Array.from({ length: 49 }, (_, bits) => 2 ** bits).flatMap((n) => [n - 1, n, n + 1]);
const anyValue = fc.oneof(
  fc.constantFrom(...edges),
  fc.integer({ min: 0, max: 2 ** 21 }),
  fc.integer({ min: 0, max: TWO_POW_49 - 1 }),
);

/** Protobuf's own rule, in bigint and one step a byte. */
function referenceVarint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

test("a value is written as protobuf writes it, and tells its own length", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const expected = referenceVarint(value);
      const bytes = new Uint8Array(12);
      assert.equal(writeVarint(bytes, 2, value), 2 + expected.length);
      assert.deepEqual([...bytes.subarray(2, 2 + expected.length)], expected);
      assert.equal(varintBytes(value), expected.length);
      assert.equal(readVarint(bytes, 2, 12), value);
      assert.equal(readVarint(bytes, 2, 2 + expected.length), value);
    }),
    { numRuns: 3_000, examples: edges.map((value): [number] => [value]) },
  );
});

test("a value cut off, longer than it need be, or too large is no value", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = Uint8Array.from(referenceVarint(value));
      for (let end = 0; end < bytes.length; end++) {
        assert.equal(readVarint(bytes, 0, end), NOT_A_VARINT);
      }
      const padded = Uint8Array.from([...bytes, 0]);
      padded[bytes.length - 1] = (padded[bytes.length - 1] ?? 0) | 128;
      assert.equal(readVarint(padded, 0, padded.length), NOT_A_VARINT);
    }),
  );
  const tooLarge = Uint8Array.from(referenceVarint(TWO_POW_49));
  assert.equal(readVarint(tooLarge, 0, tooLarge.length), NOT_A_VARINT);
  const endless = new Uint8Array(20).fill(0xff);
  assert.equal(readVarint(endless, 0, endless.length), NOT_A_VARINT);
});
