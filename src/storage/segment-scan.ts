/**
 * Reading a segment from one end to the other, and finding the way again
 * behind damage.
 *
 * A scan stops at the first byte that does not start a sound frame and says
 * why; what that means (a torn tail, or rot) is the caller's to judge. The
 * search for the next sound frame is bounded in the bytes it checksums, so
 * that no arrangement of bytes makes an open take for ever (V11).
 */
import { crc32 } from "../format/checksum.js";
import {
  FRAME_HEADER_BYTES,
  FrameFlag,
  type FrameVerdict,
  isPlausibleHeader,
  readFrame,
} from "../format/frame.js";
import type { File } from "../host/file-system.js";
import { ByteWindow } from "./byte-window.js";

/** A sound frame in a window: `at` is its place in `bytes`, `offset` its place in the segment. */
export interface ScannedFrame {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
  readonly offset: number;
  readonly frame: Extract<FrameVerdict, { kind: "frame" }>;
}

/** Where a scan stopped, and at what. */
export interface ScanStop {
  readonly kind: "end" | "damage" | "unknown";
  readonly offset: number;
}

/** What a scan reads. */
export interface ScanRange {
  readonly file: File;
  readonly salt: number;
  readonly from: number;
  /** Bytes from here on do not count. */
  readonly to: number;
  /** Whether bytes that the disk cannot read end it with the disk's error; else they are damage. */
  readonly refusesHoles?: boolean;
}

/**
 * Visits the sound frames of a range in order until the end, or until a byte
 * that starts none, or until `visit` answers false. `window`: one over the same file
 * and up to the same end, for who goes on where the last scan has stopped.
 */
export async function scanFrames(
  range: ScanRange,
  visit: (scanned: ScannedFrame) => boolean,
  window = new ByteWindow(range.file, range.to, range.refusesHoles),
): Promise<ScanStop> {
  let offset = range.from;
  let need = FRAME_HEADER_BYTES;
  while (offset < range.to) {
    const held = await window.moveTo(offset, need);
    if (held === 0) return { kind: "damage", offset };
    // The file ends before the range does: what is cut off there will never come.
    const isAll = window.isAtLimit || held < Math.min(need, range.to - offset);
    let at = offset - window.start;
    const end = window.bytes.length;
    for (;;) {
      const frame = readFrame(window.bytes, window.view, at, end, range.salt);
      offset = window.start + at;
      if (frame.kind === "frame") {
        const goesOn = visit({ bytes: window.bytes, view: window.view, at, offset, frame });
        at += frame.frameBytes;
        offset += frame.frameBytes;
        need = FRAME_HEADER_BYTES;
        if (goesOn === false) return { kind: "end", offset };
        continue;
      }
      if (frame.kind === "end") break;
      if (frame.kind === "short" && !isAll) {
        const claimed = frame.frameBytes ?? FRAME_HEADER_BYTES;
        if (offset + claimed > range.to) return { kind: "damage", offset };
        if (claimed > end - at) {
          need = claimed;
          break;
        }
      }
      return { kind: frame.kind === "unknown" ? "unknown" : "damage", offset };
    }
  }
  return { kind: "end", offset };
}

/** The outcome of a search: a sound frame, none, or too many false starts to go on. */
export type Resync = { kind: "frame"; offset: number } | { kind: "none" } | { kind: "gave-up" };

/** How many bytes a search may checksum for every byte it covers, and at least. */
const RESYNC_EFFORT = 8;
const RESYNC_BYTES_MIN = 256 * 1024 * 1024;

/** The first sound frame that starts at or after `range.from`. */
export async function findFrame(range: ScanRange): Promise<Resync> {
  let effort = RESYNC_BYTES_MIN + RESYNC_EFFORT * (range.to - range.from);
  const window = new ByteWindow(range.file, range.to, range.refusesHoles);
  const large = new ByteWindow(range.file, range.to, range.refusesHoles);
  let offset = range.from;
  while (range.to - offset > FRAME_HEADER_BYTES) {
    const held = await window.moveTo(offset, FRAME_HEADER_BYTES + RECORD_START_BYTES);
    if (held <= FRAME_HEADER_BYTES) break;
    const last = window.isAtLimit ? held : held - RECORD_START_BYTES;
    const base = offset - window.start;
    for (let step = 0; step + FRAME_HEADER_BYTES < last; step += 1) {
      const at = base + step;
      if (!looksLikeFrame(window, at, range.to - (window.start + at))) continue;
      const frameBytes = FRAME_HEADER_BYTES + window.view.getUint32(at + 4, true);
      effort -= frameBytes;
      if (effort < 0) return { kind: "gave-up" };
      const position = window.start + at;
      if (await isSound(large, position, frameBytes, range.salt)) {
        return { kind: "frame", offset: position };
      }
    }
    offset += Math.max(last - FRAME_HEADER_BYTES, 1);
  }
  return { kind: "none" };
}

/** A tag and the longest length of a key: what must be seen of a payload to judge its start. */
const RECORD_START_BYTES = 32;

/** Whether a header and the first bytes of the payload could be ours; cheap, and rarely wrong. */
function looksLikeFrame(window: ByteWindow, at: number, remaining: number): boolean {
  if (!isPlausibleHeader(window.view, at, remaining)) return false;
  const payload = at + FRAME_HEADER_BYTES;
  const tag = window.bytes[payload];
  const isBatch = ((window.bytes[at + 8] as number) & FrameFlag.BATCH) !== 0;
  return isBatch ? tag === 0x0a || tag === 0x12 || tag === 0x1a || tag === 0x22 : tag === 0x0a;
}

async function isSound(
  window: ByteWindow,
  offset: number,
  frameBytes: number,
  salt: number,
): Promise<boolean> {
  const held = await window.moveTo(offset, frameBytes);
  if (held < frameBytes) return false;
  const at = offset - window.start;
  return readFrame(window.bytes, window.view, at, at + frameBytes, salt).kind === "frame";
}

/** CRC-32 of the bytes of a file before `length`. */
export async function checksumOf(file: File, length: number): Promise<number> {
  const window = new ByteWindow(file, length);
  let checksum = 0;
  for (let offset = 0; offset < length; offset = window.end) {
    if ((await window.moveTo(offset, 1)) === 0) break;
    checksum = crc32(window.bytes, checksum);
  }
  return checksum;
}
