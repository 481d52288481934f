/** Builds frames for the tests of this floor, each in an array of its own. */
import { batchHeadBytes, encodeBatchHead } from "../../src/format/batch.js";
import {
  FRAME_HEADER_BYTES,
  FrameFlag,
  type FrameVerdict,
  readFrame,
  sealFrame,
  segmentSalt,
  writeFrameHeader,
} from "../../src/format/frame.js";
import {
  encodeRecord,
  encodeTombstone,
  recordBytes,
  tombstoneBytes,
} from "../../src/format/record.js";

/** The segment that these frames belong to. */
export const sampleStoreId = Uint8Array.from({ length: 16 }, (_, index) => index);
export const sampleSegmentId = 7;
export const sampleTimestampNs = 1_700_000_000_000_000_000n;
export const sampleSalt = segmentSalt(sampleStoreId, sampleSegmentId, sampleTimestampNs);

/** When these frames were accepted, unless said otherwise. */
export const sampleNowMs = 1_700_000_000_123;

export const noBytes = new Uint8Array(0);

export const text = (content: string): Uint8Array => new TextEncoder().encode(content);

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A sealed frame around any payload. */
export function frameOf(
  payload: Uint8Array,
  flags = 0,
  salt = sampleSalt,
  timestampMs = sampleNowMs,
): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  const view = viewOf(frame);
  frame.set(payload, FRAME_HEADER_BYTES);
  writeFrameHeader(view, 0, payload.length, flags, timestampMs);
  sealFrame(frame, view, 0, frame.length, salt, (flags & FrameFlag.BARRIER) !== 0);
  return frame;
}

/** The payload of a value. */
export function recordOf(
  key: Uint8Array,
  value: Uint8Array,
  version: number,
  updatedAtMs = sampleNowMs,
  expiresAtMs = 0,
): Uint8Array {
  const payload = new Uint8Array(
    recordBytes(key.length, value.length, version, updatedAtMs, expiresAtMs),
  );
  encodeRecord(payload, 0, key, value, version, updatedAtMs, expiresAtMs);
  return payload;
}

/** The payload of a tombstone. */
export function tombstoneOf(
  key: Uint8Array,
  version: number,
  updatedAtMs = sampleNowMs,
): Uint8Array {
  const payload = new Uint8Array(tombstoneBytes(key.length, version, updatedAtMs));
  encodeTombstone(payload, 0, key, version, updatedAtMs);
  return payload;
}

/** The payload of a batch. */
export function batchOf(
  requestId: Uint8Array,
  requestHash: Uint8Array,
  result: Uint8Array,
  frames: Uint8Array,
): Uint8Array {
  const headBytes = batchHeadBytes(requestId, requestHash, result, frames.length);
  const payload = new Uint8Array(headBytes + frames.length);
  const start = encodeBatchHead(payload, 0, requestId, requestHash, result, frames.length);
  payload.set(frames, start);
  return payload;
}

/** Headers, one every 64 bytes, each of which claims all of 4 MiB that follow, and a sound frame. */
export function falseStarts(count: number, sound: Uint8Array): Uint8Array {
  const content = new Uint8Array(4 * 1024 * 1024);
  const view = viewOf(content);
  for (let start = 0; start < count; start += 1) {
    const at = 64 * start;
    writeFrameHeader(view, at, content.length - at - FRAME_HEADER_BYTES, 0, sampleNowMs);
    content[at + FRAME_HEADER_BYTES] = 0x0a;
  }
  content.set(sound, 64 * count);
  return content;
}

/** All arrays, one after the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** The verdict on the first bytes of an array. */
export function verdictOn(bytes: Uint8Array, salt = sampleSalt): FrameVerdict {
  return readFrame(bytes, viewOf(bytes), 0, bytes.length, salt);
}

/** A copy with one bit inverted; `bit` is byte * 8 + bit, from the lowest. */
export function withFlippedBit(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}
