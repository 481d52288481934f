/**
 * The payload of a BATCH frame: the proto's Batch in its one encoding.
 *
 *     0a request_id     length, bytes    left out when empty
 *     12 request_hash   length, bytes    left out when empty
 *     1a result         length, bytes    left out when empty
 *     22 frames         length, bytes    never empty; ends with the payload
 *
 * Invariants
 *  1. `frames` holds complete member frames, one after the other, each with its
 *     own checksum under the salt of the segment: values and tombstones, never
 *     a BATCH, never with BARRIER. So one frame is written or torn as a whole,
 *     and a member is read like any other frame.
 *  2. Without a request_id there is neither hash nor result.
 *
 * The members are walked by readFrame; nothing here looks into them.
 */
import { KvixError } from "../base/kvix-error.js";
import { readVarint, varintBytes, writeVarint } from "./varint.js";

/** The tag in front of the request's id. On disk. */
export const REQUEST_ID_TAG = 0x0a;
/** The tag in front of its digest. On disk. */
export const REQUEST_HASH_TAG = 0x12;
/** The length of a digest in bytes: SHA-256. On disk. */
export const REQUEST_DIGEST_BYTES = 32;
const RESULT_TAG = 0x1a;
/** The tag in front of the member frames. On disk. */
export const FRAMES_TAG = 0x22;

/** A batch, as views into the bytes it was parsed from. */
export interface BatchFields {
  readonly requestId: Uint8Array;
  readonly requestHash: Uint8Array;
  readonly result: Uint8Array;
  /** Where the first member frame starts, in those bytes. */
  readonly framesStart: number;
  readonly framesEnd: number;
}

/** The length of all that precedes the member frames. */
export function batchHeadBytes(
  requestId: Uint8Array,
  requestHash: Uint8Array,
  result: Uint8Array,
  framesBytes: number,
): number {
  return (
    fieldBytes(requestId.length) +
    fieldBytes(requestHash.length) +
    fieldBytes(result.length) +
    1 +
    varintBytes(framesBytes)
  );
}

/**
 * Writes all that precedes the member frames at `at`, and returns where they
 * start; they end the payload, `framesBytes` (1 or more) further. Hash or
 * result without a request id is a defect of the caller: INTERNAL_BUG.
 */
export function encodeBatchHead(
  bytes: Uint8Array,
  at: number,
  requestId: Uint8Array,
  requestHash: Uint8Array,
  result: Uint8Array,
  framesBytes: number,
): number {
  if (framesBytes < 1 || (requestId.length === 0 && requestHash.length + result.length > 0)) {
    throw new KvixError("INTERNAL_BUG", "a batch that could not be read back");
  }
  let end = writeField(bytes, at, REQUEST_ID_TAG, requestId);
  end = writeField(bytes, end, REQUEST_HASH_TAG, requestHash);
  end = writeField(bytes, end, RESULT_TAG, result);
  bytes[end] = FRAMES_TAG;
  return writeVarint(bytes, end + 1, framesBytes);
}

/** Parses the canonical batch that fills `start` to `end` exactly; undefined for other bytes. */
export function parseBatch(bytes: Uint8Array, start: number, end: number): BatchFields | undefined {
  const requestId = readField(bytes, start, end, REQUEST_ID_TAG);
  if (requestId === undefined) return undefined;
  const hashStart = start + fieldBytes(requestId.length);
  const requestHash = readField(bytes, hashStart, end, REQUEST_HASH_TAG);
  if (requestHash === undefined) return undefined;
  const resultStart = hashStart + fieldBytes(requestHash.length);
  const result = readField(bytes, resultStart, end, RESULT_TAG);
  if (result === undefined) return undefined;
  if (requestId.length === 0 && requestHash.length + result.length > 0) return undefined;
  const framesTag = resultStart + fieldBytes(result.length);
  if (framesTag >= end || bytes[framesTag] !== FRAMES_TAG) return undefined;
  const framesBytes = readVarint(bytes, framesTag + 1, end);
  const framesStart = framesTag + 1 + varintBytes(framesBytes);
  if (framesBytes < 1 || framesStart + framesBytes !== end) return undefined;
  return { requestId, requestHash, result, framesStart, framesEnd: end };
}

function fieldBytes(length: number): number {
  return length === 0 ? 0 : 1 + varintBytes(length) + length;
}

function writeField(bytes: Uint8Array, at: number, tag: number, source: Uint8Array): number {
  if (source.length === 0) return at;
  bytes[at] = tag;
  const start = writeVarint(bytes, at + 1, source.length);
  bytes.set(source, start);
  return start + source.length;
}

/** The field with this tag at `at`; empty if another one is there, undefined if it is malformed. */
function readField(
  bytes: Uint8Array,
  at: number,
  end: number,
  tag: number,
): Uint8Array | undefined {
  if (at >= end || bytes[at] !== tag) return bytes.subarray(at, at);
  const length = readVarint(bytes, at + 1, end);
  if (length < 1) return undefined;
  const fieldStart = at + 1 + varintBytes(length);
  return fieldStart + length > end ? undefined : bytes.subarray(fieldStart, fieldStart + length);
}
