/**
 * What damaged bytes still tell. Between two sound frames lies a run of bytes
 * that start none; frames were there once. For each of them we ask which key it
 * was, so that a read of that key says DATA_LOSS and never an older value (V13):
 *
 *  1. Exactly one bit was flipped: the checksum's syndrome names the bit, and
 *     with it the key is certain.
 *  2. More is broken, but header and payload still fit together exactly and the
 *     version lies between its neighbours': the key is as good as certain.
 *  3. Else the keys of that run are unknown, and the store says so.
 */
import { findFlippedBit } from "../format/bit-flip.js";
import { FRAME_HEADER_BYTES, FrameFlag, readFrameHeader } from "../format/frame.js";
import { newRecordFields, parseRecord, type RecordFields } from "../format/record.js";
import type { Segment } from "../storage/segment.js";
import type { IndexLoader } from "./index-loader.js";

/** A damaged run is looked into up to this size; a larger one is unknown as a whole. */
const SALVAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Damaged bytes, and the versions of the sound frames before and after them. */
export interface DamagedRun {
  readonly segment: Segment;
  readonly offset: number;
  readonly length: number;
  readonly versionBefore: number;
  readonly versionAfter: number;
}

/** A frame that cannot be read, though its key is known. */
interface LostFrame {
  readonly bytes: Uint8Array;
  readonly fields: RecordFields;
  /** Whether the flipped bit was found, so that every field is known. */
  readonly isCertain: boolean;
}

/**
 * Loads an entry for every frame of the run whose key is known; reads of these
 * fail their checksum. Answers whether every key of the run is known.
 */
export async function salvageRun(run: DamagedRun, loader: IndexLoader): Promise<boolean> {
  const { segment } = run;
  if (segment.file === undefined || run.length > SALVAGE_BYTES_MAX) return false;
  const bytes = new Uint8Array(run.length);
  if ((await segment.file.read(bytes, run.offset)) < run.length) return false;
  let isComplete = true;
  let versionBefore = run.versionBefore;
  let at = 0;
  while (at < bytes.length) {
    const length = claimedLength(bytes, at);
    const lost = identify(bytes.slice(at, at + length), segment.name.salt, versionBefore, run);
    if (lost === "only-a-batch-head") {
      at += length;
      continue;
    }
    if (lost === undefined) {
      isComplete = false;
    } else {
      versionBefore = lost.fields.version;
      loader.load(segment, {
        source: lost.bytes,
        keyStart: lost.fields.keyStart,
        keyEnd: lost.fields.keyEnd,
        offset: run.offset + at,
        length,
        version: lost.fields.version,
        expiresAtMs: lost.isCertain ? lost.fields.expiresAtMs : 0,
        // A lost tombstone is DATA_LOSS as well: what it deleted must not come back as a value.
        isTombstone: false,
      });
    }
    at += length;
  }
  return isComplete;
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
  salt: number,
  versionBefore: number,
  run: DamagedRun,
): LostFrame | "only-a-batch-head" | undefined {
  if (frame.length <= FRAME_HEADER_BYTES) return undefined;
  const bit = findFlippedBit(frame, salt);
  if (bit !== undefined) {
    const byte = bit >> 3;
    frame[byte] = (frame[byte] as number) ^ (1 << (bit & 7));
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const header = readFrameHeader(view, 0);
  const isBatch = (header.flags & FrameFlag.BATCH) !== 0;
  if (isBatch && header.payloadBytes > frame.length - FRAME_HEADER_BYTES) {
    // The members were found behind it, sound, by the search for the next frame.
    return "only-a-batch-head";
  }
  const fields = newRecordFields();
  if (!parseRecord(frame, FRAME_HEADER_BYTES, frame.length, fields)) return undefined;
  const fits = fields.version > versionBefore && fields.version < run.versionAfter;
  if (bit === undefined && (!fits || header.payloadBytes !== frame.length - FRAME_HEADER_BYTES)) {
    return undefined;
  }
  return { bytes: frame, fields, isCertain: bit !== undefined };
}
