/** Damage to hints: every flipped bit, every cut, every block out of place (R7). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  DamagedRangeSchema,
  HintRequestSchema,
  type HintSummary,
  HintSummarySchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { EXPIRES_AT_MS_MAX } from "../../src/base/limits.js";
import { crc32 } from "../../src/format/checksum.js";
import {
  HINT_BLOCK_ENTRIES_MAX,
  HINT_HEAD_BYTES,
  HINT_TRAILER_BYTES,
  HintFlag,
  hintBlockBytes,
  hintBlockChecksum,
  viewHintColumns,
} from "../../src/format/hint-layout.js";
import {
  decodeHintBlock,
  decodeHintHead,
  decodeHintSummary,
  type HintBlock,
} from "../../src/format/hint-reader.js";
import { concat, noBytes, sampleStoreId, text, viewOf, withFlippedBit } from "./frames.js";
import {
  entriesEndOf,
  entryOf,
  few,
  fewFile,
  hintOf,
  readHint,
  sampleBinding,
  sampleFacts,
} from "./hints.js";

const { EXPIRED } = HintFlag;

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
  const file = hintOf(even, sampleFacts, sampleBinding, { entriesMax: 1 });
  const blockBytes = (entriesEndOf(file) - HINT_HEAD_BYTES) / 4;
  const head = file.subarray(0, HINT_HEAD_BYTES);
  const tail = file.subarray(entriesEndOf(file));
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
  const stranger = hintOf(even, sampleFacts, otherBinding, { entriesMax: 1 });
  const wrong: Record<string, Uint8Array> = {
    dropped: assemble(a, b, c),
    repeated: assemble(a, b, c, d, d),
    "in place of another": assemble(a, a, c, d),
    moved: assemble(b, a, c, d),
    "of another hint": assemble(a, block(stranger, 1), c, d),
    "under another head": concat(stranger.subarray(0, HINT_HEAD_BYTES), a, b, c, d, tail),
    "with another end": concat(head, a, b, c, d, stranger.subarray(entriesEndOf(stranger))),
  };
  for (const [name, bytes] of Object.entries(wrong)) assert.equal(readHint(bytes), undefined, name);
});

test("R7 an entry that points past the end of its segment is not accepted", () => {
  const facts = { ...sampleFacts, segmentLength: 160n };
  assert.ok(readHint(hintOf([entryOf("k")], facts)) !== undefined);
  assert.equal(readHint(hintOf([entryOf("k", { offset: 101 })], facts)), undefined);
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

/** The few entries with a change to one block of theirs, its checksum made right again. */
function withBlock(ordinal: number, change: (block: Uint8Array) => void): Uint8Array {
  const file = new Uint8Array(fewFile);
  let at = HINT_HEAD_BYTES;
  for (let index = 0; ; index++) {
    const found = decodeHintBlock(fewFile, at, fewFile.length);
    assert.ok(found.kind === "block");
    if (index === ordinal) {
      const block = file.subarray(at, found.next);
      change(block);
      const checksum = crc32(concat(block.subarray(0, 16), block.subarray(20)));
      viewOf(block).setUint32(16, checksum, true);
      return file;
    }
    at = found.next;
  }
}

test("V13: a block that says what no writer says is damaged, under a right checksum too", () => {
  const columnsOf = (count: number) => ({
    lengths: 20 + 4 * count,
    versionsLow: 20 + 8 * count,
    expiriesLow: 20 + 12 * count,
    expiriesHigh: 20 + 18 * count,
    keyLengths: 20 + 20 * count,
    flags: 20 + 22 * count,
  });
  const { lengths, versionsLow, expiriesLow, expiriesHigh, keyLengths, flags } = columnsOf(3);
  const lastExpiry = (block: Uint8Array, more: number): void => {
    viewOf(block).setUint32(expiriesLow, (EXPIRES_AT_MS_MAX % 2 ** 32) + more, true);
    viewOf(block).setUint16(expiriesHigh, Math.floor(EXPIRES_AT_MS_MAX / 2 ** 32), true);
  };
  assert.notEqual(readHint(withBlock(0, (block) => lastExpiry(block, 0))), undefined);
  assert.deepEqual(readHint(withBlock(0, () => {}))?.entries, few);
  const changes: Record<string, (block: Uint8Array) => void> = {
    "no entries": (block) => viewOf(block).setUint32(0, 0, true),
    "a frame of no length": (block) => viewOf(block).setUint32(lengths, 0, true),
    "the version 0": (block) => viewOf(block).setUint32(versionsLow, 0, true),
    "an expiry after the last": (block) => lastExpiry(block, 1),
    "an expiry that is a mark of the index": (block) => {
      viewOf(block).setUint32(expiriesLow, 2 ** 32 - 1, true);
      viewOf(block).setUint16(expiriesHigh, 2 ** 16 - 1, true);
    },
    "illegal flags": (block) => block.set([EXPIRED], flags),
    "unknown flags": (block) => block.set([0x10], flags),
    "an empty key": (block) => {
      viewOf(block).setUint16(keyLengths, 0, true);
      viewOf(block).setUint16(keyLengths + 2, 3, true);
    },
    "too short a sum of key lengths": (block) => viewOf(block).setUint16(keyLengths + 4, 2, true),
    "too long a sum of key lengths": (block) => viewOf(block).setUint16(keyLengths + 4, 4, true),
    "another ordinal": (block) => viewOf(block).setUint32(8, 1, true),
    "another head": (block) => viewOf(block).setUint32(12, 1, true),
  };
  for (const [name, change] of Object.entries(changes)) {
    assert.equal(readHint(withBlock(0, change)), undefined, name);
  }
});

test("a block longer than blocks may be, or than its limit, is damaged", () => {
  const count = HINT_BLOCK_ENTRIES_MAX + 1;
  const block = new Uint8Array(hintBlockBytes(count, count));
  const columns = viewHintColumns(block.buffer, 0, count, count);
  columns.keyLengths.fill(1);
  viewOf(block).setUint32(0, count, true);
  viewOf(block).setUint32(4, count, true);
  viewOf(block).setUint32(16, hintBlockChecksum(block), true);
  assert.equal(decodeHintBlock(block, 0, block.length).kind, "damaged");
  const { next } = decodeHintBlock(fewFile, HINT_HEAD_BYTES, fewFile.length) as HintBlock;
  assert.equal(decodeHintBlock(fewFile, HINT_HEAD_BYTES, next).kind, "block");
  for (let limit = HINT_HEAD_BYTES; limit < next; limit++) {
    assert.equal(decodeHintBlock(fewFile, HINT_HEAD_BYTES, limit).kind, "damaged");
  }
});

/** The few entries with another summary, its checksum right. */
function withSummary(change: Partial<HintSummary>, payload?: Uint8Array): Uint8Array {
  const end = decodeHintSummary(fewFile, fewFile.length);
  assert.ok(end.kind === "summary");
  const summary = payload ?? toBinary(HintSummarySchema, { ...end.summary, ...change });
  const length = new Uint8Array(4);
  viewOf(length).setUint32(0, summary.length, true);
  const checksum = new Uint8Array(4);
  viewOf(checksum).setUint32(0, crc32(concat(length, summary)), true);
  const trailer = concat(length, checksum, text("KVIXHEND"));
  return concat(fewFile.subarray(0, end.entriesEnd), summary, trailer);
}

test("R7 a summary that disagrees with head, blocks or itself is not accepted", () => {
  assert.deepEqual(readHint(withSummary({}))?.entries, few);
  const range = create(DamagedRangeSchema, { offset: sampleFacts.segmentLength, length: 1n });
  const request = create(HintRequestSchema, { offset: sampleFacts.segmentLength, length: 1n });
  const changes: Partial<HintSummary>[] = [
    { entries: 6n },
    { entries: 8n },
    { tombstones: 2n },
    { tombstones: 4n },
    { tombstones: 8n },
    { entryBytes: 0n },
    { segmentId: 8 },
    { segmentId: 65_536 },
    { segmentTimestamp: 1n },
    { storeId: withFlippedBit(sampleStoreId, 0) },
    { storeId: sampleStoreId.subarray(0, 15) },
    { segmentLength: 2n ** 53n },
    { lowestVersion: 2n, highestVersion: 1n },
    { highestVersion: 2n ** 48n },
    { damagedRanges: [range] },
    { requests: [request] },
  ];
  for (const change of changes) {
    assert.equal(readHint(withSummary(change)), undefined, Object.keys(change).join());
  }
  for (const payload of [noBytes, Uint8Array.of(0xff)]) {
    assert.equal(readHint(withSummary({}, payload)), undefined);
  }
  const wrongAlone = [
    { tombstones: 8n },
    { segmentId: 65_536 },
    { storeId: sampleStoreId.subarray(0, 15) },
  ];
  for (const change of wrongAlone) {
    const file = withSummary(change);
    assert.equal(decodeHintSummary(file, file.length).kind, "damaged");
  }
});
