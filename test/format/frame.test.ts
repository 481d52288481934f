/** Frames: what is read back, and what must never pass for one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  EXPIRES_AT_MS_MAX,
  KEY_BYTES_MAX,
  VALUE_BYTES_MAX,
  VERSION_MAX,
} from "../../src/base/limits.js";
import { crc32 } from "../../src/format/checksum.js";
import {
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  FrameFlag,
  isPlausibleHeader,
  readFrame,
  readFrameHeader,
  sealFrame,
  sealSplitFrame,
  segmentSalt,
  writeFrameHeader,
} from "../../src/format/frame.js";
import { recordBytes } from "../../src/format/record.js";
import { TIMESTAMP_MS_MAX } from "../../src/format/timestamp.js";
import {
  concat,
  frameOf,
  recordOf,
  sampleNowMs,
  sampleSalt,
  sampleSegmentId,
  sampleStoreId,
  sampleTimestampNs,
  text,
  verdictOn,
  viewOf,
  withFlippedBit,
} from "./frames.js";

const { TOMBSTONE, EXPIRED, BATCH, BARRIER } = FrameFlag;
const legalFlags = [0, TOMBSTONE, TOMBSTONE | EXPIRED, BATCH].flatMap((flags) => [
  flags,
  flags | BARRIER,
]);
const payload = recordOf(text("user:1"), text("Ada"), 1);

/** A frame with any version byte, its checksum right. */
function frameOfVersion(version: number): Uint8Array {
  const frame = frameOf(payload);
  frame[8] = version;
  viewOf(frame).setUint32(0, crc32(frame.subarray(4), sampleSalt), true);
  return frame;
}

test("a frame is read as it was written, wherever it lies", () => {
  const anyFrame = fc.record({
    payload: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    flags: fc.constantFrom(...legalFlags),
    timestampMs: fc.integer({ min: 0, max: TIMESTAMP_MS_MAX }),
    salt: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    before: fc.nat(20),
    after: fc.nat(20),
  });
  fc.assert(
    fc.property(anyFrame, ({ payload, flags, timestampMs, salt, before, after }) => {
      const frame = frameOf(payload, flags, salt, timestampMs);
      const bytes = concat(new Uint8Array(before), frame, new Uint8Array(after));
      assert.deepEqual(readFrame(bytes, viewOf(bytes), before, bytes.length, salt), {
        kind: "frame",
        flags,
        timestampMs,
        payloadStart: before + FRAME_HEADER_BYTES,
        payloadEnd: before + frame.length,
        frameBytes: frame.length,
      });
      assert.deepEqual(readFrameHeader(viewOf(bytes), before), {
        payloadBytes: payload.length,
        flags,
        schemaVersion: 1,
        timestampMs,
      });
      assert.ok(isPlausibleHeader(viewOf(bytes), before, bytes.length - before));
    }),
  );
});

test("sealing sets or clears BARRIER and leaves every other byte but the checksum", () => {
  for (const flags of legalFlags) {
    for (const isBarrier of [true, false]) {
      const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length).fill(0xee);
      frame.set(payload, FRAME_HEADER_BYTES);
      writeFrameHeader(viewOf(frame), 0, payload.length, flags, sampleNowMs);
      assert.equal(viewOf(frame).getUint32(0, true), 0);
      sealFrame(frame, viewOf(frame), 0, frame.length, sampleSalt, isBarrier);
      const expected = isBarrier ? flags | BARRIER : flags & ~BARRIER;
      assert.deepEqual(frame, frameOf(payload, expected));
    }
  }
});

test("R3 R5 every single flipped bit of a frame is detected", () => {
  for (const flags of legalFlags) {
    const frame = frameOf(recordOf(text("user:1"), text("x".repeat(100)), 77), flags);
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const verdict = verdictOn(withFlippedBit(frame, bit));
      assert.ok(verdict.kind === "bad" || verdict.kind === "short", `bit ${bit}: ${verdict.kind}`);
    }
  }
});

test("R1 a frame cut at any length is short, never a frame", () => {
  const frame = frameOf(payload);
  assert.deepEqual(verdictOn(frame.subarray(0, 0)), { kind: "end" });
  for (let length = 1; length < frame.length; length++) {
    const frameBytes = length < FRAME_HEADER_BYTES ? undefined : frame.length;
    assert.deepEqual(verdictOn(frame.subarray(0, length)), { kind: "short", frameBytes });
  }
});

test("R1 R6 a frame behind others ends where the bytes do, whatever memory lies behind them", () => {
  const frame = frameOf(payload);
  const bytes = concat(frame, frame, frame);
  const view = viewOf(bytes);
  for (let cut = 1; cut < frame.length; cut++) {
    const verdict = readFrame(bytes, view, frame.length, frame.length + cut, sampleSalt);
    const frameBytes = cut < FRAME_HEADER_BYTES ? undefined : frame.length;
    assert.deepEqual(verdict, { kind: "short", frameBytes }, `cut at ${cut}`);
  }
});

test("R5 zeros are no frame: a bare header, 4 KiB and 1 MiB of them, under any salt", () => {
  for (const length of [FRAME_HEADER_BYTES, 4_096, 1_048_576]) {
    const zeros = new Uint8Array(length);
    for (const salt of [0, sampleSalt, 0xffff_ffff]) {
      assert.deepEqual(verdictOn(zeros, salt), { kind: "bad" });
    }
    assert.equal(isPlausibleHeader(viewOf(zeros), 0, length), false);
  }
});

test("R5 an empty payload is no frame even with a right checksum", () => {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  header[8] = 1;
  viewOf(header).setUint32(0, crc32(header.subarray(4), sampleSalt), true);
  assert.deepEqual(verdictOn(header), { kind: "bad" });
  assert.equal(isPlausibleHeader(viewOf(concat(header, payload)), 0, 64), false);
  assert.throws(() => writeFrameHeader(viewOf(header), 0, 0, 0, sampleNowMs), {
    reason: "INTERNAL_BUG",
  });
});

test("R6 an absurd length is bounded by the bytes that are there and by the largest frame", () => {
  const frame = frameOf(payload);
  const view = viewOf(frame);
  for (const claim of [FRAME_PAYLOAD_BYTES_MAX + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    view.setUint32(4, claim, true);
    assert.deepEqual(verdictOn(frame), { kind: "bad" });
    assert.equal(isPlausibleHeader(view, 0, frame.length), false);
    assert.equal(isPlausibleHeader(view, 0, Number.MAX_SAFE_INTEGER), false);
  }
  for (const claim of [payload.length + 1, FRAME_PAYLOAD_BYTES_MAX]) {
    view.setUint32(4, claim, true);
    const frameBytes = FRAME_HEADER_BYTES + claim;
    assert.deepEqual(verdictOn(frame), { kind: "short", frameBytes });
    assert.equal(isPlausibleHeader(view, 0, frame.length), false);
    assert.equal(isPlausibleHeader(view, 0, frameBytes), true);
  }
});

test("the largest record and a tombstone of the longest key are legal frames", () => {
  const largest = recordBytes(
    KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
    VERSION_MAX,
    EXPIRES_AT_MS_MAX,
    EXPIRES_AT_MS_MAX,
  );
  assert.ok(largest + FRAME_HEADER_BYTES + 1_024 < FRAME_PAYLOAD_BYTES_MAX);
  const view = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  writeFrameHeader(view, 0, FRAME_PAYLOAD_BYTES_MAX, 0, sampleNowMs);
  assert.throws(() => writeFrameHeader(view, 0, FRAME_PAYLOAD_BYTES_MAX + 1, 0, sampleNowMs), {
    reason: "INTERNAL_BUG",
  });
});

test("R10 every version byte but the legal ones is unknown, never a frame and never skipped", () => {
  let frames = 0;
  for (let version = 0; version < 256; version++) {
    const flags = version & 0xf0;
    const schemaVersion = version & 0x0f;
    const frame = frameOfVersion(version);
    const isLegal = schemaVersion === 1 && legalFlags.includes(flags);
    assert.equal(isPlausibleHeader(viewOf(frame), 0, frame.length), isLegal);
    const verdict = verdictOn(frame);
    if (isLegal) {
      assert.equal(verdict.kind, "frame");
      frames++;
    } else {
      assert.deepEqual(verdict, { kind: "unknown", schemaVersion, flags });
    }
  }
  assert.equal(frames, 8);
});

test("R10 a sound frame from before 1970 is unknown", () => {
  const frame = frameOf(payload);
  viewOf(frame).setBigInt64(9, -1n, true);
  viewOf(frame).setUint32(0, crc32(frame.subarray(4), sampleSalt), true);
  assert.equal(verdictOn(frame).kind, "unknown");
  assert.equal(isPlausibleHeader(viewOf(frame), 0, frame.length), false);
});

test("illegal flags are not written", () => {
  const view = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  for (const flags of [EXPIRED, BATCH | TOMBSTONE, BATCH | EXPIRED | TOMBSTONE, 1, 0x100]) {
    assert.throws(() => writeFrameHeader(view, 0, 1, flags, sampleNowMs), {
      reason: "INTERNAL_BUG",
    });
  }
});

test("R5 a frame of another store, segment id or segment timestamp does not pass", () => {
  const frame = frameOf(payload);
  assert.equal(verdictOn(frame).kind, "frame");
  const otherStore = withFlippedBit(sampleStoreId, 127);
  const strangers = [
    segmentSalt(otherStore, sampleSegmentId, sampleTimestampNs),
    segmentSalt(sampleStoreId, sampleSegmentId + 1, sampleTimestampNs),
    segmentSalt(sampleStoreId, sampleSegmentId, sampleTimestampNs + 1n),
    0,
  ];
  for (const salt of strangers) assert.deepEqual(verdictOn(frame, salt), { kind: "bad" });
});

test("the salt is the checksum of store id, segment id and timestamp, in that order", () => {
  const bytes = new Uint8Array(28);
  bytes.set(sampleStoreId);
  viewOf(bytes).setUint32(16, sampleSegmentId, true);
  viewOf(bytes).setBigInt64(20, sampleTimestampNs, true);
  assert.equal(sampleSalt, crc32(bytes));
});

test("R5 a stranger's frame inside a value does not pass where it lies", () => {
  const stranger = frameOf(payload, 0, segmentSalt(sampleStoreId, 8, sampleTimestampNs));
  const frame = frameOf(recordOf(text("a"), stranger, 2));
  const at = frame.length - stranger.length - recordTailBytes;
  assert.deepEqual(frame.subarray(at, at + stranger.length), stranger);
  const view = viewOf(frame);
  assert.ok(isPlausibleHeader(view, at, frame.length - at));
  assert.deepEqual(readFrame(frame, view, at, frame.length, sampleSalt), { kind: "bad" });
});

/** Version and update time, behind the value. */
const recordTailBytes = recordOf(text("a"), text(""), 2).length - 3;

test("a frame whose middle lies elsewhere is sealed as if it were all there", () => {
  const piece = fc.uint8Array({ minLength: 1, maxLength: 300 });
  const salts = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(piece, piece, piece, salts, fc.boolean(), (head, middle, tail, salt, isBarrier) => {
      const whole = frameOf(concat(head, middle, tail));
      sealFrame(whole, viewOf(whole), 0, whole.length, salt, isBarrier);
      const headBytes = FRAME_HEADER_BYTES + head.length;
      const split = concat(whole.subarray(0, headBytes), tail);
      const elsewhere = { length: middle.length, checksum: crc32(middle) };
      sealSplitFrame(split, viewOf(split), headBytes, elsewhere, salt, isBarrier);
      const parts = [split.subarray(0, headBytes), middle, split.subarray(headBytes)];
      assert.ok(Buffer.concat(parts).equals(whole));
    }),
    { numRuns: 500 },
  );
});
