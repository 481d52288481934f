/** The names of segments and hints. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  hintFileName,
  isValidPrefix,
  parseSegmentFileName,
  SEGMENT_TIMESTAMP_NS_MAX,
  segmentFileName,
} from "../../src/format/segment-name.js";

const prefixCharacter = fc.constantFrom(..."ABCXYZabcxyz019_-".split(""), "_", "_00001_5");
const anyPrefix = fc
  .array(prefixCharacter, { minLength: 1, maxLength: 10 })
  .map((parts) => parts.join("").slice(0, 64));
const anyTimestamp = fc.oneof(
  fc.constantFrom(0n, 9n, 10n, SEGMENT_TIMESTAMP_NS_MAX),
  fc.bigInt(0n, SEGMENT_TIMESTAMP_NS_MAX),
);

test("a name is parsed to what it was made of, underscores in the prefix included", () => {
  fc.assert(
    fc.property(anyPrefix, fc.nat(65_535), anyTimestamp, (prefix, id, timestampNs) => {
      assert.ok(isValidPrefix(prefix));
      assert.deepEqual(parseSegmentFileName(segmentFileName(prefix, id, timestampNs)), {
        prefix,
        id,
        timestampNs,
        kind: "segment",
      });
      assert.deepEqual(parseSegmentFileName(hintFileName(prefix, id, timestampNs)), {
        prefix,
        id,
        timestampNs,
        kind: "hint",
      });
    }),
    { numRuns: 500 },
  );
});

test("the names are as the page says", () => {
  const timestampNs = 1_700_000_000_000_000_000n;
  assert.equal(segmentFileName("segment", 7, timestampNs), `segment_00007_${timestampNs}.seg`);
  assert.equal(hintFileName("a_b", 65_535, 0n), "a_b_65535_0.hint");
});

test("R9 a name that does not round-trip is nobody's: it is not ours to touch", () => {
  const strangers = [
    "",
    "segment_00007_5",
    "segment_00007_5.seg.tmp",
    "segment_00007_5.SEG",
    "segment_00007_5.seg\n",
    "\nsegment_00007_5.seg",
    "segment_7_5.seg",
    "segment_000007_5.seg",
    "segment_65536_5.seg",
    "segment_00007_05.seg",
    "segment_00007_-5.seg",
    "segment_00007_.seg",
    "segment_00007_9223372036854775808.seg",
    "segment_00007_99999999999999999999.seg",
    "_00007_5.seg",
    "../segment_00007_5.seg",
    "a/b_00007_5.seg",
    "a.b_00007_5.seg",
    "s\u00e9gment_00007_5.seg",
    `${"p".repeat(65)}_00007_5.seg`,
    "segment_0000\u0667_5.seg",
  ];
  for (const name of strangers) assert.equal(parseSegmentFileName(name), undefined, name);
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (name) => {
      const found = parseSegmentFileName(name);
      if (found === undefined) return;
      const write = found.kind === "segment" ? segmentFileName : hintFileName;
      assert.equal(write(found.prefix, found.id, found.timestampNs), name);
    }),
  );
});

test("a prefix cannot leave the directory", () => {
  for (const prefix of ["", ".", "..", "a/b", "a\\b", "a b", "a.b", "\0", "a\n", "p".repeat(65)]) {
    assert.equal(isValidPrefix(prefix), false, JSON.stringify(prefix));
  }
  for (const prefix of ["a", "_", "-", "segment", "p".repeat(64)]) assert.ok(isValidPrefix(prefix));
});
