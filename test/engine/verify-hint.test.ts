/** The check of a store holds every hint against its segment, entry by entry. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { HintSummarySchema } from "../../gen/kvix/v1/kvix_pb.js";
import { crc32 } from "../../src/format/checksum.js";
import { fileOf, flipped, hintPathOf, withFile } from "../support/store-image.js";
import { type BuiltStore, bitLife, buildStore } from "../support/store-life.js";
import { check, onlyFinding } from "../support/verify-image.js";

test("R7: any damaged byte of a hint is a note, for a hint is only an accelerator", async () => {
  const built = await buildStore(bitLife, "closed", { segmentBytesMax: 250 });
  const [first] = built.sealed;
  assert.ok(first);
  const path = hintPathOf(first);
  const bytes = fileOf(built.image, path);
  for (let byte = 0; byte < bytes.length; byte += 1) {
    const report = await check(withFile(built.image, path, flipped(bytes, byte * 8 + (byte % 8))));
    assert.equal(onlyFinding(report, "HINT_DAMAGED").file, path, `byte ${byte}`);
  }
  assert.equal(onlyFinding(await check(withFile(built.image, path)), "HINT_MISSING").file, path);
});

test("a hint that reads well and says something else is damage", async () => {
  const built = await buildStore(bitLife, "closed", { segmentBytesMax: 250 });
  const [first] = built.sealed;
  assert.ok(first);
  const entries = new Set(built.frames.get(first)?.flatMap(({ records }) => records)).size;
  const lies = [BLOCK_HEAD_BYTES, BLOCK_HEAD_BYTES + 4, BLOCK_HEAD_BYTES + entries * ENTRY_BYTES];
  for (const at of lies) {
    const image = withFile(built.image, hintPathOf(first), withByteChanged(built, first, at));
    assert.match(onlyFinding(await check(image), "HINT_WRONG").detail ?? "", /1 entries are wrong/);
  }
});

/** The hint with one byte of its block made one less, every checksum made right. */
function withByteChanged(built: BuiltStore, listed: BuiltStore["active"], at: number): Uint8Array {
  const own = fileOf(built.image, hintPathOf(listed));
  const { start, summary } = summaryOf(own);
  const block = own.slice(HEAD_BYTES, start);
  block[at] = (block[at] as number) ^ 1;
  return assembled(own.slice(0, HEAD_BYTES), block, summary);
}

const HEAD_BYTES = 48;
const BLOCK_HEAD_BYTES = 20;
const ENTRY_BYTES = 23;
const TRAILER_BYTES = 16;

function summaryOf(hint: Uint8Array) {
  const view = new DataView(hint.buffer, hint.byteOffset, hint.byteLength);
  const length = view.getUint32(hint.length - TRAILER_BYTES, true);
  const start = hint.length - TRAILER_BYTES - length;
  const payload = hint.subarray(start, start + length);
  return { start, summary: fromBinary(HintSummarySchema, payload) };
}

/** One block is what a small hint has. */
function assembled(
  head: Uint8Array,
  block: Uint8Array,
  summary: MessageInitShape<typeof HintSummarySchema>,
): Uint8Array {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  view.setUint32(12, new DataView(head.buffer, head.byteOffset).getUint32(44, true), true);
  view.setUint32(16, crc32(block.subarray(BLOCK_HEAD_BYTES), crc32(block.subarray(0, 16))), true);
  const payload = toBinary(HintSummarySchema, create(HintSummarySchema, summary));
  const trailer = new Uint8Array(TRAILER_BYTES);
  const end = new DataView(trailer.buffer);
  end.setUint32(0, payload.length, true);
  end.setUint32(4, crc32(payload, crc32(trailer.subarray(0, 4))), true);
  trailer.set(new TextEncoder().encode("KVIXHEND"), 8);
  return Buffer.concat([head, block, payload, trailer]);
}
