/** From sound frames to index entries: values, tombstones, and the members of a batch. */

import { parseBatch } from "../format/batch.js";
import { FrameFlag, readFrame } from "../format/frame.js";
import { newRecordFields, parseRecord } from "../format/record.js";
import type { Segment } from "../storage/segment.js";
import type { ScannedFrame } from "../storage/segment-scan.js";

/** A record of a segment, with its key as a slice of `bytes`. Reused: copy what is kept. */
export interface FrameEntry {
  bytes: Uint8Array;
  keyStart: number;
  keyEnd: number;
  offset: number;
  length: number;
  version: number;
  expiresAtMs: number;
  flags: number;
  timestampMs: number;
}

/** A batch that carries a request_id. */
export interface FrameRequest {
  readonly requestId: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** What becomes of the entries of a frame. */
export interface FrameSink {
  entry(entry: FrameEntry): void;
  request?(request: FrameRequest): void;
}

/** A batch holds no batch, and nothing is known to be synced in the middle of one. */
const NOT_IN_A_BATCH = FrameFlag.BATCH | FrameFlag.BARRIER;

const fields = newRecordFields();
const entry: FrameEntry = {
  bytes: new Uint8Array(0),
  keyStart: 0,
  keyEnd: 0,
  offset: 0,
  length: 0,
  version: 0,
  expiresAtMs: 0,
  flags: 0,
  timestampMs: 0,
};

/**
 * Hands the records of a sound frame to `sink`. False: the checksum is right
 * but the payload is not one that this kvix writes, and the segment is refused. Members of a batch that are damaged themselves cannot occur here:
 * the checksum of the batch covers them.
 */
export function visitFrame(scanned: ScannedFrame, segment: Segment, sink: FrameSink): boolean {
  const { bytes, view, at, offset, frame } = scanned;
  if ((frame.flags & FrameFlag.BATCH) === 0) {
    return visitRecord(scanned, sink);
  }
  const batch = parseBatch(bytes, frame.payloadStart, frame.payloadEnd);
  if (batch === undefined) return false;
  let member = batch.framesStart;
  while (member < batch.framesEnd) {
    const verdict = readFrame(bytes, view, member, batch.framesEnd, segment.name.salt);
    if (verdict.kind !== "frame" || (verdict.flags & NOT_IN_A_BATCH) !== 0) return false;
    const inner = { bytes, view, at: member, offset: offset + member - at, frame: verdict };
    if (!visitRecord(inner, sink)) return false;
    member += verdict.frameBytes;
  }
  if (batch.requestId.length > 0) {
    sink.request?.({ requestId: batch.requestId.slice(), offset, length: frame.frameBytes });
  }
  return true;
}

function visitRecord(scanned: ScannedFrame, sink: FrameSink): boolean {
  const { bytes, frame } = scanned;
  if (!parseRecord(bytes, frame.payloadStart, frame.payloadEnd, fields)) return false;
  const isTombstone = (frame.flags & FrameFlag.TOMBSTONE) !== 0;
  const isBare = fields.valueStart === fields.valueEnd && fields.expiresAtMs === 0;
  if (isTombstone && !isBare) return false;
  entry.bytes = bytes;
  entry.keyStart = fields.keyStart;
  entry.keyEnd = fields.keyEnd;
  entry.offset = scanned.offset;
  entry.length = frame.frameBytes;
  entry.version = fields.version;
  entry.expiresAtMs = fields.expiresAtMs;
  entry.flags = frame.flags;
  entry.timestampMs = frame.timestampMs;
  sink.entry(entry);
  return true;
}
