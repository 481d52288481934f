/**
 * What a damaged image still has, told from its bytes alone and without the
 * engine: which records are hit, and where a torn tail is cut.
 *
 *     frames of the sound store  x  bytes of the damaged one  ->  hit | whole | torn
 *
 * The rules are those of docs/format.md, "What damage means", followed in the
 * plainest way: at every byte it is asked whether a sound frame starts there.
 */
import { type Segment as ListedSegment, SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import { FRAME_HEADER_BYTES, FrameFlag, readFrame } from "../../../src/format/frame.js";
import { segmentFileName } from "../../../src/format/segment-name.js";
import {
  fileOf,
  manifestOf,
  type PlacedFrame,
  type PlacedRecord,
  type StoreImage,
  saltOf,
  segmentPathOf,
} from "../../support/store-image.js";
import type { KeyState } from "../../support/store-life.js";
import type { RotStore } from "./rot-store.js";

/** A record and what became of it. */
export interface SightedRecord extends PlacedRecord {
  readonly listed: ListedSegment;
  /** Its bytes are not what they were. */
  readonly isHit: boolean;
  /** Nor is its file there, so nobody can say which of its bytes are gone. */
  readonly isFileGone: boolean;
}

/** A frame whose bytes are not what they were. */
export interface HitFrame {
  readonly listed: ListedSegment;
  readonly frame: PlacedFrame;
  /** A record of it lies elsewhere in the file, where pages were swapped: sound, if not at its place. */
  readonly isMoved: boolean;
}

/** What an image still has. */
export interface Sight {
  /** Newest first, by key; those of a torn tail are left out. */
  readonly records: ReadonlyMap<string, readonly SightedRecord[]>;
  /** By key, those of a torn tail that lie in front of it now, where pages were swapped. */
  readonly ahead: ReadonlyMap<string, readonly PlacedRecord[]>;
  readonly hits: readonly HitFrame[];
  /** Bytes of the active segment from here on count as never written; undefined: none. */
  readonly tornFrom: number | undefined;
}

/** Looks at a store whose files are now those of `image`; its manifest is what it was. */
export function sightOf(store: RotStore, image: StoreImage): Sight {
  const records = new Map<string, SightedRecord[]>();
  const ahead = new Map<string, PlacedRecord[]>();
  const hits: HitFrame[] = [];
  let tornFrom: number | undefined;
  for (const listed of store.live) {
    const path = segmentPathOf(listed);
    const before = fileOf(store.image, path);
    const now = image.get(path) ?? new Uint8Array(0);
    const isWhole = ({ offset, length }: { offset: number; length: number }): boolean =>
      now.length >= offset + length &&
      Buffer.compare(
        before.subarray(offset, offset + length),
        now.subarray(offset, offset + length),
      ) === 0;
    const bytesOf = ({ offset, length }: PlacedRecord): Buffer =>
      Buffer.from(before.subarray(offset, offset + length));
    // A member of a batch is a frame of its own.
    const isElsewhere = ({ records }: PlacedFrame): boolean =>
      records.some((record) => !isWhole(record) && Buffer.from(now).includes(bytesOf(record)));
    const isActive = listed.state === SegmentState.ACTIVE;
    // Where the file is gone, so is the knowledge of what a crash may have torn.
    if (isActive && image.has(path)) tornFrom = tornAt(store, listed, now);
    for (const frame of store.frames.get(listed) ?? []) {
      // One that only reaches into the tail was hit in front of it, where pages were swapped.
      if (isActive && tornFrom !== undefined && frame.offset >= tornFrom) {
        const front = Buffer.from(now.subarray(0, tornFrom));
        for (const record of frame.records) {
          if (!front.includes(bytesOf(record))) continue;
          ahead.set(record.key, [...(ahead.get(record.key) ?? []), record]);
        }
        continue;
      }
      if (!isWhole(frame)) hits.push({ listed, frame, isMoved: isElsewhere(frame) });
      for (const record of frame.records) {
        const isFileGone = !image.has(path);
        const sighted = { ...record, listed, isHit: !isWhole(record), isFileGone };
        records.set(record.key, [...(records.get(record.key) ?? []), sighted]);
      }
    }
  }
  for (const each of records.values()) each.sort((one, other) => other.version - one.version);
  return { records, ahead, hits, tornFrom };
}

/** What a read says of a record that is whole. */
export function stateOfRecord(record: PlacedRecord | undefined, nowMs: number): KeyState {
  if (record === undefined || record.isTombstone) return "(absent)";
  const isExpired = record.expiresAtMs !== 0 && record.expiresAtMs <= nowMs;
  return isExpired ? "(absent)" : record.value;
}

/** The name that damage is told under. */
export const fileNameOf = ({ prefix, id, timestamp }: ListedSegment): string =>
  segmentFileName(prefix, id, timestamp);

/** Where the torn tail of the active segment begins; undefined: it has none. */
function tornAt(store: RotStore, listed: ListedSegment, bytes: Uint8Array): number | undefined {
  const salt = saltOf(store.image, listed);
  const synced = Number(manifestOf(store.image).clean?.syncedLength ?? 0n);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const soundAt = (at: number) => {
    const frame = readFrame(bytes, view, at, bytes.length, salt);
    if (frame.kind === "frame") return frame;
    if (frame.kind !== "unknown") return undefined;
    // Of a later kvix: no tail that was torn.
    const frameBytes = FRAME_HEADER_BYTES + view.getUint32(at + 4, true);
    return { flags: frame.flags, frameBytes };
  };
  const nextFrom = (from: number, isBarrier: boolean): number | undefined => {
    for (let at = from; at < bytes.length; at += 1) {
      const frame = soundAt(at);
      if (frame === undefined) continue;
      if (!isBarrier || (frame.flags & FrameFlag.BARRIER) !== 0) return at;
    }
    return undefined;
  };
  for (let at = 0; at < bytes.length; ) {
    const frame = soundAt(at);
    if (frame !== undefined) {
      at += frame.frameBytes;
      continue;
    }
    const next = nextFrom(at + 1, false);
    if (at < synced) at = next !== undefined && next < synced ? next : synced;
    else if (next !== undefined && nextFrom(next, true) !== undefined) at = next;
    else return at;
  }
  // Cut to the end of a frame: what came behind it cannot be told from what never was.
  return bytes.length >= synced ? bytes.length : undefined;
}
