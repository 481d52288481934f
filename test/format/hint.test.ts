/** Hints: what is read back, and what is not written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { DamagedRangeSchema, HintRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { EXPIRES_AT_MS_MAX, KEY_BYTES_MAX, VERSION_MAX } from "../../src/base/limits.js";
import {
  HINT_BLOCK_BYTES_MAX,
  HINT_BLOCK_ENTRIES_MAX,
  HINT_BLOCK_KEY_BYTES_MAX,
  HINT_HEAD_BYTES,
  HINT_SUMMARY_BYTES_MAX,
  HINT_TRAILER_BYTES,
  HintFlag,
  hintBlockBytes,
} from "../../src/format/hint-layout.js";
import { decodeHintBlock, decodeHintSummary } from "../../src/format/hint-reader.js";
import { HintWriter } from "../../src/format/hint-writer.js";
import { concat, noBytes, sampleStoreId, text } from "./frames.js";
import {
  entriesEndOf,
  entryOf,
  few,
  fewFile,
  type HintEntry,
  hintOf,
  readHint,
  sampleBinding,
  sampleFacts,
} from "./hints.js";

const { TOMBSTONE, EXPIRED, DAMAGED } = HintFlag;
const legalFlags = [0, TOMBSTONE, TOMBSTONE | EXPIRED].flatMap((flags) => [flags, flags | DAMAGED]);
const anyEntry: fc.Arbitrary<HintEntry> = fc.record(
  {
    key: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.constantFrom(1, 32, 33, KEY_BYTES_MAX).map((length) => new Uint8Array(length).fill(9)),
    ),
    offset: fc.oneof(fc.constantFrom(0, 2 ** 31, 2 ** 32 - 1), fc.nat()),
    length: fc.oneof(fc.constantFrom(1, 201), fc.integer({ min: 1, max: 200 })),
    version: fc.oneof(
      fc.constantFrom(1, 2 ** 32 - 1, 2 ** 32, VERSION_MAX),
      fc.integer({ min: 1, max: VERSION_MAX }),
    ),
    expiresAtMs: fc.oneof(
      fc.constantFrom(0, 1, 2 ** 32, EXPIRES_AT_MS_MAX),
      fc.integer({ min: 0, max: EXPIRES_AT_MS_MAX }),
    ),
    flags: fc.constantFrom(...legalFlags),
  },
  { noNullPrototype: true },
);

test("a hint is read back entry by entry, in blocks of any size", () => {
  fc.assert(
    fc.property(
      fc.array(anyEntry, { maxLength: 30 }),
      fc.constantFrom(undefined, 1, 2, 7),
      (entries, entriesMax) => {
        const fitting = entries.filter(({ offset, length }) => offset + length <= 2 ** 32 + 200);
        const options = entriesMax === undefined ? {} : { entriesMax };
        const found = readHint(hintOf(fitting, sampleFacts, sampleBinding, options));
        assert.ok(found !== undefined);
        assert.deepEqual(found.entries, fitting);
        assert.deepEqual(found.binding, sampleBinding);
        assert.equal(found.summary.entries, BigInt(fitting.length));
        const tombstones = fitting.filter(({ flags }) => (flags & TOMBSTONE) !== 0);
        assert.equal(found.summary.tombstones, BigInt(tombstones.length));
      },
    ),
    { numRuns: 200 },
  );
});

test("a writer that knows how short its segment is writes the same hint", () => {
  const frameBytes = 24;
  const entries = Array.from({ length: 40 }, (_, index) =>
    entryOf("k".repeat(1 + (index % 3)), { offset: index * frameBytes, length: frameBytes }),
  );
  const segmentBytes = entries.length * frameBytes;
  const short = hintOf(entries, sampleFacts, sampleBinding, { segmentBytes });
  assert.deepEqual(short, hintOf(entries));
  const longKey = [entryOf("k".repeat(KEY_BYTES_MAX))];
  const tooShort = hintOf(longKey, sampleFacts, sampleBinding, { segmentBytes: 1 });
  assert.deepEqual(tooShort, hintOf(longKey));
});

test("every block of a hint ends at a multiple of 4, with 3 bytes of zeros at most", () => {
  for (const count of [1, 2, 3, 4, 5]) {
    for (const keyBytes of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const bytes = hintBlockBytes(count, keyBytes);
      const filled = 20 + 23 * count + keyBytes;
      assert.equal(bytes % 4, 0);
      assert.ok(
        bytes >= filled && bytes < filled + 4,
        `${count} entries, ${keyBytes} bytes of keys`,
      );
    }
  }
});

test("a hint without entries is sound, and says what it was told of its segment", () => {
  const facts = {
    ...sampleFacts,
    damagedRanges: [create(DamagedRangeSchema, { segmentId: 7, offset: 5n, length: 9n })],
    requests: [create(HintRequestSchema, { requestId: text("r"), offset: 1n, length: 90n })],
  };
  const found = readHint(hintOf([], facts));
  assert.ok(found !== undefined);
  assert.deepEqual(found.entries, []);
  const { storeId, segmentId, segmentTimestamp, entries, tombstones, entryBytes } = found.summary;
  assert.deepEqual({ storeId, segmentId, timestampNs: segmentTimestamp }, sampleBinding);
  assert.deepEqual([entries, tombstones, entryBytes], [0n, 0n, 0n]);
  for (const [name, fact] of Object.entries(facts)) {
    assert.deepEqual(found.summary[name as keyof typeof facts], fact, name);
  }
});

test("a block ends at 65,536 entries and at 1 MiB of keys", () => {
  const short = Array.from({ length: HINT_BLOCK_ENTRIES_MAX + 1 }, () => entryOf("k"));
  assert.deepEqual(readHint(hintOf(short))?.blockCounts, [HINT_BLOCK_ENTRIES_MAX, 1]);
  const long = Array.from({ length: 33 }, () =>
    entryOf("", { key: new Uint8Array(KEY_BYTES_MAX) }),
  );
  const perBlock = Math.floor(HINT_BLOCK_KEY_BYTES_MAX / KEY_BYTES_MAX);
  assert.deepEqual(readHint(hintOf(long))?.blockCounts, [perBlock, perBlock, 1]);
  const fullest = Array.from({ length: HINT_BLOCK_ENTRIES_MAX }, () => entryOf("0123456789abcdef"));
  const file = hintOf(fullest);
  const block = decodeHintBlock(file, HINT_HEAD_BYTES, HINT_HEAD_BYTES + HINT_BLOCK_BYTES_MAX);
  assert.ok(block.kind === "block");
  assert.equal(block.next - HINT_HEAD_BYTES, HINT_BLOCK_BYTES_MAX);
});

test("a block is read in place where it is aligned, and right where it is not", () => {
  for (const shift of [0, 1, 2, 3, 4]) {
    const moved = concat(new Uint8Array(shift), fewFile).subarray(shift);
    assert.deepEqual(readHint(moved)?.entries, few);
    const block = decodeHintBlock(moved, HINT_HEAD_BYTES, moved.length);
    assert.ok(block.kind === "block");
    assert.equal(block.offsets.buffer === moved.buffer, shift % 4 === 0);
  }
});

test("the summary is found in as many last bytes as it says it needs, and in more", () => {
  const size = fewFile.length;
  const needed = size - entriesEndOf(fewFile);
  for (let tailBytes = 0; tailBytes < HINT_TRAILER_BYTES; tailBytes++) {
    const tail = tailBytes === 0 ? noBytes : fewFile.subarray(-tailBytes);
    assert.deepEqual(decodeHintSummary(tail, size), {
      kind: "short",
      tailBytes: HINT_TRAILER_BYTES,
    });
  }
  for (let tailBytes = HINT_TRAILER_BYTES; tailBytes <= size; tailBytes++) {
    const verdict = decodeHintSummary(fewFile.subarray(-tailBytes), size);
    if (tailBytes < needed) assert.deepEqual(verdict, { kind: "short", tailBytes: needed });
    else assert.equal(verdict.kind, "summary");
  }
});

test("an entry or a summary that could not be read back is not written", () => {
  const wrong: Partial<HintEntry>[] = [
    { key: noBytes },
    { key: new Uint8Array(KEY_BYTES_MAX + 1) },
    { offset: -1 },
    { offset: 2 ** 32 },
    { length: 0 },
    { length: 2 ** 32 },
    { version: 0 },
    { version: VERSION_MAX + 1 },
    { expiresAtMs: -1 },
    { expiresAtMs: EXPIRES_AT_MS_MAX + 1 },
    { flags: EXPIRED },
    { flags: 8 },
  ];
  for (const change of wrong) {
    assert.throws(() => hintOf([entryOf("k", change)]), { reason: "INTERNAL_BUG" });
  }
  const writer = new HintWriter({ ...sampleBinding, storeId: sampleStoreId });
  writer.finish(sampleFacts);
  assert.throws(() => writer.add(text("k"), 0, 1, 0, 1, 1, 0, 0), { reason: "INTERNAL_BUG" });
});

test("the extremes of every field of an entry are written, and read back", () => {
  const extremes: Partial<HintEntry>[] = [
    { offset: 2 ** 32 - 1, length: 1 },
    { offset: 0, length: 2 ** 32 - 1 },
    { version: VERSION_MAX, expiresAtMs: EXPIRES_AT_MS_MAX },
    { key: new Uint8Array(KEY_BYTES_MAX) },
  ];
  for (const extreme of extremes) {
    const entry = entryOf("k", extreme);
    const facts = { ...sampleFacts, segmentLength: BigInt(entry.offset + entry.length) };
    assert.deepEqual(readHint(hintOf([entry], facts))?.entries, [entry]);
  }
});

test("V11 a summary is as long as it may be to be read back, and never longer", () => {
  const fileWith = (requestIdBytes: number): Uint8Array => {
    const requestId = new Uint8Array(requestIdBytes);
    const requests = [create(HintRequestSchema, { requestId, offset: 1n, length: 90n })];
    return hintOf([], { ...sampleFacts, requests });
  };
  const summaryBytes = (file: Uint8Array): number =>
    file.length - entriesEndOf(file) - HINT_TRAILER_BYTES;
  const nearly = HINT_SUMMARY_BYTES_MAX - 1000;
  const longest = nearly + HINT_SUMMARY_BYTES_MAX - summaryBytes(fileWith(nearly));
  const file = fileWith(longest);
  assert.equal(summaryBytes(file), HINT_SUMMARY_BYTES_MAX);
  assert.equal(decodeHintSummary(file, file.length).kind, "summary");
  assert.throws(() => fileWith(longest + 1), { reason: "INTERNAL_BUG" });
});
