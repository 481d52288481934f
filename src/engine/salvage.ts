/**
 * What damaged bytes still tell. Between two sound frames lies a run of bytes
 * that start none; frames were there once. For each of them we ask which key it
 * was, so that a read of that key says DATA_LOSS and never an older value (V13):
 *
 *  1. Exactly one bit was flipped: the checksum's syndrome names the bit, and
 *     with it the key is certain.
 *  2. More is broken, but header and payload still fit together exactly and the
 *     version lies between its neighbours': the key is likely. It is taken for
 *     lost, and the run's keys are still called unknown: it may be the key itself
 *     that is broken.
 *  3. Else the keys of that run are unknown, and the store says so.
 */
import { FRAMES_TAG as BATCH_FRAMES_TAG, parseBatch } from "../format/batch.js";
import { findFlippedBit } from "../format/bit-flip.js";
import { FRAME_HEADER_BYTES, FrameFlag, readFrameHeader } from "../format/frame.js";
import { newRecordFields, parseRecord, type RecordFields } from "../format/record.js";
import { readVarint, varintBytes } from "../format/varint.js";
import { ByteWindow } from "../storage/byte-window.js";
import type { Segment } from "../storage/segment.js";
import type { EntrySink } from "./index-loader.js";

/** A damaged run is looked into up to this size; a larger one is unknown as a whole. */
const SALVAGE_BYTES_MAX = 64 * 1024 * 1024;
/** No frame is shorter: a key of one byte, a version, an update time. A batch's head is. */
const SMALLEST_FRAME_BYTES = FRAME_HEADER_BYTES + 3 + 2 + 2;

/** Damaged bytes, and the versions of the sound frames before and after them. */
export interface DamagedRun {
  readonly segment: Segment;
  readonly offset: number;
  readonly length: number;
  readonly versionBefore: number;
  readonly versionAfter: number;
  /** See ScanRange. */
  readonly refusesHoles?: boolean;
}

/** A frame that cannot be read, though its key is known, or likely. */
export interface LostFrame {
  /** Where it starts in the segment. */
  readonly offset: number;
  /** The frame as it was; its length is that on disk. */
  readonly bytes: Uint8Array;
  readonly fields: RecordFields;
  /** Whether the flipped bit was found, so that every field is known. */
  readonly isCertain: boolean;
}

/** What a damaged run still tells. */
export interface Salvage {
  readonly lost: readonly LostFrame[];
  /** Whether every key of the run is known for certain. */
  readonly isComplete: boolean;
}

/** The frames of the run whose keys are known; reads of these fail their checksum. */
export async function salvageRun(run: DamagedRun): Promise<Salvage> {
  const { segment } = run;
  const lostFrames: LostFrame[] = [];
  const nothing = { lost: lostFrames, isComplete: false };
  if (segment.file === undefined || run.length > SALVAGE_BYTES_MAX) return nothing;
  const window = new ByteWindow(segment.file, run.offset + run.length, run.refusesHoles);
  if ((await window.moveTo(run.offset, run.length)) < run.length) return nothing;
  const bytes = window.bytes.slice(0, run.length);
  // What is too short for a frame may be the rest of one that others have overwritten.
  let isComplete = run.length >= SMALLEST_FRAME_BYTES || isBatchHead(bytes);
  let versionBefore = run.versionBefore;
  let at = 0;
  while (bytes.length - at >= SMALLEST_FRAME_BYTES) {
    const member = firstMemberAt(bytes, at);
    if (member !== undefined) {
      at = member;
      continue;
    }
    const length = claimedLength(bytes, at);
    const offset = run.offset + at;
    let lost = identify(bytes.slice(at, at + length), offset, versionBefore, run);
    // The length itself may be what is wrong; asked once, for it costs the whole run.
    if (lost === undefined && isComplete && length < bytes.length - at) {
      lost = identify(bytes.slice(at), offset, versionBefore, run);
    }
    if (lost === undefined) {
      isComplete = false;
      at += length;
      continue;
    }
    if (!lost.isCertain) isComplete = false;
    versionBefore = lost.fields.version;
    lostFrames.push(lost);
    at += lost.bytes.length;
  }
  // A rest that is too short for a frame may be that of one that others have overwritten, too.
  if (at > 0 && at < bytes.length) isComplete = false;
  return { lost: lostFrames, isComplete };
}

/** Loads the lost frames, so that reads of their keys are DATA_LOSS. */
export function loadLost(segment: Segment, lost: readonly LostFrame[], loader: EntrySink): void {
  for (const { bytes, fields, offset, isCertain } of lost) {
    loader.load(segment, {
      source: bytes,
      keyStart: fields.keyStart,
      keyEnd: fields.keyEnd,
      offset,
      length: bytes.length,
      version: fields.version,
      expiresAtMs: isCertain ? fields.expiresAtMs : 0,
      // A lost tombstone is DATA_LOSS as well: what it deleted must not come back as a value.
      isTombstone: false,
      isLost: true,
    });
  }
}

/**
 * Where the first member lies if a batch starts at `at`: a damaged member is
 * looked into like any frame, sound ones are found behind the run.
 */
function firstMemberAt(bytes: Uint8Array, at: number): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readFrameHeader(view, at);
  if ((header.flags & FrameFlag.BATCH) === 0) return undefined;
  const payload = at + FRAME_HEADER_BYTES;
  return parseBatch(bytes, payload, payload + header.payloadBytes)?.framesStart;
}

/**
 * Whether bytes in front of sound frames are the head of a batch without a request id,
 * one bit of it wrong at most: then they held no key. One bit spoils one of the signs:
 * what the header is, the tag, and two lengths that fit together.
 */
function isBatchHead(bytes: Uint8Array): boolean {
  const frames = FRAME_HEADER_BYTES + 1;
  if (bytes.length <= frames) return false;
  const header = readFrameHeader(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
  const framesBytes = readVarint(bytes, frames, bytes.length);
  // All that is left is the second length; one that is damaged may still be told from the first.
  const lengthBytes = bytes.length - frames;
  const isLengthAll = [framesBytes, header.payloadBytes - 1 - lengthBytes].some(
    (length) => length > 0 && varintBytes(length) === lengthBytes,
  );
  if (!isLengthAll) return false;
  const signs = [
    header.flags === FrameFlag.BATCH || header.flags === (FrameFlag.BATCH | FrameFlag.BARRIER),
    bytes[FRAME_HEADER_BYTES] === BATCH_FRAMES_TAG,
    header.payloadBytes === bytes.length - FRAME_HEADER_BYTES + framesBytes,
  ];
  return signs.filter((isSo) => isSo).length >= signs.length - 1;
}

/** How long the frame at `at` says it is, if that fits; else all that is left. */
function claimedLength(bytes: Uint8Array, at: number): number {
  const left = bytes.length - at;
  if (left < FRAME_HEADER_BYTES) return left;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const claimed = FRAME_HEADER_BYTES + view.getUint32(at + 4, true);
  return claimed > FRAME_HEADER_BYTES && claimed <= left ? claimed : left;
}

function identify(
  frame: Uint8Array,
  offset: number,
  versionBefore: number,
  run: DamagedRun,
): LostFrame | undefined {
  if (frame.length <= FRAME_HEADER_BYTES) return undefined;
  const bit = findFlippedBit(frame, run.segment.name.salt);
  if (bit !== undefined) {
    const byte = bit >> 3;
    frame[byte] = (frame[byte] as number) ^ (1 << (bit & 7));
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const header = readFrameHeader(view, 0);
  const fields = newRecordFields();
  if (!parseRecord(frame, FRAME_HEADER_BYTES, frame.length, fields)) return undefined;
  const fits = fields.version > versionBefore && fields.version < run.versionAfter;
  if (bit === undefined && (!fits || header.payloadBytes !== frame.length - FRAME_HEADER_BYTES)) {
    return undefined;
  }
  return { offset, bytes: frame, fields, isCertain: bit !== undefined };
}
