/** What of a hint is refused though every checksum is right, and the extremes that are taken. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { HintRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KEY_BYTES_MAX, SEGMENT_ID_MAX } from "../../src/base/limits.js";
import { crc32 } from "../../src/format/checksum.js";
import {
  HINT_BLOCK_ENTRIES_MAX,
  HINT_BLOCK_KEY_BYTES_MAX,
  HINT_END_MAGIC,
  HINT_HEAD_BYTES,
  HINT_MAGIC,
  HINT_SUMMARY_BYTES_MAX,
  HINT_TRAILER_BYTES,
  HintBlockAt,
  HintHeadAt,
  hintBlockBytes,
  hintBlockChecksum,
  viewHintColumns,
} from "../../src/format/hint-layout.js";
import {
  decodeHintBlock,
  decodeHintHead,
  decodeHintSummary,
  type HintBlock,
  HintCheck,
} from "../../src/format/hint-reader.js";
import { concat, noBytes, text, viewOf } from "./frames.js";
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

test("R7 a head is told from its 48 bytes alone, and from none less", () => {
  for (let length = 0; length < HINT_HEAD_BYTES; length++) {
    // Memory of its own: nothing lies behind it that could be taken for the rest.
    const verdict = decodeHintHead(fewFile.slice(0, length));
    assert.deepEqual(verdict, { kind: "damaged", why: "no head" }, `${length} bytes`);
  }
  assert.equal(decodeHintHead(fewFile.slice(0, HINT_HEAD_BYTES)).kind, "head");
});

test("R7 another magic is no hint, though the head's checksum is right", () => {
  for (const at of HINT_MAGIC.keys()) {
    const head = fewFile.slice(0, HINT_HEAD_BYTES);
    head[at]! ^= 1;
    viewOf(head).setUint32(HintHeadAt.CRC, crc32(head.subarray(0, HintHeadAt.CRC)), true);
    assert.deepEqual(decodeHintHead(head), { kind: "damaged", why: "another magic" });
  }
});

test("R7 a file that is too short for head and trailer is damaged, whatever is given of it", () => {
  const least = HINT_HEAD_BYTES + HINT_TRAILER_BYTES;
  assert.equal(decodeHintSummary(noBytes, least - 1).kind, "damaged");
  assert.equal(decodeHintSummary(noBytes, least).kind, "short");
});

test("V11 no more than the longest summary is asked for, whatever the trailer claims", () => {
  const claiming = (summaryBytes: number) => {
    const trailer = new Uint8Array(HINT_TRAILER_BYTES);
    viewOf(trailer).setUint32(0, summaryBytes, true);
    trailer.set(HINT_END_MAGIC, 8);
    return decodeHintSummary(trailer, HINT_HEAD_BYTES + HINT_TRAILER_BYTES + summaryBytes);
  };
  assert.deepEqual(claiming(HINT_SUMMARY_BYTES_MAX), {
    kind: "short",
    tailBytes: HINT_SUMMARY_BYTES_MAX + HINT_TRAILER_BYTES,
  });
  assert.equal(claiming(HINT_SUMMARY_BYTES_MAX + 1).kind, "damaged");
});

/** A block of keys of these lengths that is sound but for what is to be shown. */
function blockOf(keyLengths: readonly number[]): Uint8Array {
  const keyBytes = keyLengths.reduce((sum, length) => sum + length, 0);
  const block = new Uint8Array(hintBlockBytes(keyLengths.length, keyBytes));
  const view = viewOf(block);
  view.setUint32(HintBlockAt.COUNT, keyLengths.length, true);
  view.setUint32(HintBlockAt.KEY_BYTES, keyBytes, true);
  const columns = viewHintColumns(block.buffer, 0, keyLengths.length, keyBytes);
  columns.keyLengths.set(keyLengths);
  columns.lengths.fill(1);
  columns.versionsLow.fill(1);
  view.setUint32(HintBlockAt.CRC, hintBlockChecksum(block), true);
  return block;
}

test("V11 R7 a block without entries, and one past its bounds, is refused under a right checksum", () => {
  const kindOf = (keyLengths: readonly number[]): string => {
    const block = blockOf(keyLengths);
    return decodeHintBlock(block, 0, block.length).kind;
  };
  assert.equal(kindOf([]), "damaged");
  assert.equal(kindOf(Array(HINT_BLOCK_ENTRIES_MAX).fill(1)), "block");
  assert.equal(kindOf(Array(HINT_BLOCK_ENTRIES_MAX + 1).fill(1)), "damaged");
  const full = Array(16).fill(KEY_BYTES_MAX);
  const rest = HINT_BLOCK_KEY_BYTES_MAX - 16 * KEY_BYTES_MAX;
  assert.equal(kindOf([...full, rest]), "block");
  assert.equal(kindOf([...full, rest + 1]), "damaged");
});

test("R7 a block cut anywhere is damaged, also where nothing lies behind it", () => {
  const block = blockOf([1]);
  for (let length = 0; length < block.length; length++) {
    for (const at of [0, 24]) {
      const cut = concat(new Uint8Array(at), block.subarray(0, length));
      const verdict = decodeHintBlock(cut, at, cut.length);
      assert.deepEqual(verdict, { kind: "damaged", why: "a block cut off" }, `${length} bytes`);
    }
  }
});

/** What holds the blocks of `file` together, and its first block. */
function checkOf(file: Uint8Array): { check: HintCheck; first: HintBlock } {
  const head = decodeHintHead(file);
  const end = decodeHintSummary(file, file.length);
  const first = decodeHintBlock(file, HINT_HEAD_BYTES, entriesEndOf(file));
  assert.ok(head.kind === "head" && end.kind === "summary" && first.kind === "block");
  return { check: new HintCheck(head, end.summary), first };
}

// What a block says is taken into the index at once: that the hint is incomplete shows too late.
test("R7 V2 a block of another hint, out of its turn or past the segment is refused before it is used", () => {
  const { check, first } = checkOf(fewFile);
  const older = { ...sampleBinding, timestampNs: sampleBinding.timestampNs - 1n };
  assert.ok(!check.accepts(checkOf(hintOf(few, sampleFacts, older, { entriesMax: 3 })).first));
  assert.ok(!check.accepts({ ...first, ordinal: 1 }));
  const past = entryOf("k", { offset: 41, length: 60 });
  const short = { ...sampleFacts, segmentLength: 100n };
  const { check: shortCheck, first: pastFirst } = checkOf(hintOf([past], short));
  assert.ok(!shortCheck.accepts(pastFirst));
  assert.ok(check.accepts(first));
  assert.ok(!check.accepts(first), "a second time");
});

test("a hint of the last segment id, of one version, with a request at the segment's end, is read", () => {
  const segmentLength = 160n;
  const requests = [create(HintRequestSchema, { requestId: text("r"), offset: 100n, length: 60n })];
  const facts = {
    ...sampleFacts,
    segmentLength,
    lowestVersion: 7n,
    highestVersion: 7n,
    requests,
  };
  const binding = { ...sampleBinding, segmentId: SEGMENT_ID_MAX };
  const entries = [entryOf("k")];
  assert.deepEqual(readHint(hintOf(entries, facts, binding))?.entries, entries);
});
