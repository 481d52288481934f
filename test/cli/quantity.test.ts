/** Sizes, durations and instants as people write them, and bytes as text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonBytes, parseByteText, previewBytes, showBytes } from "../../src/cli/byte-text.js";
import {
  formatBytesExactly,
  formatDurationExactly,
  parseBytesQuantity,
  parseDuration,
  parseInstant,
} from "../../src/cli/quantity.js";

test("a size and a duration read back as what they were", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (count) => {
      assert.equal(parseBytesQuantity(formatBytesExactly(count)), count);
      assert.equal(parseDuration(formatDurationExactly(count)), count);
    }),
  );
  assert.deepEqual([formatBytesExactly(2 ** 26), formatBytesExactly(1000)], ["64MiB", "1000B"]);
  assert.deepEqual([formatDurationExactly(90_000), formatDurationExactly(0)], ["90s", "0ms"]);
});

test("what is no size, no duration or no instant is none, and nothing is guessed", () => {
  for (const text of ["", "1.5GiB", "1GB", "-1", "1e3", "0x10", "MiB", " 1", "9007199254740993B"]) {
    assert.equal(parseBytesQuantity(text), undefined, text);
  }
  for (const text of ["", "5", "1.5s", "1 s", "-1s", "1S", "1hour", "s", "1h 2m"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
  assert.equal(parseDuration("5", "ms"), 5);
  assert.equal(parseDuration("1d2h3m4s5ms"), 93_784_005);
  for (const text of [
    ...["2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:01:00Z"],
    ...["2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "26-01-01T00:00:00Z"],
    ...["2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00.Z", "now", ""],
  ]) {
    assert.equal(parseInstant(text), undefined, text);
  }
});

test("an instant is read to the nanosecond and in its zone", () => {
  assert.deepEqual(parseInstant("1970-01-01T00:00:01.000000001Z"), { seconds: 1n, nanos: 1 });
  assert.deepEqual(parseInstant("1970-01-01T01:30:00+01:30"), { seconds: 0n, nanos: 0 });
  assert.deepEqual(parseInstant("1969-12-31T19:00Z"), { seconds: -18_000n, nanos: 0 });
  assert.deepEqual(parseInstant("2024-02-29t00:00:00.5z")?.nanos, 500_000_000);
  fc.assert(
    fc.property(
      fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(2 ** 42) }),
      (date) => {
        const { seconds, nanos } = parseInstant(date.toISOString()) ?? { seconds: -1n, nanos: 0 };
        assert.equal(Number(seconds) * 1000 + nanos / 1_000_000, date.getTime());
      },
    ),
  );
});

test("bytes in hexadecimal and base64 read back as what they were, text too where it is text", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.string({ unit: "binary" }), (bytes, text) => {
      for (const format of ["hex", "base64"] as const) {
        const shown = showBytes(bytes, format);
        assert.deepEqual(Buffer.from(parseByteText(shown, format, "X")), Buffer.from(bytes));
      }
      fc.pre(!text.includes("\ufffd"));
      assert.deepEqual(Buffer.from(parseByteText(text, "text", "X")), Buffer.from(text, "utf8"));
    }),
  );
});

test("what is shown on a line is printable, never breaks it, and tells any two values apart", () => {
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array(), fc.string({ unit: "binary" }).map(Buffer.from)),
      (bytes) => {
        const shown = showBytes(bytes, "text");
        assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        const hex = Buffer.from(bytes).toString("hex");
        assert.equal(seen.get(shown) ?? hex, hex);
        seen.set(shown, hex);
        assert.ok(previewBytes(bytes, "text", 20).length <= 20);
      },
    ),
    { numRuns: 500 },
  );
  assert.equal(
    showBytes(Buffer.from("a\\n\n\u001b[1m\u202e\u00e9"), "text"),
    "a\\\\n\\n\\x1b[1m\\u{202e}\u00e9",
  );
  assert.equal(showBytes(Uint8Array.of(0xff, 0x41, 0xc3), "text"), "\\xffA\\xc3");
});

test("JSON has text where the bytes are text, and says by the name where they are not", () => {
  assert.deepEqual(jsonBytes("key", Buffer.from("\u00e9"), "text"), { key: "\u00e9" });
  assert.deepEqual(jsonBytes("key", Uint8Array.of(0xff), "text"), { keyBase64: "/w==" });
  assert.deepEqual(jsonBytes("key", Uint8Array.of(0xff), "hex"), { keyHex: "ff" });
});
