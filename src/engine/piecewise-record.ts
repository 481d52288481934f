/**
 * A record's frame, read around its value and then through it, in memory of bounded
 * size. Whatever does not match the index or the frame's checksum is DATA_LOSS (V13).
 */
import type { KvixError } from "../base/kvix-error.js";
import { crc32, crc32Between, crc32Combine } from "../format/checksum.js";
import { FRAME_HEADER_BYTES, FrameFlag, readFrameHeader } from "../format/frame.js";
import {
  encodeRecordHead,
  newRecordFields,
  parseRecord,
  RECORD_TAIL_BYTES_MAX,
  recordHeadBytes,
  VALUE_TAG,
} from "../format/record.js";
import { readVarint } from "../format/varint.js";
import type { File } from "../host/file-system.js";
import type { Segment } from "../storage/segment.js";
import { readFailed } from "./record-reader.js";

/** What the frame of a record never has. */
const NOT_A_RECORD = FrameFlag.TOMBSTONE | FrameFlag.EXPIRED | FrameFlag.BATCH;

/** The least that follows a value: version and an update time without fields. */
const TAIL_BYTES_MIN = 4;

/** Where a record lies that the index names in this very turn. */
export interface DownloadPlace {
  readonly key: Uint8Array;
  readonly segment: Segment;
  readonly offset: number;
  readonly length: number;
  readonly version: number;
}

/** See the head of this file. The frame has a value. */
export class PiecewiseRecord {
  readonly #place: DownloadPlace;
  /** Registers the damage. */
  readonly #corrupt: () => KvixError;
  #head = new Uint8Array(0);
  #tail = new Uint8Array(0);
  #valueRead = 0;
  /** The record without its value. */
  bare = new Uint8Array(0);
  expiresAtMs = 0;
  valueBytes = 0;
  /** The CRC-32 of what was read of the value. */
  valueChecksum = 0;

  constructor(place: DownloadPlace, corrupt: () => KvixError) {
    this.#place = place;
    this.#corrupt = corrupt;
  }

  get segment(): Segment {
    return this.#place.segment;
  }

  get version(): number {
    return this.#place.version;
  }

  /** Whether all of the value was read, and found sound. */
  get isAtEnd(): boolean {
    return this.#valueRead === this.valueBytes;
  }

  /** Reads what lies around the value, and holds it against the index. */
  async readAround(): Promise<void> {
    const { key, offset, length } = this.#place;
    const beforeLength = FRAME_HEADER_BYTES + recordHeadBytes(key.length, 0);
    const start = await this.#read(offset, Math.min(beforeLength + 5, length));
    this.valueBytes = valueBytesOf(start, beforeLength);
    const headBytes = FRAME_HEADER_BYTES + recordHeadBytes(key.length, this.valueBytes);
    const tailBytes = length - headBytes - this.valueBytes;
    const isPlausible =
      this.valueBytes > 0 && tailBytes >= TAIL_BYTES_MIN && tailBytes <= RECORD_TAIL_BYTES_MAX;
    if (!isPlausible) throw this.#corrupt();
    this.#head = start.subarray(0, headBytes);
    this.#tail = await this.#read(offset + length - tailBytes, tailBytes);
    if (!this.#isPromised()) throw this.#corrupt();
  }

  /** The next bytes of the value, `bytesMax` at most; with the last of them all is verified. */
  async readPiece(bytesMax: number): Promise<Uint8Array> {
    const { offset } = this.#place;
    const length = Math.min(bytesMax, this.valueBytes - this.#valueRead);
    const piece = await this.#read(offset + this.#head.length + this.#valueRead, length);
    this.#valueRead += length;
    this.valueChecksum = crc32(piece, this.valueChecksum);
    if (this.isAtEnd && !this.#isSound()) throw this.#corrupt();
    return piece;
  }

  /** Whether key, version and lengths are those of the index. */
  #isPromised(): boolean {
    const { key, length, version } = this.#place;
    const header = readFrameHeader(viewOf(this.#head), 0);
    const expected = new Uint8Array(this.#head.length);
    encodeRecordHead(expected, FRAME_HEADER_BYTES, key, this.valueBytes);
    const keyEnd = FRAME_HEADER_BYTES + recordHeadBytes(key.length, 0);
    const bare = Buffer.concat([this.#head.subarray(FRAME_HEADER_BYTES, keyEnd), this.#tail]);
    const fields = newRecordFields();
    const isPromised =
      header.payloadBytes === length - FRAME_HEADER_BYTES &&
      (header.flags & NOT_A_RECORD) === 0 &&
      Buffer.compare(
        this.#head.subarray(FRAME_HEADER_BYTES),
        expected.subarray(FRAME_HEADER_BYTES),
      ) === 0 &&
      parseRecord(bare, 0, bare.length, fields) &&
      fields.version === version;
    this.bare = bare;
    this.expiresAtMs = fields.expiresAtMs;
    return isPromised;
  }

  #isSound(): boolean {
    const head = crc32Between(this.#head, 4, this.#head.length, this.segment.name.salt);
    const upToTail = crc32Combine(head, this.valueChecksum, this.valueBytes);
    const checksum = crc32Between(this.#tail, 0, this.#tail.length, upToTail);
    return checksum === viewOf(this.#head).getUint32(0, true);
  }

  async #read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { file } = this.segment;
    if (file === undefined) throw this.#corrupt();
    const bytes = Buffer.allocUnsafeSlow(length);
    const read = await this.#readFile(file, bytes, position);
    if (read < length) throw this.#corrupt();
    return bytes;
  }

  async #readFile(file: File, bytes: Uint8Array, position: number): Promise<number> {
    try {
      return await file.read(bytes, position);
    } catch (cause) {
      throw readFailed(this.segment, position, cause);
    }
  }
}

/** The length of the value whose field begins at `at`; 0: there is none. */
function valueBytesOf(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== VALUE_TAG) return 0;
  return Math.max(readVarint(bytes, at + 1, bytes.length), 0);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
