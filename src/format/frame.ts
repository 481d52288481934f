/**
 * The frame: what a segment is a sequence of. Little-endian.
 *
 *     0       4              8         9             17
 *     | crc32 | payload size | version | timestamp   | payload ...
 *       u32     u32            u8        i64 ns        1..BATCH_BYTES_MAX bytes
 *
 *     version: low four bits the schema version, high four bits flags
 *
 * Invariants
 *  1. The CRC covers bytes 4..end, seeded with the salt of the segment. So
 *     bytes of another segment, of another store, or inside a value do not
 *     pass for a frame (R5).
 *  2. A size is compared with the bytes that are there before it is believed;
 *     nothing is allocated by it (R6).
 *  3. Size 0 is no frame, so a tail of zeros is none (R5).
 *  4. What is sound but not understood is "unknown", never skipped (R10).
 *
 * What the payload means is for record.ts and batch.ts; what damage means for
 * the log is for recovery.
 */
import { KvixError } from "../base/kvix-error.js";
import { BATCH_BYTES_MAX, STORE_ID_BYTES } from "../base/limits.js";
import { crc32, crc32Between, crc32Combine } from "./checksum.js";
import { readTimestampMs, writeTimestamp } from "./timestamp.js";

/** The bytes before the payload. On disk. */
export const FRAME_HEADER_BYTES = 17;

/** The version of the frames that this code writes, and the only one it reads. On disk. */
export const SCHEMA_VERSION = 1;

/** The largest payload a frame may have, in bytes; the smallest is one byte. */
export const FRAME_PAYLOAD_BYTES_MAX = BATCH_BYTES_MAX;

/** What a frame is, beside a value. On disk: the high four bits of the version byte. */
export const FrameFlag = {
  /** The payload is a tombstone: the key is gone as of this version. */
  TOMBSTONE: 0x10,
  /** Only with TOMBSTONE: the key went because its time was up, nobody deleted it. */
  EXPIRED: 0x20,
  /** The payload is a Batch of member frames. */
  BATCH: 0x40,
  /** Every byte before this frame had been synced when it was written. */
  BARRIER: 0x80,
} as const;

const SCHEMA_MASK = 0x0f;
const FLAGS_MASK = 0xf0;

/** What the bytes at some place of a segment are. */
export type FrameVerdict =
  /** There are no more bytes. */
  | { readonly kind: "end" }
  /** A frame may begin here, but not all of it is there; `frameBytes` is its claim, if it fits. */
  | { readonly kind: "short"; readonly frameBytes: number | undefined }
  /** No frame: an impossible size, or the checksum does not match. */
  | { readonly kind: "bad" }
  /** A sound frame of a later kvix: refuse the segment. */
  | { readonly kind: "unknown"; readonly schemaVersion: number; readonly flags: number }
  | Frame;

/** A sound frame. Positions are in the bytes it was read from. */
export interface Frame {
  readonly kind: "frame";
  /** FrameFlag bits; the schema version is taken out. */
  readonly flags: number;
  /** Unix milliseconds of acceptance, rounded down. */
  readonly timestampMs: number;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** Header and payload. */
  readonly frameBytes: number;
}

/** A header as it lies there, unverified: a hint for resynchronising, no more. */
export interface FrameHeader {
  readonly payloadBytes: number;
  /** FrameFlag bits. */
  readonly flags: number;
  readonly schemaVersion: number;
  /** Unix milliseconds; NaN if negative. */
  readonly timestampMs: number;
}

const END: FrameVerdict = { kind: "end" };
const SHORT_OF_HEADER: FrameVerdict = { kind: "short", frameBytes: undefined };
const BAD: FrameVerdict = { kind: "bad" };

/**
 * The seed of every frame checksum in a segment: the CRC-32 of the store's id
 * (16 bytes), the segment's id (u32) and its timestamp (i64 ns).
 */
export function segmentSalt(storeId: Uint8Array, segmentId: number, timestampNs: bigint): number {
  const bytes = new Uint8Array(STORE_ID_BYTES + 12);
  const view = new DataView(bytes.buffer);
  bytes.set(storeId);
  view.setUint32(STORE_ID_BYTES, segmentId, true);
  view.setBigInt64(STORE_ID_BYTES + 4, timestampNs, true);
  return crc32(bytes);
}

/**
 * Writes a header at `at` with its checksum still zero; `sealFrame` completes
 * it. What `readFrame` would not read back is a defect of the caller:
 * INTERNAL_BUG.
 */
export function writeFrameHeader(
  view: DataView,
  at: number,
  payloadBytes: number,
  flags: number,
  timestampMs: number,
): void {
  if (payloadBytes < 1 || payloadBytes > FRAME_PAYLOAD_BYTES_MAX || !areFlagsLegal(flags)) {
    throw new KvixError("INTERNAL_BUG", "a frame that could not be read back", {
      metadata: { payloadBytes, flags },
    });
  }
  view.setUint32(at, 0, true);
  view.setUint32(at + 4, payloadBytes, true);
  view.setUint8(at + 8, flags | SCHEMA_VERSION);
  writeTimestamp(view, at + 9, timestampMs);
}

/**
 * Completes the frame of `frameBytes` at `at`: sets or clears BARRIER, then
 * writes the checksum. `view` is over the same bytes as `bytes`.
 */
export function sealFrame(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  frameBytes: number,
  salt: number,
  isBarrier: boolean,
): void {
  const version = view.getUint8(at + 8);
  view.setUint8(at + 8, isBarrier ? version | FrameFlag.BARRIER : version & ~FrameFlag.BARRIER);
  view.setUint32(at, crc32Between(bytes, at + 4, at + frameBytes, salt), true);
}

/** Bytes in the middle of a frame that lie elsewhere. */
export interface ElsewhereBytes {
  /** How many. */
  readonly length: number;
  /** Their CRC-32. */
  readonly checksum: number;
}

/**
 * Completes a frame of which `bytes` has the ends and not the middle: what goes
 * before it up to `headBytes`, then what follows it. `view` is over the same bytes.
 */
export function sealSplitFrame(
  bytes: Uint8Array,
  view: DataView,
  headBytes: number,
  middle: ElsewhereBytes,
  salt: number,
  isBarrier: boolean,
): void {
  const version = view.getUint8(8);
  view.setUint8(8, isBarrier ? version | FrameFlag.BARRIER : version & ~FrameFlag.BARRIER);
  const head = crc32Between(bytes, 4, headBytes, salt);
  const upToTail = crc32Combine(head, middle.checksum, middle.length);
  view.setUint32(0, crc32Between(bytes, headBytes, bytes.length, upToTail), true);
}

/**
 * Reads the frame at `at` of a segment with this salt; there are bytes up to
 * `end`. `view` is over the same bytes as `bytes`.
 */
export function readFrame(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  salt: number,
): FrameVerdict {
  if (at === end) return END;
  if (end - at < FRAME_HEADER_BYTES) return SHORT_OF_HEADER;
  const payloadBytes = view.getUint32(at + 4, true);
  if (payloadBytes === 0 || payloadBytes > FRAME_PAYLOAD_BYTES_MAX) return BAD;
  const frameBytes = FRAME_HEADER_BYTES + payloadBytes;
  if (frameBytes > end - at) return { kind: "short", frameBytes };
  const payloadEnd = at + frameBytes;
  if (crc32Between(bytes, at + 4, payloadEnd, salt) !== view.getUint32(at, true)) return BAD;
  const version = view.getUint8(at + 8);
  const flags = version & FLAGS_MASK;
  const timestampMs = readTimestampMs(view, at + 9);
  if (!isVersionKnown(version) || Number.isNaN(timestampMs)) {
    return { kind: "unknown", schemaVersion: version & SCHEMA_MASK, flags };
  }
  const payloadStart = at + FRAME_HEADER_BYTES;
  return { kind: "frame", flags, timestampMs, payloadStart, payloadEnd, frameBytes };
}

/** The 17 bytes at `at` taken for a header; nothing is verified. */
export function readFrameHeader(view: DataView, at: number): FrameHeader {
  const version = view.getUint8(at + 8);
  return {
    payloadBytes: view.getUint32(at + 4, true),
    flags: version & FLAGS_MASK,
    schemaVersion: version & SCHEMA_MASK,
    timestampMs: readTimestampMs(view, at + 9),
  };
}

/**
 * Whether a whole frame could begin at `at` with `remaining` bytes to the end:
 * what resynchronising asks of every place before it spends a checksum on it.
 */
export function isPlausibleHeader(view: DataView, at: number, remaining: number): boolean {
  if (remaining <= FRAME_HEADER_BYTES || !isVersionKnown(view.getUint8(at + 8))) return false;
  const payloadBytes = view.getUint32(at + 4, true);
  if (payloadBytes < 1 || payloadBytes > remaining - FRAME_HEADER_BYTES) return false;
  return payloadBytes <= FRAME_PAYLOAD_BYTES_MAX && view.getInt8(at + 16) >= 0;
}

function isVersionKnown(version: number): boolean {
  return (version & SCHEMA_MASK) === SCHEMA_VERSION && areFlagsLegal(version & FLAGS_MASK);
}

/** A value, a tombstone, an expired tombstone or a batch, each with or without BARRIER. */
function areFlagsLegal(flags: number): boolean {
  switch (flags & ~FrameFlag.BARRIER) {
    case 0:
    case FrameFlag.TOMBSTONE:
    case FrameFlag.TOMBSTONE | FrameFlag.EXPIRED:
    case FrameFlag.BATCH:
      return true;
    default:
      return false;
  }
}
