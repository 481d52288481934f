/**
 * The checkpoint: the index as it stood when the store was closed, so that
 * opening it is reading it. Its format is not frozen: it is an accelerator, and
 * a checkpoint of another format version is ignored like a damaged one.
 *
 *     head           56 bytes, little-endian
 *     description    JSON: the segments, and the index beside its pages
 *     pages          as they lay in memory, in the byte order of the machine:
 *                    those of the index, and last that of remembered requests,
 *                    if there are any
 *
 *     head      0 magic 8 · 8 format version u32 · 12 byte order u32 ·
 *               16 store id 16 · 32 description bytes u32 ·
 *               36 crc32 of the description u32 · 40 bytes of all pages u64 ·
 *               48 zeros 4 · 52 crc32 of bytes 0..51 u32
 *
 * Invariants
 *  1. A checkpoint counts only if the clean mark of the manifest names the
 *     CRC-32 of the whole file: no other is of this close (I8).
 *  2. Head and description have checksums of their own, so that no length in
 *     them is believed before it is known to be the one that was written (R6).
 *  3. The description holds the secret seed of the index's hash. So the file is
 *     for its owner only, as all files of a store are.
 */
import { STORE_ID_BYTES } from "../base/limits.js";
import { crc32 } from "./checksum.js";

/**
 * The version that this code writes, and the only one it reads. To be raised with
 * every change of what the description says or of what lies in a page of the index.
 */
export const CHECKPOINT_FORMAT_VERSION = 2;

/** The length of the head. */
export const CHECKPOINT_HEAD_BYTES = 56;

/** The longest description, in bytes (256 MiB): that of an index of four thousand million keys. */
export const CHECKPOINT_DESCRIPTION_BYTES_MAX = 268_435_456;

/** "KVIXCKPT". */
export const CHECKPOINT_MAGIC = Uint8Array.of(0x4b, 0x56, 0x49, 0x58, 0x43, 0x4b, 0x50, 0x54);

/** Where the fields are. */
export const CheckpointHeadAt = {
  FORMAT_VERSION: 8,
  BYTE_ORDER: 12,
  STORE_ID: 16,
  DESCRIPTION_BYTES: 32,
  DESCRIPTION_CRC: 36,
  PAGE_BYTES: 40,
  CRC: 52,
} as const;

/** 0x01020304 in the machine's own order. */
const BYTE_ORDER = new Uint8Array(Uint32Array.of(0x01020304).buffer);

/** A segment as it was at the close. */
export interface CheckpointSegment {
  readonly id: number;
  /** Unix nanoseconds, in decimal. */
  readonly timestampNs: string;
  readonly isSealed: boolean;
  readonly lengthBytes: number;
  readonly checksum: number;
  readonly liveBytes: number;
  readonly tombstoneBytes: number;
  readonly highestTombstone: number;
  readonly lowestVersion: number;
  readonly highestVersion: number;
  /** Unix milliseconds; 0: it has no frame. */
  readonly newestTimestampMs: number;
}

/** What the description says. */
export interface CheckpointDescription {
  readonly segments: readonly CheckpointSegment[];
  /** The index beside its pages; the engine knows its form. */
  readonly index: unknown;
  /** What is known of requests with an id, beside the last page. */
  readonly requests: unknown;
}

/** What the head says. */
export interface CheckpointHead {
  readonly kind: "head";
  /** 16 bytes. */
  readonly storeId: Uint8Array;
  readonly descriptionBytes: number;
  readonly descriptionChecksum: number;
  readonly pageBytes: number;
}

/** The checkpoint is to be ignored. */
export interface CheckpointDamage {
  readonly kind: "damaged";
  readonly why: string;
}

/** Head and description of a checkpoint; `pageBytes` follow. */
export function encodeCheckpointFront(
  storeId: Uint8Array,
  description: CheckpointDescription,
  pageBytes: number,
): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(description));
  const front = new Uint8Array(CHECKPOINT_HEAD_BYTES + text.length);
  const view = new DataView(front.buffer);
  front.set(CHECKPOINT_MAGIC);
  view.setUint32(CheckpointHeadAt.FORMAT_VERSION, CHECKPOINT_FORMAT_VERSION, true);
  front.set(BYTE_ORDER, CheckpointHeadAt.BYTE_ORDER);
  front.set(storeId, CheckpointHeadAt.STORE_ID);
  view.setUint32(CheckpointHeadAt.DESCRIPTION_BYTES, text.length, true);
  view.setUint32(CheckpointHeadAt.DESCRIPTION_CRC, crc32(text), true);
  view.setBigUint64(CheckpointHeadAt.PAGE_BYTES, BigInt(pageBytes), true);
  view.setUint32(CheckpointHeadAt.CRC, crc32(front.subarray(0, CheckpointHeadAt.CRC)), true);
  front.set(text, CHECKPOINT_HEAD_BYTES);
  return front;
}

/** Reads the head of a checkpoint of `fileBytes`: its first CHECKPOINT_HEAD_BYTES. */
export function decodeCheckpointHead(
  bytes: Uint8Array,
  fileBytes: number,
): CheckpointHead | CheckpointDamage {
  if (bytes.length < CHECKPOINT_HEAD_BYTES) return damaged("no head");
  if (!startsWith(bytes, 0, CHECKPOINT_MAGIC)) return damaged("another magic");
  const view = new DataView(bytes.buffer, bytes.byteOffset, CHECKPOINT_HEAD_BYTES);
  const checksum = crc32(bytes.subarray(0, CheckpointHeadAt.CRC));
  if (view.getUint32(CheckpointHeadAt.CRC, true) !== checksum) {
    return damaged("a wrong head checksum");
  }
  if (view.getUint32(CheckpointHeadAt.FORMAT_VERSION, true) !== CHECKPOINT_FORMAT_VERSION) {
    return damaged("another format version");
  }
  if (!startsWith(bytes, CheckpointHeadAt.BYTE_ORDER, BYTE_ORDER)) {
    return damaged("another byte order");
  }
  const descriptionBytes = view.getUint32(CheckpointHeadAt.DESCRIPTION_BYTES, true);
  const pageBytes = Number(view.getBigUint64(CheckpointHeadAt.PAGE_BYTES, true));
  if (descriptionBytes > CHECKPOINT_DESCRIPTION_BYTES_MAX) return damaged("too long a description");
  if (CHECKPOINT_HEAD_BYTES + descriptionBytes + pageBytes !== fileBytes) {
    return damaged("another length than it claims");
  }
  const storeIdEnd = CheckpointHeadAt.STORE_ID + STORE_ID_BYTES;
  return {
    kind: "head",
    storeId: bytes.subarray(CheckpointHeadAt.STORE_ID, storeIdEnd),
    descriptionBytes,
    descriptionChecksum: view.getUint32(CheckpointHeadAt.DESCRIPTION_CRC, true),
    pageBytes,
  };
}

/** Reads the description that `head` speaks of. */
export function decodeCheckpointDescription(
  bytes: Uint8Array,
  head: CheckpointHead,
): CheckpointDescription | CheckpointDamage {
  if (bytes.length !== head.descriptionBytes || crc32(bytes) !== head.descriptionChecksum) {
    return damaged("a wrong description checksum");
  }
  try {
    // The checksum is right and the version is ours: it is what encodeCheckpointFront wrote.
    return JSON.parse(new TextDecoder().decode(bytes)) as CheckpointDescription;
  } catch {
    return damaged("no description inside");
  }
}

function startsWith(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  return expected.every((byte, index) => bytes[at + index] === byte);
}

function damaged(why: string): CheckpointDamage {
  return { kind: "damaged", why };
}
