/**
 * From frames of the log to changes: what one write did to one key, and which of
 * them happened at once.
 */
import { FRAME_HEADER_BYTES, FrameFlag, readFrame } from "../format/frame.js";
import type { Segment } from "../storage/segment.js";
import { type FrameEntry, visitFrame } from "./frame-loader.js";

/** How many frames one run decodes, so that others get their turn. */
const RUN_FRAMES_MAX = 4096;

/** One change of one key. Its bytes are slices of one read. */
export interface LogEvent {
  /** "expire": the record's time was up, and it was removed. */
  readonly kind: "set" | "delete" | "expire";
  readonly key: Uint8Array;
  readonly version: number;
  /** The encoded `Record` as it lies on disk; one without a value unless it is a "set". */
  readonly payload: Uint8Array;
  /** When it was accepted, in Unix milliseconds. */
  readonly acceptedAtMs: number;
  /** Of a "set", in Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
}

/** Changes that happened at once, in version order: one, or those of a batch. */
export type LogChange = readonly LogEvent[];

/** What is wanted of a run of frames. */
export interface RunInput {
  readonly segment: Segment;
  readonly bytes: Uint8Array;
  /** Where the bytes lie in the segment. */
  readonly offset: number;
  /** Changes up to this version are passed over. */
  readonly afterVersion: number;
  /** A frame with a newer version ends the run. */
  readonly lastVersion: number;
  /** The run ends before the frame that would make it longer, unless it is the first. */
  readonly bytesMax: number;
}

/** What a run of frames gives. */
export interface Run {
  readonly changes: readonly LogChange[];
  /** Bytes of the frames that were decoded. */
  readonly length: number;
  /** The newest version in them; 0: none. */
  readonly newestVersion: number;
  /**
   * "limit": a newer version follows. "enough": `bytesMax`, or 4,096 frames.
   * "short": the next frame takes `needBytes`. "end": the bytes do. "damage": no
   * frame follows.
   */
  readonly stop: "limit" | "enough" | "short" | "end" | "damage";
  readonly needBytes: number;
}

/** Decodes frames until something ends the run. */
export function decodeRun(input: RunInput): Run {
  const { segment, bytes, offset, afterVersion, lastVersion, bytesMax } = input;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const changes: LogChange[] = [];
  let newestVersion = 0;
  let at = 0;
  let wantedBytes = 0;
  const end = (stop: Run["stop"], needBytes = 0): Run => {
    return { changes, length: at, newestVersion, stop, needBytes };
  };
  for (let frames = 0; frames < RUN_FRAMES_MAX; frames += 1) {
    const frame = readFrame(bytes, view, at, bytes.length, segment.name.salt);
    if (frame.kind === "end") return end("end");
    if (frame.kind === "short") return end("short", frame.frameBytes ?? FRAME_HEADER_BYTES);
    if (frame.kind !== "frame") return end("damage");
    const events: LogEvent[] = [];
    let newest = 0;
    const scanned = { bytes, view, at, offset: offset + at, frame };
    const isOurs = visitFrame(scanned, segment, {
      entry: (entry) => {
        newest = Math.max(newest, entry.version);
        if (entry.version > afterVersion) events.push(eventOf(entry, entry.offset - offset));
      },
    });
    if (!isOurs) return end("damage");
    if (newest > lastVersion) return end("limit");
    const isWanted = events.length > 0;
    if (isWanted && changes.length > 0 && wantedBytes + frame.frameBytes > bytesMax) break;
    newestVersion = Math.max(newestVersion, newest);
    at += frame.frameBytes;
    if (!isWanted) continue;
    changes.push(events);
    wantedBytes += frame.frameBytes;
    if (wantedBytes >= bytesMax) break;
  }
  return end("enough");
}

/** `at` is where the frame of the entry starts in its bytes. */
function eventOf(entry: FrameEntry, at: number): LogEvent {
  const { bytes, keyStart, keyEnd, length, version, flags, timestampMs, expiresAtMs } = entry;
  const isExpired = (flags & FrameFlag.EXPIRED) !== 0;
  const isTombstone = (flags & FrameFlag.TOMBSTONE) !== 0;
  return {
    kind: isExpired ? "expire" : isTombstone ? "delete" : "set",
    key: bytes.subarray(keyStart, keyEnd),
    version,
    payload: bytes.subarray(at + FRAME_HEADER_BYTES, at + length),
    acceptedAtMs: timestampMs,
    expiresAtMs,
  };
}
