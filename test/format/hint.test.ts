/** Hints: what is read back, and damage of every kind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { DamagedRangeSchema, HintRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { EXPIRES_AT_MS_MAX, KEY_BYTES_MAX, VERSION_MAX } from "../../src/base/limits.js";
import { crc32 } from "../../src/format/checksum.js";
import {
  HINT_BLOCK_BYTES_MAX,
  HINT_BLOCK_ENTRIES_MAX,
  HINT_BLOCK_KEY_BYTES_MAX,
  HINT_HEAD_BYTES,
  HINT_TRAILER_BYTES,
  HintFlag,
} from "../../src/format/hint-layout.js";
import {
  decodeHintBlock,
  decodeHintHead,
  decodeHintSummary,
} from "../../src/format/hint-reader.js";
import { HintWriter } from "../../src/format/hint-writer.js";
import { concat, noBytes, sampleStoreId, text, viewOf, withFlippedBit } from "./frames.js";
import { type HintEntry, hintOf, readHint, sampleBinding, sampleFacts } from "./hints.js";

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

const entryOf = (name: string, change: Partial<HintEntry> = {}): HintEntry => ({
  key: text(name),
  offset: 100,
  length: 60,
  version: 7,
  expiresAtMs: 0,
  flags: 0,
  ...change,
});
/** Seven entries in three blocks: of three, three and one. */
const few = ["a", "bb", "ccc", "dddd", "e", "ff", "g"].map((name, index) =>
  entryOf(name, { version: index + 1, flags: index % 2, offset: index * 60 }),
);
const fewFile = hintOf(few, sampleFacts, sampleBinding, 3);

test("a hint is read back entry by entry, in blocks of any size", () => {
  fc.assert(
    fc.property(
      fc.array(anyEntry, { maxLength: 30 }),
      fc.constantFrom(undefined, 1, 2, 7),
      (entries, entriesMax) => {
        const fitting = entries.filter(({ offset, length }) => offset + length <= 2 ** 32 + 200);
        const found = readHint(hintOf(fitting, sampleFacts, sampleBinding, entriesMax));
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

test("R7 every flipped bit of a hint is noticed before the hint is accepted", () => {
  assert.deepEqual(readHint(fewFile)?.blockCounts, [3, 3, 1]);
  for (let bit = 0; bit < fewFile.length * 8; bit++) {
    assert.equal(readHint(withFlippedBit(fewFile, bit)), undefined, `bit ${bit}`);
  }
});

test("R7 every flipped bit is noticed by the part it lies in", () => {
  const end = decodeHintSummary(fewFile, fewFile.length);
  assert.ok(end.kind === "summary");
  for (let bit = 0; bit < HINT_HEAD_BYTES * 8; bit++) {
    assert.equal(decodeHintHead(withFlippedBit(fewFile, bit)).kind, "damaged");
  }
  const first = decodeHintBlock(fewFile, HINT_HEAD_BYTES, end.entriesEnd);
  assert.ok(first.kind === "block");
  for (let bit = HINT_HEAD_BYTES * 8; bit < first.next * 8; bit++) {
    const damaged = withFlippedBit(fewFile, bit);
    assert.equal(decodeHintBlock(damaged, HINT_HEAD_BYTES, end.entriesEnd).kind, "damaged");
  }
  for (let bit = end.entriesEnd * 8; bit < fewFile.length * 8; bit++) {
    const damaged = withFlippedBit(fewFile, bit);
    assert.equal(decodeHintSummary(damaged, damaged.length).kind, "damaged");
  }
});

test("R7 a hint cut at any length, or with anything behind it, is not accepted", () => {
  for (let length = 0; length < fewFile.length; length++) {
    assert.equal(readHint(fewFile.subarray(0, length)), undefined, `${length} bytes`);
  }
  assert.equal(readHint(concat(fewFile, Uint8Array.of(0))), undefined);
  assert.equal(readHint(new Uint8Array(4_096)), undefined);
});

test("R7 a block dropped, repeated, moved or taken from another hint is noticed", () => {
  // Blocks of one length, so that no length gives them away.
  const even = ["a", "b", "c", "d"].map((name) => entryOf(name));
  const file = hintOf(even, sampleFacts, sampleBinding, 1);
  const blockBytes = (decodedEnd(file) - HINT_HEAD_BYTES) / 4;
  const head = file.subarray(0, HINT_HEAD_BYTES);
  const tail = file.subarray(decodedEnd(file));
  const block = (source: Uint8Array, index: number): Uint8Array => {
    const start = HINT_HEAD_BYTES + index * blockBytes;
    return source.subarray(start, start + blockBytes);
  };
  const assemble = (...blocks: Uint8Array[]): Uint8Array => concat(head, ...blocks, tail);
  const [a, b, c, d] = [0, 1, 2, 3].map((index) => block(file, index)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  assert.deepEqual(readHint(assemble(a, b, c, d))?.entries, even);
  const otherBinding = { ...sampleBinding, segmentId: sampleBinding.segmentId + 1 };
  const stranger = hintOf(even, sampleFacts, otherBinding, 1);
  const wrong: Record<string, Uint8Array> = {
    dropped: assemble(a, b, c),
    repeated: assemble(a, b, c, d, d),
    "in place of another": assemble(a, a, c, d),
    moved: assemble(b, a, c, d),
    "of another hint": assemble(a, block(stranger, 1), c, d),
    "under another head": concat(stranger.subarray(0, HINT_HEAD_BYTES), a, b, c, d, tail),
    "with another end": concat(head, a, b, c, d, stranger.subarray(decodedEnd(stranger))),
  };
  for (const [name, bytes] of Object.entries(wrong)) assert.equal(readHint(bytes), undefined, name);
});

function decodedEnd(file: Uint8Array): number {
  const end = decodeHintSummary(file, file.length);
  assert.ok(end.kind === "summary");
  return end.entriesEnd;
}

test("R7 an entry that points past the end of its segment is not accepted", () => {
  const facts = { ...sampleFacts, segmentLength: 160n };
  assert.ok(readHint(hintOf([entryOf("k")], facts)) !== undefined);
  assert.equal(readHint(hintOf([entryOf("k", { offset: 101 })], facts)), undefined);
});

test("the summary is found in as many last bytes as it says it needs, and in more", () => {
  const size = fewFile.length;
  const needed = size - decodedEnd(fewFile);
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

test("R6 an absurd length in a hint is bounded before anything is read by it", () => {
  const absurd = new Uint8Array(fewFile);
  viewOf(absurd).setUint32(HINT_HEAD_BYTES, 0xffff_ffff, true);
  assert.equal(decodeHintBlock(absurd, HINT_HEAD_BYTES, absurd.length).kind, "damaged");
  viewOf(absurd).setUint32(fewFile.length - HINT_TRAILER_BYTES, 0xffff_ffff, true);
  assert.equal(decodeHintSummary(absurd, absurd.length).kind, "damaged");
});

/** A head with its checksum made right again after a change. */
function headWith(change: (head: Uint8Array) => void): Uint8Array {
  const head = fewFile.slice(0, HINT_HEAD_BYTES);
  change(head);
  viewOf(head).setUint32(44, crc32(head.subarray(0, 44)), true);
  return head;
}

test("R10 a hint of another format version or byte order is left alone", () => {
  assert.equal(decodeHintHead(headWith(() => {})).kind, "head");
  assert.deepEqual(decodeHintHead(headWith((head) => head.set([2], 8))), {
    kind: "damaged",
    why: "another format version",
  });
  assert.deepEqual(decodeHintHead(headWith((head) => head.subarray(40, 44).reverse())), {
    kind: "damaged",
    why: "another byte order",
  });
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
