/**
 * Writes a hint (hint-layout.ts has its bytes), block by block, in memory
 * bounded by one block. The pieces that come out, appended in order, are the
 * file; the head is part of the first.
 *
 *     open --add--> open --finish--> finished
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { type HintSummary, HintSummarySchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, KEY_BYTES_MAX, VERSION_MAX } from "../base/limits.js";
import { crc32 } from "./checksum.js";
import { FRAME_HEADER_BYTES } from "./frame.js";
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

const TWO_POW_32 = 2 ** 32;
const UINT32_MAX = TWO_POW_32 - 1;
/** Below this many bytes a loop copies faster than `Uint8Array.set`. */
const LOOP_COPY_BYTES_MAX = 32;

/** What the summary says beyond what the writer knows itself. */
export type HintSegmentFacts = Pick<
  HintSummary,
  | "segmentLength"
  | "segmentChecksum"
  | "lowestVersion"
  | "highestVersion"
  | "newestTimestamp"
  | "damagedRanges"
  | "requests"
>;

/** How much a writer has to hold. */
export interface HintWriterOptions {
  /** Entries of a block, 1..HINT_BLOCK_ENTRIES_MAX (the default): smaller blocks, in less memory. */
  readonly entriesMax?: number;
  /** The length of the segment in bytes, or more: less memory, and the same blocks. */
  readonly segmentBytes?: number;
}

/** Writes one hint. */
export class HintWriter {
  readonly #binding: HintBinding;
  readonly #salt: number;
  readonly #entriesMax: number;
  /** The block that is being filled, at its largest. */
  readonly #columns: HintColumns;
  #count = 0;
  #keyBytes = 0;
  #blocks = 0;
  #entries = 0;
  #tombstones = 0;
  #entryBytes = 0;
  /** The head, until it has gone out with the first piece. */
  #head: Uint8Array | undefined;
  #isFinished = false;

  constructor(binding: HintBinding, { entriesMax, segmentBytes }: HintWriterOptions = {}) {
    const { entries, keyBytes } = roomFor(segmentBytes ?? Number.POSITIVE_INFINITY);
    this.#binding = binding;
    this.#entriesMax = Math.max(1, Math.min(entriesMax ?? HINT_BLOCK_ENTRIES_MAX, entries));
    this.#head = encodeHead(binding);
    this.#salt = new DataView(this.#head.buffer).getUint32(HintHeadAt.CRC, true);
    const buffer = new ArrayBuffer(hintBlockBytes(this.#entriesMax, keyBytes));
    this.#columns = viewHintColumns(buffer, 0, this.#entriesMax, keyBytes);
  }

  /**
   * Adds the newest state of a key: where its frame starts in the segment, the
   * frame's length, HintFlag bits; `expiresAtMs` 0: never. Returns a piece to
   * append, if one is complete. A field out of range: INTERNAL_BUG.
   */
  add(
    keySource: Uint8Array,
    keyStart: number,
    keyEnd: number,
    offset: number,
    length: number,
    version: number,
    expiresAtMs: number,
    flags: number,
  ): Uint8Array | undefined {
    const keyLength = keyEnd - keyStart;
    this.#requireSound(keyLength, offset, length, version, expiresAtMs, flags);
    const isFull =
      this.#count === this.#entriesMax || this.#keyBytes + keyLength > this.#columns.keys.length;
    const piece = isFull ? this.#takePiece() : undefined;
    const columns = this.#columns;
    const index = this.#count++;
    columns.offsets[index] = offset;
    columns.lengths[index] = length;
    columns.versionsLow[index] = version % TWO_POW_32;
    columns.versionsHigh[index] = Math.floor(version / TWO_POW_32);
    columns.expiriesLow[index] = expiresAtMs % TWO_POW_32;
    columns.expiriesHigh[index] = Math.floor(expiresAtMs / TWO_POW_32);
    columns.keyLengths[index] = keyLength;
    columns.flags[index] = flags;
    copyKey(keySource, keyStart, keyEnd, columns.keys, this.#keyBytes);
    this.#keyBytes += keyLength;
    this.#entries++;
    if ((flags & HintFlag.TOMBSTONE) !== 0) this.#tombstones++;
    return piece;
  }

  /** The last pieces to append; the writer is then finished. Too long a summary: INTERNAL_BUG. */
  finish(facts: HintSegmentFacts): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    if (this.#count > 0 || this.#head !== undefined) pieces.push(this.#takePiece());
    this.#isFinished = true;
    const summary = toBinary(
      HintSummarySchema,
      create(HintSummarySchema, {
        ...facts,
        storeId: this.#binding.storeId,
        segmentId: this.#binding.segmentId,
        segmentTimestamp: this.#binding.timestampNs,
        entries: BigInt(this.#entries),
        tombstones: BigInt(this.#tombstones),
        entryBytes: BigInt(this.#entryBytes),
      }),
    );
    if (summary.length > HINT_SUMMARY_BYTES_MAX) {
      throw new KvixError("INTERNAL_BUG", "a hint's summary past its limit", {
        metadata: { summaryBytes: summary.length },
      });
    }
    pieces.push(encodeTail(summary));
    return pieces;
  }

  /** The filled block, behind the head if that is still to go; empties both. */
  #takePiece(): Uint8Array {
    const start = this.#head?.length ?? 0;
    const blockBytes = this.#count === 0 ? 0 : hintBlockBytes(this.#count, this.#keyBytes);
    const piece = new Uint8Array(start + blockBytes);
    if (this.#head !== undefined) piece.set(this.#head);
    this.#head = undefined;
    if (blockBytes > 0) this.#writeBlock(piece.subarray(start));
    this.#entryBytes += blockBytes;
    this.#count = 0;
    this.#keyBytes = 0;
    return piece;
  }

  #writeBlock(block: Uint8Array): void {
    const count = this.#count;
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
    view.setUint32(HintBlockAt.COUNT, count, true);
    view.setUint32(HintBlockAt.KEY_BYTES, this.#keyBytes, true);
    view.setUint32(HintBlockAt.ORDINAL, this.#blocks++, true);
    view.setUint32(HintBlockAt.SALT, this.#salt, true);
    const source = this.#columns;
    const target = viewHintColumns(block.buffer, block.byteOffset, count, this.#keyBytes);
    target.offsets.set(source.offsets.subarray(0, count));
    target.lengths.set(source.lengths.subarray(0, count));
    target.versionsLow.set(source.versionsLow.subarray(0, count));
    target.expiriesLow.set(source.expiriesLow.subarray(0, count));
    target.versionsHigh.set(source.versionsHigh.subarray(0, count));
    target.expiriesHigh.set(source.expiriesHigh.subarray(0, count));
    target.keyLengths.set(source.keyLengths.subarray(0, count));
    target.flags.set(source.flags.subarray(0, count));
    target.keys.set(source.keys.subarray(0, this.#keyBytes));
    view.setUint32(HintBlockAt.CRC, hintBlockChecksum(block), true);
  }

  /** A number that a column would cut short must not get into it. */
  #requireSound(
    keyLength: number,
    offset: number,
    length: number,
    version: number,
    expiresAtMs: number,
    flags: number,
  ): void {
    const isSound =
      !this.#isFinished &&
      keyLength >= 1 &&
      keyLength <= KEY_BYTES_MAX &&
      offset >= 0 &&
      offset <= UINT32_MAX &&
      length >= 1 &&
      length <= UINT32_MAX &&
      version >= 1 &&
      version <= VERSION_MAX &&
      expiresAtMs >= 0 &&
      expiresAtMs <= EXPIRES_AT_MS_MAX &&
      areHintFlagsLegal(flags);
    if (isSound) return;
    throw new KvixError("INTERNAL_BUG", "a hint entry that could not be read back", {
      metadata: { keyLength, offset, length, version, expiresAtMs, flags },
    });
  }
}

/** What one block may have to hold of a segment of that length: no frame is shorter than its header. */
function roomFor(segmentBytes: number): { entries: number; keyBytes: number } {
  return {
    entries: Math.min(Math.ceil(segmentBytes / FRAME_HEADER_BYTES), HINT_BLOCK_ENTRIES_MAX),
    // Any one key fits, whatever a damaged segment turns out to hold.
    keyBytes: Math.min(Math.max(segmentBytes, KEY_BYTES_MAX), HINT_BLOCK_KEY_BYTES_MAX),
  };
}

function encodeHead(binding: HintBinding): Uint8Array {
  const head = new Uint8Array(HINT_HEAD_BYTES);
  const view = new DataView(head.buffer);
  head.set(HINT_MAGIC);
  view.setUint32(HintHeadAt.FORMAT_VERSION, HINT_FORMAT_VERSION, true);
  view.setUint32(HintHeadAt.SEGMENT_ID, binding.segmentId, true);
  head.set(binding.storeId, HintHeadAt.STORE_ID);
  view.setBigInt64(HintHeadAt.TIMESTAMP, binding.timestampNs, true);
  head.set(HINT_BYTE_ORDER, HintHeadAt.BYTE_ORDER);
  view.setUint32(HintHeadAt.CRC, crc32(head.subarray(0, HintHeadAt.CRC)), true);
  return head;
}

function encodeTail(summary: Uint8Array): Uint8Array {
  const tail = new Uint8Array(summary.length + HINT_TRAILER_BYTES);
  const view = new DataView(tail.buffer, summary.length);
  tail.set(summary);
  view.setUint32(0, summary.length, true);
  const lengthChecksum = crc32(tail.subarray(summary.length, summary.length + 4));
  view.setUint32(4, crc32(summary, lengthChecksum), true);
  tail.set(HINT_END_MAGIC, summary.length + 8);
  return tail;
}

function copyKey(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  if (end - start > LOOP_COPY_BYTES_MAX) {
    target.set(source.subarray(start, end), at);
    return;
  }
  for (let index = start; index < end; index++) target[at + index - start] = source[index]!;
}
