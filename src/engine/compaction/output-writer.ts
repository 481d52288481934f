/**
 * The output of a compaction on its way to the disk: frames with checksums of
 * their new segment, in pieces of 1 MiB, and the hint beside it. It is synced as
 * it grows, so that the sync at its end, and those of the log meanwhile, wait for
 * little.
 */

import { crc32 } from "../../format/checksum.js";
import { FrameFlag, sealFrame } from "../../format/frame.js";
import { HintWriter } from "../../format/hint-writer.js";
import type { File, FileSystem } from "../../host/file-system.js";
import { HintFile } from "../../storage/hint-file.js";
import type { Segment } from "../../storage/segment.js";
import { addToHint } from "../hint-entry.js";
import type { Copied } from "./copier-orders.js";
import type { SurvivingRecord } from "./victim-reader.js";

const PIECE_BYTES = 1024 * 1024;
/** A sync of the log waits for what of this is not synced yet: 1 MiB costs it some milliseconds. */
const SYNC_BYTES = 1024 * 1024;
/** An offset has 32 bits in the index and in hints. */
const OFFSETS = 2 ** 32;

/** What a writer has to know beside the segment. */
export interface OutputFacts {
  readonly storeId: Uint8Array;
  /** The most that the output can come to: so little memory for small victims. */
  readonly bytesMax: number;
}

/** Writes one output. */
export class OutputWriter {
  readonly #segment: Segment;
  readonly #file: File;
  readonly #hint: HintFile;
  readonly #hintWriter: HintWriter;
  readonly #pieceBytes: number;
  #piece: ReturnType<typeof newPiece>;
  #used = 0;
  #unsyncedBytes = 0;
  #hintBytes = 0;
  #newestTimestampMs = 0;

  private constructor(
    segment: Segment,
    file: File,
    hint: HintFile,
    { storeId, bytesMax }: OutputFacts,
  ) {
    this.#segment = segment;
    this.#file = file;
    this.#hint = hint;
    this.#pieceBytes = Math.min(bytesMax, PIECE_BYTES);
    this.#piece = newPiece(this.#pieceBytes);
    const { id: segmentId, timestampNs } = segment.name;
    this.#hintWriter = new HintWriter(
      { storeId, segmentId, timestampNs },
      { segmentBytes: bytesMax },
    );
  }

  /** Makes the files of a segment that the manifest calls pending. */
  static async create(
    files: FileSystem,
    segment: Segment,
    facts: OutputFacts,
  ): Promise<OutputWriter> {
    const file = await files.open(segment.name.path, "create");
    try {
      return new OutputWriter(segment, file, await HintFile.create(files, segment), facts);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Adds a record, whose whole frame is `frame`. Throws if it would start where 32 bits
   * cannot say it.
   */
  async add(record: SurvivingRecord, frame: Uint8Array): Promise<void> {
    const { length, version, flags, timestampMs } = record;
    if (this.#segment.length + this.#used >= OFFSETS) throw new Error("an output is too large");
    if (this.#used + length > this.#piece.bytes.length) await this.#flush(length);
    const { bytes, view } = this.#piece;
    const at = this.#used;
    bytes.set(frame, at);
    sealFrame(bytes, view, at, length, this.#segment.name.salt, false);
    this.#used += length;
    const segment = this.#segment;
    const hintPiece = addToHint(this.#hintWriter, record, segment.length + at);
    if (hintPiece !== undefined) await this.#appendHint(hintPiece);
    segment.coverVersion(version);
    if ((flags & FrameFlag.TOMBSTONE) !== 0) segment.coverTombstone(version, length);
    if (timestampMs > this.#newestTimestampMs) this.#newestTimestampMs = timestampMs;
  }

  /** Makes both files durable, but for their names. */
  async finish(): Promise<Copied & Record<string, unknown>> {
    await this.#flush(0);
    await this.#file.syncData();
    await this.#file.close();
    const segment = this.#segment;
    const { length, checksum, lowestVersion, highestVersion } = segment;
    const pieces = this.#hintWriter.finish({
      segmentLength: BigInt(length),
      segmentChecksum: checksum,
      lowestVersion: BigInt(lowestVersion),
      highestVersion: BigInt(highestVersion),
      newestTimestamp: BigInt(this.#newestTimestampMs) * 1_000_000n,
      damagedRanges: [],
      requests: [],
    });
    for (const piece of pieces) await this.#appendHint(piece);
    await this.#hint.commit();
    return {
      kind: "copied",
      length,
      checksum,
      lowestVersion,
      highestVersion,
      newestTimestampMs: this.#newestTimestampMs,
      tombstoneBytes: segment.tombstoneBytes,
      highestTombstone: segment.highestTombstone,
      hintBytes: this.#hintBytes,
    };
  }

  /** Closes the files; whoever asked for them takes them away. */
  async abandon(): Promise<void> {
    await this.#file.close();
    await this.#hint.abandon();
  }

  async #appendHint(piece: Uint8Array): Promise<void> {
    await this.#hint.append(piece);
    this.#hintBytes += piece.length;
  }

  /** Writes what has gathered; makes room for a frame of `nextBytes`. */
  async #flush(nextBytes: number): Promise<void> {
    const segment = this.#segment;
    const bytes = this.#piece.bytes.subarray(0, this.#used);
    if (bytes.length > 0) await this.#file.write(bytes, segment.length);
    segment.length += bytes.length;
    segment.checksum = crc32(bytes, segment.checksum);
    this.#unsyncedBytes += bytes.length;
    this.#used = 0;
    const capacity = Math.max(this.#pieceBytes, nextBytes);
    if (this.#piece.bytes.length !== capacity) this.#piece = newPiece(capacity);
    if (this.#unsyncedBytes < SYNC_BYTES) return;
    await this.#file.syncData();
    this.#unsyncedBytes = 0;
  }
}

function newPiece(capacity: number): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(capacity);
  return { bytes, view: new DataView(bytes.buffer) };
}
