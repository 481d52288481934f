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
 *
 * Of a damaged batch the request_id is told, too, if it can be: as it was if one
 * bit was flipped, as it lies there if something else is broken. So a repeat of the
 * request is not applied again, though nobody knows what the first was answered.
 */
import { REQUEST_ID_BYTES_MAX, REQUEST_ID_BYTES_MIN } from "../base/limits.js";
import {
  REQUEST_HASH_TAG as BATCH_DIGEST_TAG,
  FRAMES_TAG as BATCH_FRAMES_TAG,
  REQUEST_ID_TAG as BATCH_REQUEST_ID_TAG,
  parseBatch,
  REQUEST_DIGEST_BYTES,
} from "../format/batch.js";
import { BIT_FLIP_FRAME_BYTES_MAX, findFlippedBit } from "../format/bit-flip.js";
import { FRAME_HEADER_BYTES, FrameFlag, readFrameHeader } from "../format/frame.js";
import { newRecordFields, parseRecord, type RecordFields } from "../format/record.js";
import { readVarint, varintBytes } from "../format/varint.js";
import { ByteWindow } from "../storage/byte-window.js";
import type { Segment } from "../storage/segment.js";
import type { EntrySink, LoadedRequest } from "./index-loader.js";

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
  /** Requests whose batches are damaged: their members that are sound count, so they were applied. */
  readonly requests: readonly LoadedRequest[];
  /** Whether every key of the run is known for certain. */
  readonly isComplete: boolean;
}

/** The frames of the run whose keys are known; reads of these fail their checksum. */
export async function salvageRun(run: DamagedRun): Promise<Salvage> {
  const { segment } = run;
  const lostFrames: LostFrame[] = [];
  const requests: LoadedRequest[] = [];
  const nothing = { lost: lostFrames, requests, isComplete: false };
  if (segment.file === undefined || run.length > SALVAGE_BYTES_MAX) return nothing;
  const window = new ByteWindow(segment.file, run.offset + run.length, run.refusesHoles);
  if ((await window.moveTo(run.offset, run.length)) < run.length) return nothing;
  const bytes = window.bytes.slice(0, run.length);
  // What is too short for a frame may be the rest of one that others have overwritten.
  let isComplete = run.length >= SMALLEST_FRAME_BYTES || isBatchHead(bytes);
  let versionBefore = run.versionBefore;
  const mended = await mendBatch(run, bytes);
  if (mended?.request !== undefined) requests.push(mended.request);
  let at = mended === undefined ? 0 : Math.min(mended.framesStart, bytes.length);
  while (bytes.length - at >= SMALLEST_FRAME_BYTES) {
    const offset = run.offset + at;
    const length = claimedLength(bytes, at);
    const requestId = requestIdAt(bytes, at);
    if (requestId !== undefined) requests.push({ requestId, offset, length });
    const member = firstMemberAt(bytes, at);
    if (member !== undefined) {
      at = member;
      continue;
    }
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
  return { lost: lostFrames, requests, isComplete };
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
 * The batch at the start of a run, if one flipped bit is all that is wrong with it: where
 * its members start in the run, and its request. `start` is the run's own bytes.
 */
async function mendBatch(
  run: DamagedRun,
  start: Uint8Array,
): Promise<{ framesStart: number; request: LoadedRequest | undefined } | undefined> {
  const { file, name } = run.segment;
  if (file === undefined || start.length <= FRAME_HEADER_BYTES) return undefined;
  const { payloadBytes, flags } = readFrameHeader(
    new DataView(start.buffer, start.byteOffset, start.byteLength),
    0,
  );
  const length = FRAME_HEADER_BYTES + payloadBytes;
  const looksLikeBatch = (flags & FrameFlag.BATCH) !== 0 || requestIdAt(start, 0) !== undefined;
  if (!looksLikeBatch || length > BIT_FLIP_FRAME_BYTES_MAX) return undefined;
  // What the damaged header claims is held against the file before it is believed (R6).
  if (run.offset + length > (await file.size())) return undefined;
  const window = new ByteWindow(file, run.offset + length, run.refusesHoles);
  if ((await window.moveTo(run.offset, length)) < length) return undefined;
  const frame = window.bytes.slice(0, length);
  const bit = findFlippedBit(frame, name.salt);
  if (bit === undefined) return undefined;
  frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7));
  const header = readFrameHeader(new DataView(frame.buffer), 0);
  if ((header.flags & FrameFlag.BATCH) === 0) return undefined;
  const batch = parseBatch(frame, FRAME_HEADER_BYTES, length);
  if (batch === undefined) return undefined;
  const { requestId, framesStart } = batch;
  const request = { requestId: requestId.slice(), offset: run.offset, length };
  return { framesStart, request: requestId.length === 0 ? undefined : request };
}

/** The id in the head of a batch at `at`, if id and digest lie there as a batch has them. */
function requestIdAt(bytes: Uint8Array, at: number): Uint8Array | undefined {
  const tag = at + FRAME_HEADER_BYTES;
  const length = bytes[tag + 1] ?? 0;
  const isId = length >= REQUEST_ID_BYTES_MIN && length <= REQUEST_ID_BYTES_MAX;
  const start = tag + 2;
  const end = start + length;
  if (bytes[tag] !== BATCH_REQUEST_ID_TAG || !isId) return undefined;
  const hasDigest = bytes[end] === BATCH_DIGEST_TAG && bytes[end + 1] === REQUEST_DIGEST_BYTES;
  return hasDigest ? bytes.slice(start, end) : undefined;
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
