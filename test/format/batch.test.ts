/** Batches against the generated code, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { BatchSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { encodeBatchHead, parseBatch } from "../../src/format/batch.js";
import { FrameFlag, readFrame } from "../../src/format/frame.js";
import {
  batchOf,
  concat,
  frameOf,
  noBytes,
  recordOf,
  sampleSalt,
  text,
  tombstoneOf,
  verdictOn,
  viewOf,
} from "./frames.js";

const someBytes = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.constantFrom(127, 128, 16_384).map((length) => new Uint8Array(length).fill(7)),
);
const anyBatch = fc.oneof(
  fc.record({
    requestId: someBytes.filter((id) => id.length > 0),
    requestHash: someBytes,
    result: someBytes,
    frames: someBytes.filter((frames) => frames.length > 0),
  }),
  fc.record({
    requestId: fc.constant(noBytes),
    requestHash: fc.constant(noBytes),
    result: fc.constant(noBytes),
    frames: someBytes.filter((frames) => frames.length > 0),
  }),
);

test("a batch is encoded byte for byte as the generated code does, and parsed back", () => {
  fc.assert(
    fc.property(anyBatch, fc.nat(5), (batch, before) => {
      const { requestId, requestHash, result, frames } = batch;
      const payload = batchOf(requestId, requestHash, result, frames);
      const expected = toBinary(BatchSchema, create(BatchSchema, batch));
      assert.ok(Buffer.from(payload).equals(expected));
      const bytes = concat(new Uint8Array(before), payload, Uint8Array.of(1, 2));
      const end = before + payload.length;
      const framesStart = end - frames.length;
      assert.deepEqual(parseBatch(bytes, before, end), {
        requestId,
        requestHash,
        result,
        framesStart,
        framesEnd: end,
      });
    }),
    { numRuns: 300 },
  );
});

test("B1 a batch cut at any length, or with anything behind it, is no batch", () => {
  const payload = batchOf(text("id"), text("hash"), text("result"), text("frames"));
  for (let end = 0; end < payload.length; end++) {
    assert.equal(parseBatch(payload, 0, end), undefined, `cut at ${end}`);
  }
  const longer = concat(payload, Uint8Array.of(0));
  assert.equal(parseBatch(longer, 0, longer.length), undefined);
});

test("what protobuf would take but kvix never writes is no batch", () => {
  const cases: Record<string, string> = {
    "no frames": "0a0161",
    "empty frames": "0a01612200",
    "an empty request id": "0a00220161",
    "fields out of order": "1201610a0161220161",
    "a hash without a request id": "120161220161",
    "a result without a request id": "1a0161220161",
    "a length longer than it need be": "22810061",
    "a field behind the frames": "2201612a0161",
    "another field where the frames belong": "2a0161",
    "another field behind the request id": "0a01612a0161",
  };
  for (const [name, digits] of Object.entries(cases)) {
    const bytes = Uint8Array.from(Buffer.from(digits, "hex"));
    assert.equal(parseBatch(bytes, 0, bytes.length), undefined, name);
  }
  assert.notEqual(parseBatch(Uint8Array.of(0x22, 1, 97), 0, 3), undefined);
});

test("a batch that could not be read back is not written", () => {
  const bytes = new Uint8Array(100);
  const refused = { reason: "INTERNAL_BUG" };
  assert.throws(() => encodeBatchHead(bytes, 0, noBytes, noBytes, noBytes, 0), refused);
  assert.throws(() => encodeBatchHead(bytes, 0, noBytes, text("hash"), noBytes, 1), refused);
  assert.throws(() => encodeBatchHead(bytes, 0, noBytes, noBytes, text("result"), 1), refused);
});

test("B1 the members of a batch are frames of their own, read where they lie", () => {
  const first = frameOf(recordOf(text("a"), text("1"), 5));
  const second = frameOf(tombstoneOf(text("b"), 6), FrameFlag.TOMBSTONE);
  const payload = batchOf(noBytes, noBytes, noBytes, concat(first, second));
  const frame = frameOf(payload, FrameFlag.BATCH | FrameFlag.BARRIER);
  const whole = verdictOn(frame);
  assert.ok(whole.kind === "frame");
  assert.equal(whole.flags, FrameFlag.BATCH | FrameFlag.BARRIER);
  const batch = parseBatch(frame, whole.payloadStart, whole.payloadEnd);
  assert.ok(batch !== undefined);
  const flags: number[] = [];
  let at = batch.framesStart;
  while (at < batch.framesEnd) {
    const member = readFrame(frame, viewOf(frame), at, batch.framesEnd, sampleSalt);
    assert.ok(member.kind === "frame");
    flags.push(member.flags);
    at += member.frameBytes;
  }
  assert.deepEqual(flags, [0, FrameFlag.TOMBSTONE]);
});
