/**
 * One segment of an open store: its names, its file, and its share of live
 * bytes. The active segment is appended to by the log; a sealed one never
 * changes (V3).
 */
import { segmentSalt } from "../format/frame.js";
import { hintFileName, segmentFileName } from "../format/segment-name.js";
import type { File } from "../host/file-system.js";
import { type StoreDirectories, segmentPath } from "./layout.js";

/** What names a segment for ever, and where its files are. */
export class SegmentName {
  readonly id: number;
  /** Unix nanoseconds; strictly greater than those of all older segments. */
  readonly timestampNs: bigint;
  readonly prefix: string;
  readonly fileName: string;
  readonly hintName: string;
  readonly path: string;
  readonly hintPath: string;
  /** What the checksum of every frame in it starts from. */
  readonly salt: number;

  constructor(
    directories: StoreDirectories,
    storeId: Uint8Array,
    prefix: string,
    id: number,
    timestampNs: bigint,
  ) {
    this.id = id;
    this.timestampNs = timestampNs;
    this.prefix = prefix;
    this.fileName = segmentFileName(prefix, id, timestampNs);
    this.hintName = hintFileName(prefix, id, timestampNs);
    this.path = segmentPath(directories, this.fileName);
    this.hintPath = segmentPath(directories, this.hintName);
    this.salt = segmentSalt(storeId, id, timestampNs);
  }
}

/**
 * What a compaction has found in a segment so far. Whatever was live when it was
 * judged either lives still or has died since, so before the segment goes
 * liveBytes = keptBytes - diedBytes must hold: then no live record is left behind.
 */
export interface Judgement {
  /** Frames that start below this were judged. */
  upTo: number;
  /** Bytes of frames that lived when they were judged. */
  keptBytes: number;
  /** Bytes of those that died since. */
  diedBytes: number;
}

/** A segment that the index may point into. */
export class Segment {
  readonly name: SegmentName;
  /** Opened when it is read. Undefined if it is missing: every read of it is DATA_LOSS. */
  readonly file: File | undefined;
  isSealed: boolean;
  /** Whether its frames lie as they were written; those of a compaction's output do not. */
  readonly isLog: boolean;
  /** Bytes in it; of the active one, bytes written. */
  length: number;
  /** CRC-32 of those bytes. */
  checksum: number;
  /** Bytes of frames that the index points at. */
  liveBytes = 0;
  /**
   * Bytes of tombstone frames. Those that a later write of the same key in this
   * segment has superseded may count or not: a hint does not list them. So it is
   * never less than the bytes of those that may still hide something.
   */
  tombstoneBytes = 0;
  /** The highest version of the tombstones counted; 0: there are none. */
  highestTombstone = 0;
  lowestVersion = 0;
  highestVersion = 0;
  /** How many batches with a request_id it has; one that was cut off again may count. */
  requests = 0;
  /** When its newest frame was accepted, in Unix milliseconds; 0: it has none. */
  newestTimestampMs = 0;
  /**
   * When it was last appended to, by the monotonic clock; before that clock began, it is
   * negative. Undefined: it was not in this life, and the wall clock cannot say either.
   */
  appendedMs: number | undefined;
  /** A compaction has replaced it: no part of the store, though readers may still be in it. */
  isRemoved = false;
  /** How far a compaction has judged its records; undefined: none is reading it. */
  judgement: Judgement | undefined;

  constructor(name: SegmentName, file: File | undefined, isSealed: boolean, isLog = true) {
    this.name = name;
    this.file = file;
    this.isSealed = isSealed;
    this.isLog = isLog;
    this.length = 0;
    this.checksum = 0;
  }

  /** The index points no longer at the frame of `length` bytes at `offset`. */
  release(offset: number, length: number): void {
    this.liveBytes -= length;
    const { judgement } = this;
    if (judgement !== undefined && offset < judgement.upTo) judgement.diedBytes += length;
  }

  /** Takes note of a tombstone that lies in this segment. */
  coverTombstone(version: number, length: number): void {
    this.tombstoneBytes += length;
    if (version > this.highestTombstone) this.highestTombstone = version;
  }

  /** It is read anew: those that were counted come again. */
  forgetTombstones(): void {
    this.tombstoneBytes = 0;
    this.highestTombstone = 0;
  }

  /** Takes note of when a frame in it was accepted. */
  coverTimestamp(timestampMs: number): void {
    if (timestampMs > this.newestTimestampMs) this.newestTimestampMs = timestampMs;
  }

  /** Takes note of a version that lies in this segment. */
  coverVersion(version: number): void {
    if (this.lowestVersion === 0 || version < this.lowestVersion) this.lowestVersion = version;
    if (version > this.highestVersion) this.highestVersion = version;
  }
}
