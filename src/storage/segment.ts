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

/** A segment that the index may point into. */
export class Segment {
  readonly name: SegmentName;
  /** Undefined if the file is missing: every read of it is DATA_LOSS. */
  readonly file: File | undefined;
  isSealed: boolean;
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

  constructor(name: SegmentName, file: File | undefined, isSealed: boolean) {
    this.name = name;
    this.file = file;
    this.isSealed = isSealed;
    this.length = 0;
    this.checksum = 0;
  }

  /** Takes note of a tombstone that lies in this segment: its version, and the bytes of its frame. */
  coverTombstone(version: number, lengthBytes: number): void {
    this.tombstoneBytes += lengthBytes;
    if (version > this.highestTombstone) this.highestTombstone = version;
  }

  /** Takes note of a version that lies in this segment. */
  coverVersion(version: number): void {
    if (this.lowestVersion === 0 || version < this.lowestVersion) this.lowestVersion = version;
    if (version > this.highestVersion) this.highestVersion = version;
  }
}
