/**
 * Reads a hint (hint-layout.ts has its bytes), block by block, in place.
 *
 * The order: the summary at the end of the file; the head; then the blocks
 * from HINT_HEAD_BYTES to the summary's `entriesEnd`, each asked of a
 * HintCheck before it is used; at last `isComplete`. The caller has compared
 * the summary with what the manifest says of the segment: a hint only counts
 * with segment length and checksum equal.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type HintSummary, HintSummarySchema } from "../../gen/kvix/v1/kvix_pb.js";
import { EXPIRES_AT_MS_MAX, SEGMENT_ID_MAX, STORE_ID_BYTES, VERSION_MAX } from "../base/limits.js";
import { crc32 } from "./checksum.js";
import {
  areHintFlagsLegal,
  HINT_BLOCK_ENTRIES_MAX,
  HINT_BLOCK_KEY_BYTES_MAX,
  HINT_BYTE_ORDER,
  HINT_END_MAGIC,
  HINT_FORMAT_VERSION,
  HINT_HEAD_BYTES,
  HINT_MAGIC,
  HINT_SUMMARY_BYTES_MAX,
  HINT_TRAILER_BYTES,
  type HintBinding,
  HintBlockAt,
  type HintColumns,
  HintFlag,
  HintHeadAt,
  hintBlockBytes,
  hintBlockChecksum,
  viewHintColumns,
} from "./hint-layout.js";

/** The high 16 bits of the last expiry that a record may have. */
const EXPIRY_HIGH_MAX = Math.floor(EXPIRES_AT_MS_MAX / 2 ** 32);

/** The hint is to be ignored and built anew. */
export interface HintDamage {
  readonly kind: "damaged";
  readonly why: string;
}

/** Which segment the hint is for, from its front. */
export interface HintHead extends HintBinding {
  readonly kind: "head";
  /** The checksum of the head, which every block repeats. */
  readonly salt: number;
}

/** What the hint holds, from its end. */
export interface HintEnd {
  readonly kind: "summary";
  readonly summary: HintSummary;
  /** Where the blocks end in the file, and the summary starts. */
  readonly entriesEnd: number;
}

/** The summary is longer than the bytes given: come again with this many last bytes. */
export interface HintTailTooShort {
  readonly kind: "short";
  readonly tailBytes: number;
}

/** A sound block. Its columns are views into the bytes it was read from, where they are aligned. */
export interface HintBlock extends HintColumns {
  readonly kind: "block";
  readonly count: number;
  /** The how-manieth block of its hint, from 0. */
  readonly ordinal: number;
  /** The checksum of its hint's head. */
  readonly salt: number;
  /** Where the next block, or the summary, starts. */
  readonly next: number;
}

/** Reads the front of a hint: its first HINT_HEAD_BYTES. */
export function decodeHintHead(bytes: Uint8Array): HintHead | HintDamage {
  if (bytes.length < HINT_HEAD_BYTES) return damaged("no head");
  if (!startsWith(bytes, 0, HINT_MAGIC)) return damaged("another magic");
  const view = new DataView(bytes.buffer, bytes.byteOffset, HINT_HEAD_BYTES);
  const salt = view.getUint32(HintHeadAt.CRC, true);
  if (crc32(bytes.subarray(0, HintHeadAt.CRC)) !== salt) return damaged("a wrong head checksum");
  if (view.getUint32(HintHeadAt.FORMAT_VERSION, true) !== HINT_FORMAT_VERSION) {
    return damaged("another format version");
  }
  if (!startsWith(bytes, HintHeadAt.BYTE_ORDER, HINT_BYTE_ORDER)) {
    return damaged("another byte order");
  }
  return {
    kind: "head",
    storeId: bytes.subarray(HintHeadAt.STORE_ID, HintHeadAt.STORE_ID + STORE_ID_BYTES),
    segmentId: view.getUint32(HintHeadAt.SEGMENT_ID, true),
    timestampNs: view.getBigInt64(HintHeadAt.TIMESTAMP, true),
    salt,
  };
}

/** Reads the end of a hint of `fileBytes`; `tail` is its last bytes, as many as the caller has. */
export function decodeHintSummary(
  tail: Uint8Array,
  fileBytes: number,
): HintEnd | HintTailTooShort | HintDamage {
  if (fileBytes < HINT_HEAD_BYTES + HINT_TRAILER_BYTES) return damaged("too short a file");
  if (tail.length < HINT_TRAILER_BYTES) return { kind: "short", tailBytes: HINT_TRAILER_BYTES };
  const trailerAt = tail.length - HINT_TRAILER_BYTES;
  if (!startsWith(tail, trailerAt + 8, HINT_END_MAGIC)) return damaged("no trailer");
  const trailer = new DataView(tail.buffer, tail.byteOffset + trailerAt, HINT_TRAILER_BYTES);
  const summaryBytes = trailer.getUint32(0, true);
  const entriesEnd = fileBytes - HINT_TRAILER_BYTES - summaryBytes;
  if (summaryBytes > HINT_SUMMARY_BYTES_MAX || entriesEnd < HINT_HEAD_BYTES) {
    return damaged("too long a summary");
  }
  if (summaryBytes > trailerAt) {
    return { kind: "short", tailBytes: summaryBytes + HINT_TRAILER_BYTES };
  }
  const payload = tail.subarray(trailerAt - summaryBytes, trailerAt);
  const checksum = crc32(payload, crc32(tail.subarray(trailerAt, trailerAt + 4)));
  if (checksum !== trailer.getUint32(4, true)) return damaged("a wrong summary checksum");
  const summary = parseSummary(payload);
  if (summary === undefined || !isSummarySound(summary)) return damaged("an unsound summary");
  if (summary.entryBytes !== BigInt(entriesEnd - HINT_HEAD_BYTES)) {
    return damaged("another length of blocks than it claims");
  }
  return { kind: "summary", summary, entriesEnd };
}

/**
 * Reads the block at `at`; there are bytes up to `limit`. HINT_BLOCK_BYTES_MAX
 * of them, or all up to the summary, hold all of it. A block that does not lie
 * at a multiple of 4 of its memory is copied first.
 */
export function decodeHintBlock(
  bytes: Uint8Array,
  at: number,
  limit: number,
): HintBlock | HintDamage {
  if (limit - at < HintBlockAt.COLUMNS) return damaged("a block cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HintBlockAt.COLUMNS);
  const count = view.getUint32(HintBlockAt.COUNT, true);
  const keyBytes = view.getUint32(HintBlockAt.KEY_BYTES, true);
  if (count < 1 || count > HINT_BLOCK_ENTRIES_MAX) return damaged("a block of impossible size");
  if (keyBytes > HINT_BLOCK_KEY_BYTES_MAX) return damaged("a block of impossible size");
  const next = at + hintBlockBytes(count, keyBytes);
  if (next > limit) return damaged("a block cut off");
  const block = bytes.subarray(at, next);
  if (hintBlockChecksum(block) !== view.getUint32(HintBlockAt.CRC, true)) {
    return damaged("a wrong block checksum");
  }
  const aligned = block.byteOffset % 4 === 0 ? block : new Uint8Array(block);
  const columns = viewHintColumns(aligned.buffer, aligned.byteOffset, count, keyBytes);
  if (!areColumnsSound(columns)) return damaged("an unsound block");
  const ordinal = view.getUint32(HintBlockAt.ORDINAL, true);
  const salt = view.getUint32(HintBlockAt.SALT, true);
  return { kind: "block", count, ordinal, salt, next, ...columns };
}

/** Holds the blocks of one hint against its head and summary, in the order they are read. */
export class HintCheck {
  readonly #head: HintHead;
  readonly #summary: HintSummary;
  readonly #segmentLength: number;
  readonly #isOneHint: boolean;
  #blocks = 0;
  #entries = 0;
  #tombstones = 0;

  constructor(head: HintHead, summary: HintSummary) {
    this.#head = head;
    this.#summary = summary;
    this.#segmentLength = Number(summary.segmentLength);
    this.#isOneHint =
      head.segmentId === summary.segmentId &&
      head.timestampNs === summary.segmentTimestamp &&
      startsWith(head.storeId, 0, summary.storeId);
  }

  /** Whether this is the hint's next block, and all its frames lie inside the segment. */
  accepts(block: HintBlock): boolean {
    if (!this.#isOneHint || block.salt !== this.#head.salt) return false;
    if (block.ordinal !== this.#blocks) return false;
    const { count, offsets, lengths, flags } = block;
    for (let index = 0; index < count; index++) {
      if (offsets[index]! + lengths[index]! > this.#segmentLength) return false;
      this.#tombstones += flags[index]! & HintFlag.TOMBSTONE;
    }
    this.#blocks++;
    this.#entries += count;
    return true;
  }

  /** Whether the blocks accepted are all that the summary speaks of. */
  isComplete(): boolean {
    return (
      this.#isOneHint &&
      BigInt(this.#entries) === this.#summary.entries &&
      BigInt(this.#tombstones) === this.#summary.tombstones
    );
  }
}

function parseSummary(payload: Uint8Array): HintSummary | undefined {
  try {
    return fromBinary(HintSummarySchema, payload);
  } catch {
    // The library throws on malformed protobuf; here that is a verdict.
    return undefined;
  }
}

function isSummarySound(summary: HintSummary): boolean {
  const { segmentLength } = summary;
  return (
    summary.storeId.length === STORE_ID_BYTES &&
    summary.segmentId <= SEGMENT_ID_MAX &&
    segmentLength <= BigInt(Number.MAX_SAFE_INTEGER) &&
    summary.lowestVersion <= summary.highestVersion &&
    summary.highestVersion <= BigInt(VERSION_MAX) &&
    summary.tombstones <= summary.entries &&
    summary.damagedRanges.every(({ offset, length }) => offset + length <= segmentLength) &&
    summary.requests.every(({ offset, length }) => length > 0n && offset + length <= segmentLength)
  );
}

/**
 * Whether the key lengths are those of the keys, and every entry is one that a writer
 * takes: an expiry past the last that a record may have would be read as a mark of the
 * index, and a record with it would be gone.
 */
function areColumnsSound(columns: HintColumns): boolean {
  const { keyLengths, flags, keys, lengths } = columns;
  const { versionsLow, versionsHigh, expiriesLow, expiriesHigh } = columns;
  let keyBytes = 0;
  for (let index = 0; index < keyLengths.length; index++) {
    const keyLength = keyLengths[index]!;
    if (keyLength === 0 || lengths[index] === 0 || !areHintFlagsLegal(flags[index]!)) return false;
    if (versionsLow[index] === 0 && versionsHigh[index] === 0) return false;
    if (expiriesHigh[index]! >= EXPIRY_HIGH_MAX) {
      const expiresAtMs = expiriesHigh[index]! * 2 ** 32 + expiriesLow[index]!;
      if (expiresAtMs > EXPIRES_AT_MS_MAX) return false;
    }
    keyBytes += keyLength;
  }
  return keyBytes === keys.length;
}

function startsWith(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  return expected.every((byte, index) => bytes[at + index] === byte);
}

function damaged(why: string): HintDamage {
  return { kind: "damaged", why };
}
