/** Timestamps on disk against bigint arithmetic. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readTimestampMs, TIMESTAMP_MS_MAX, writeTimestamp } from "../../src/format/timestamp.js";

const boundaries = [
  0,
  1,
  4_294,
  4_295,
  2 ** 24 - 1,
  2 ** 24,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 43,
  1_700_000_000_123,
  TIMESTAMP_MS_MAX - 1,
  TIMESTAMP_MS_MAX,
];
const anyMs = fc.oneof(
  fc.constantFrom(...boundaries),
  fc.integer({ min: 0, max: TIMESTAMP_MS_MAX }),
);

test("milliseconds are written as exactly a million times as many nanoseconds", () => {
  const view = new DataView(new ArrayBuffer(16));
  fc.assert(
    fc.property(anyMs, (ms) => {
      writeTimestamp(view, 3, ms);
      assert.equal(view.getBigInt64(3, true), BigInt(ms) * 1_000_000n);
      assert.equal(readTimestampMs(view, 3), ms);
    }),
    { numRuns: 2_000, examples: boundaries.map((ms): [number] => [ms]) },
  );
});

test("nanoseconds are read rounded down to the millisecond", () => {
  const view = new DataView(new ArrayBuffer(8));
  const anyNs = fc.oneof(
    fc.bigInt(0n, 2n ** 63n - 1n),
    fc.tuple(anyMs, fc.constantFrom(-1n, 0n, 1n, 999_999n)).map(([ms, rest]) => {
      const ns = BigInt(ms) * 1_000_000n + rest;
      return ns < 0n ? 0n : ns >= 2n ** 63n ? 2n ** 63n - 1n : ns;
    }),
  );
  fc.assert(
    fc.property(anyNs, (ns) => {
      view.setBigInt64(0, ns, true);
      assert.equal(BigInt(readTimestampMs(view, 0)), ns / 1_000_000n);
    }),
    { numRuns: 2_000 },
  );
});

test("a negative time on disk is no time", () => {
  const view = new DataView(new ArrayBuffer(8));
  for (const ns of [-1n, -1_000_000n, -(2n ** 63n)]) {
    view.setBigInt64(0, ns, true);
    assert.ok(Number.isNaN(readTimestampMs(view, 0)));
  }
});

test("a time that does not fit is refused rather than cut short", () => {
  const view = new DataView(new ArrayBuffer(8));
  for (const ms of [-1, 0.5, Number.NaN, TIMESTAMP_MS_MAX + 1, Number.MAX_SAFE_INTEGER]) {
    assert.throws(() => writeTimestamp(view, 0, ms), { reason: "INTERNAL_BUG" });
  }
});
