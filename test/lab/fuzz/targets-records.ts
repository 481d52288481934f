/** Decoders of what lies in a segment: records, batches, frames. */
import { fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BatchSchema, RecordSchema } from "../../../gen/kvix/v1/kvix_pb.js";
import { KEY_BYTES_MAX, VERSION_MAX } from "../../../src/base/limits.js";
import { visitFrame } from "../../../src/engine/frame-loader.js";
import { batchHeadBytes, encodeBatchHead, parseBatch } from "../../../src/format/batch.js";
import {
  FRAME_HEADER_BYTES,
  FrameFlag,
  isPlausibleHeader,
  readFrame,
  sealFrame,
} from "../../../src/format/frame.js";
import {
  encodeRecord,
  newRecordFields,
  parseRecord,
  recordBytes,
} from "../../../src/format/record.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";
import {
  sampleSalt,
  sampleSegmentId,
  sampleStoreId,
  sampleTimestampNs,
} from "../../format/frames.js";
import { areSame, type FuzzTarget, requireThat, surrounded } from "./fuzz-target.js";
import { goldenBytes, goldenNames } from "./golden-seeds.js";

const fields = newRecordFields();
const others = newRecordFields();

/** A record or not; what is one is written again, byte for byte, and read by the protobuf library. */
export const recordTarget: FuzzTarget = {
  name: "record",
  sentence:
    "a record's payload: the same whatever lies around it; accepted is canonical, also to the protobuf library, and the other way round",
  lengthMax: 400,
  executions: 80_000,
  seeds: () => goldenFramesOf("batch", false).map((frame) => frame.subarray(FRAME_HEADER_BYTES)),
  execute(bytes) {
    const { at, copies } = surrounded(bytes);
    const end = at + bytes.length;
    const isRecord = parseRecord(copies[0], at, end, fields);
    const isAgain = parseRecord(copies[1], at, end, others);
    requireThat(isRecord === isAgain, "the bytes around a record decide");
    if (!isRecord) {
      // Costly where it throws, so not of every input.
      if (bytes.length % 8 === 0)
        requireThat(!isCanonicalRecord(bytes), "a canonical record is refused");
      return undefined;
    }
    const { keyStart, keyEnd, valueStart, valueEnd, version, updatedAtMs, expiresAtMs } = fields;
    const [source] = copies;
    const key = source.subarray(keyStart, keyEnd);
    const value = source.subarray(valueStart, valueEnd);
    const length = recordBytes(key.length, value.length, version, updatedAtMs, expiresAtMs);
    requireThat(length === bytes.length, "an accepted record has another length when written");
    const written = new Uint8Array(length);
    encodeRecord(written, 0, key, value, version, updatedAtMs, expiresAtMs);
    requireThat(areSame(written, bytes), "an accepted record is written otherwise");
    requireThat(
      isCanonicalRecord(bytes),
      "the protobuf library writes an accepted record otherwise",
    );
    return undefined;
  },
};

/** Whether the protobuf library reads the bytes, writes the same, and they keep the rules of a record. */
function isCanonicalRecord(bytes: Uint8Array): boolean {
  let record: MessageShape<typeof RecordSchema>;
  try {
    record = fromBinary(RecordSchema, bytes);
  } catch {
    return false;
  }
  const { key, version, updateTime, expireTime, $unknown } = record;
  if ($unknown !== undefined && $unknown.length > 0) return false;
  if (key.length < 1 || key.length > KEY_BYTES_MAX) return false;
  if (version < 1n || version > BigInt(VERSION_MAX)) return false;
  if (updateTime === undefined || !isWholeMs(updateTime)) return false;
  if (expireTime !== undefined && (!isWholeMs(expireTime) || isZero(expireTime))) return false;
  return areSame(toBinary(RecordSchema, record), bytes);
}

interface Time {
  readonly seconds: bigint;
  readonly nanos: number;
  readonly $unknown?: readonly unknown[] | undefined;
}

function isWholeMs({ seconds, nanos, $unknown = [] }: Time): boolean {
  const isInRange = seconds >= 0n && seconds <= 253_402_300_799n && nanos >= 0 && nanos < 1e9;
  return isInRange && nanos % 1_000_000 === 0 && $unknown.length === 0;
}

const isZero = ({ seconds, nanos }: Time): boolean => seconds === 0n && nanos === 0;

/** The head of a batch. */
export const batchTarget: FuzzTarget = {
  name: "batch",
  sentence:
    "a batch's payload: the same whatever lies around it; accepted is canonical, also to the protobuf library",
  lengthMax: 400,
  executions: 80_000,
  seeds: () => goldenFramesOf("batch", true).map((frame) => frame.subarray(FRAME_HEADER_BYTES)),
  execute(bytes) {
    const { at, copies } = surrounded(bytes);
    const batch = parseBatch(copies[0], at, at + bytes.length);
    const again = parseBatch(copies[1], at, at + bytes.length);
    requireThat((batch === undefined) === (again === undefined), "the bytes around a batch decide");
    if (batch === undefined) return undefined;
    const { requestId, requestHash, result, framesStart, framesEnd } = batch;
    const framesBytes = framesEnd - framesStart;
    const headBytes = batchHeadBytes(requestId, requestHash, result, framesBytes);
    const head = new Uint8Array(headBytes);
    encodeBatchHead(head, 0, requestId, requestHash, result, framesBytes);
    requireThat(areSame(head, bytes.subarray(0, headBytes)), "a batch is written otherwise");
    const library = fromBinary(BatchSchema, bytes);
    requireThat(areSame(toBinary(BatchSchema, library), bytes), "the library writes it otherwise");
    return undefined;
  },
};

/** A segment that exists only as its name, for the walks of frames. */
export function sampleSegment(): Segment {
  const directories = { data: "/store", segments: "/store/segments" };
  const name = new SegmentName(
    directories,
    sampleStoreId,
    "segment",
    sampleSegmentId,
    sampleTimestampNs,
  );
  return new Segment(name, undefined, true, true);
}

const segment = sampleSegment();

/** A run of frames. */
export const frameTarget: FuzzTarget = {
  name: "frame",
  sentence:
    "a run of frames: every place is a frame, unfinished, bad or unknown; a frame and its members lie inside, and each is found by itself",
  lengthMax: 800,
  executions: 40_000,
  seeds: () => runsOfFrames(),
  seal: sealFrames,
  execute(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; ) {
      const frame = readFrame(bytes, view, at, bytes.length, sampleSalt);
      if (frame.kind !== "frame") {
        at += 1;
        continue;
      }
      const end = at + frame.frameBytes;
      requireThat(end <= bytes.length && frame.payloadEnd === end, "a frame ends past its bytes");
      const cut = readFrame(bytes, view, at, end - 1, sampleSalt);
      requireThat(cut.kind === "short", "a frame is read past the end that it was given");
      const left = bytes.length - at;
      requireThat(isPlausibleHeader(view, at, left), "a search would pass over a sound frame");
      visitFrame({ bytes, view, at, offset: at, frame }, segment, {
        entry: ({ offset, length, keyStart, keyEnd, flags }) => {
          requireThat(offset >= at && offset + length <= end, "a record lies outside its frame");
          requireThat(keyStart > offset && keyEnd <= offset + length, "a key lies outside");
          const own = readFrame(bytes, view, offset, offset + length, sampleSalt);
          requireThat(own.kind === "frame", "a record is no frame of its own");
          if ((flags & FrameFlag.TOMBSTONE) === 0) return;
          parseRecord(bytes, own.payloadStart, own.payloadEnd, fields);
          const isBare = fields.valueStart === fields.valueEnd && fields.expiresAtMs === 0;
          requireThat(isBare, "a tombstone has a value or an expiry");
        },
      });
      at = end;
    }
    return undefined;
  },
};

/** Makes every checksum right that a plausible header asks for, members before their batch. */
export function sealFrames(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  sealBetween(bytes, view, 0, bytes.length);
}

function sealBetween(bytes: Uint8Array, view: DataView, from: number, to: number): void {
  for (let at = from; at + FRAME_HEADER_BYTES < to; ) {
    const frameBytes = FRAME_HEADER_BYTES + view.getUint32(at + 4, true);
    if (frameBytes <= FRAME_HEADER_BYTES || at + frameBytes > to) return;
    const flags = view.getUint8(at + 8);
    if ((flags & FrameFlag.BATCH) !== 0 && from === 0) {
      const batch = parseBatch(bytes, at + FRAME_HEADER_BYTES, at + frameBytes);
      if (batch !== undefined) sealBetween(bytes, view, batch.framesStart, batch.framesEnd);
    }
    sealFrame(bytes, view, at, frameBytes, sampleSalt, (flags & FrameFlag.BARRIER) !== 0);
    at += frameBytes;
  }
}

function goldenFramesOf(word: string, isWanted: boolean): Uint8Array[] {
  return goldenNames
    .filter((name) => name.startsWith("frame") && name.includes(word) === isWanted)
    .map(goldenBytes);
}

/** Golden frames one after the other, in a few orders. */
export function runsOfFrames(): Uint8Array[] {
  const frames = goldenNames.filter((name) => name.startsWith("frame")).map(goldenBytes);
  const runs = [frames, frames.toReversed(), frames.slice(0, 3), frames.slice(-3)];
  return runs.map((run) => new Uint8Array(Buffer.concat(run)));
}
