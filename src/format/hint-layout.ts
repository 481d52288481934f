/**
 * The hint: all that the index needs of a sealed segment, so that opening a
 * store need not read the segment. Little-endian, but for what is said below.
 *
 *     head      48 bytes
 *     blocks    as many as there are, each a multiple of 4 bytes
 *     summary   the proto's HintSummary
 *     trailer   16 bytes
 *
 *     head      0 magic 8 · 8 format version u32 · 12 segment id u32 ·
 *               16 store id 16 · 32 segment timestamp i64 ns ·
 *               40 byte order u32 · 44 crc32 of bytes 0..43
 *     block     0 count u32 · 4 key bytes u32 · 8 ordinal u32 · 12 head's crc32 ·
 *               16 crc32 of bytes 0..15 and all that follows · 20 columns
 *     columns   offset u32 · length u32 · version low u32 · expiry low u32 ·
 *               version high u16 · expiry high u16 · key length u16 · flags u8,
 *               each `count` times; the keys, one after the other; zeros up to
 *               a multiple of 4
 *     trailer   0 summary bytes u32 · 4 crc32 of bytes 0..3 and the summary ·
 *               8 magic 8
 *
 * Invariants
 *  1. Every byte lies under one of the checksums, or is a magic, or is compared
 *     with a count; so any flipped bit and any truncation is noticed before
 *     the entries that it touches are used (R7).
 *  2. A block carries its ordinal and the checksum of the head, which names
 *     store and segment: a block that was dropped, repeated, moved or belongs
 *     to another hint is noticed.
 *  3. Columns are aligned and in the byte order of the machine, which the head
 *     states: they are read in place. A hint from a machine of the other order
 *     counts as damaged. kvix's golden files are little-endian.
 *  4. A hint is an accelerator. Any doubt: it is ignored, and built anew.
 */
import { crc32 } from "./checksum.js";

/** The version of hints that this code writes, and the only one it reads. On disk. */
export const HINT_FORMAT_VERSION = 1;

/** The length of the head, where the first block starts. On disk. */
export const HINT_HEAD_BYTES = 48;

/** The length of the trailer. On disk. */
export const HINT_TRAILER_BYTES = 16;

/** The most entries in a block. */
export const HINT_BLOCK_ENTRIES_MAX = 65_536;

/** The most bytes of keys in a block (1 MiB). */
export const HINT_BLOCK_KEY_BYTES_MAX = 1_048_576;

/** The longest summary, in bytes (64 MiB). Damaged ranges and request ids make it long. */
export const HINT_SUMMARY_BYTES_MAX = 67_108_864;

/** What an entry is, beside a value. On disk. */
export const HintFlag = {
  /** The newest state of the key in this segment is a tombstone. */
  TOMBSTONE: 0x01,
  /** Only with TOMBSTONE: the key went because its time was up. */
  EXPIRED: 0x02,
  /** The frame of this key is known to be unreadable; reading it is DATA_LOSS. */
  DAMAGED: 0x04,
} as const;

/** Whether these are HintFlag bits that go together. */
export function areHintFlagsLegal(flags: number): boolean {
  const state = flags & ~HintFlag.DAMAGED;
  return (
    state === 0 || state === HintFlag.TOMBSTONE || state === (HintFlag.TOMBSTONE | HintFlag.EXPIRED)
  );
}

/** The segment that a hint describes. */
export interface HintBinding {
  /** 16 bytes. */
  readonly storeId: Uint8Array;
  readonly segmentId: number;
  /** The segment's timestamp, in Unix nanoseconds. */
  readonly timestampNs: bigint;
}

/** "KVIXHINT". On disk. */
export const HINT_MAGIC = Uint8Array.of(0x4b, 0x56, 0x49, 0x58, 0x48, 0x49, 0x4e, 0x54);
/** "KVIXHEND". On disk. */
export const HINT_END_MAGIC = Uint8Array.of(0x4b, 0x56, 0x49, 0x58, 0x48, 0x45, 0x4e, 0x44);

/** 0x01020304 in the machine's own order. On disk: 04 03 02 01 where that is little-endian. */
export const HINT_BYTE_ORDER = new Uint8Array(Uint32Array.of(0x01020304).buffer);

/** Where the fields are. On disk. */
export const HintHeadAt = {
  FORMAT_VERSION: 8,
  SEGMENT_ID: 12,
  STORE_ID: 16,
  TIMESTAMP: 32,
  BYTE_ORDER: 40,
  CRC: 44,
} as const;

/** Where the fields are. On disk. */
export const HintBlockAt = {
  COUNT: 0,
  KEY_BYTES: 4,
  ORDINAL: 8,
  SALT: 12,
  CRC: 16,
  COLUMNS: 20,
} as const;

/** offset 4, length 4, version 6, expiry 6, key length 2, flags 1. */
const ENTRY_BYTES = 23;

/** The length of a block with `count` entries and so many bytes of keys. */
export function hintBlockBytes(count: number, keyBytes: number): number {
  const bytes = HintBlockAt.COLUMNS + count * ENTRY_BYTES + keyBytes;
  return bytes + (-bytes & 3);
}

/** The length of the longest block; so many bytes from the start of a block hold all of it. */
export const HINT_BLOCK_BYTES_MAX = hintBlockBytes(
  HINT_BLOCK_ENTRIES_MAX,
  HINT_BLOCK_KEY_BYTES_MAX,
);

/** The columns of a block: entry i is element i of each. Views, not copies. */
export interface HintColumns {
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly versionsLow: Uint32Array;
  readonly expiriesLow: Uint32Array;
  readonly versionsHigh: Uint16Array;
  readonly expiriesHigh: Uint16Array;
  readonly keyLengths: Uint16Array;
  readonly flags: Uint8Array;
  /** The keys, one after the other. */
  readonly keys: Uint8Array;
}

/** The columns of the block at `at` of `buffer`; `at` is a multiple of 4. */
export function viewHintColumns(
  buffer: ArrayBufferLike,
  at: number,
  count: number,
  keyBytes: number,
): HintColumns {
  const words = at + HintBlockAt.COLUMNS;
  const halves = words + count * 16;
  const flagsAt = halves + count * 6;
  return {
    offsets: new Uint32Array(buffer, words, count),
    lengths: new Uint32Array(buffer, words + count * 4, count),
    versionsLow: new Uint32Array(buffer, words + count * 8, count),
    expiriesLow: new Uint32Array(buffer, words + count * 12, count),
    versionsHigh: new Uint16Array(buffer, halves, count),
    expiriesHigh: new Uint16Array(buffer, halves + count * 2, count),
    keyLengths: new Uint16Array(buffer, halves + count * 4, count),
    flags: new Uint8Array(buffer, flagsAt, count),
    keys: new Uint8Array(buffer, flagsAt + count, keyBytes),
  };
}

/** The checksum of a block: all of it but the checksum itself. */
export function hintBlockChecksum(block: Uint8Array): number {
  const head = crc32(block.subarray(0, HintBlockAt.CRC));
  return crc32(block.subarray(HintBlockAt.COLUMNS), head);
}
