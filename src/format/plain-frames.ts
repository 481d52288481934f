/**
 * Frames of records that never expire and are accepted at one instant, encoded from where
 * their keys and values lie. What all of them have in common is encoded once, and no view
 * is made of a key or a value.
 *
 *     | crc32 | payload size | version | timestamp | 0a key | 12 value | 18 version | 22 update_time |
 *                            '---- in common ----'                                  '-- in common --'
 *
 * The bytes are those of `writeFrameHeader` and `encodeRecord`; a test holds them together.
 */
import { FRAME_HEADER_BYTES, SCHEMA_VERSION } from "./frame.js";
import {
  encodeUpdateTime,
  KEY_TAG,
  UPDATE_TIME_BYTES_MAX,
  VALUE_TAG,
  VERSION_TAG,
} from "./record.js";
import { writeTimestamp } from "./timestamp.js";
import { writeVarint } from "./varint.js";

/** Up to so many bytes a loop over words copies faster than `Uint8Array.set` of a view. */
const LOOP_COPY_BYTES_MAX = 192;

/** How many numbers say where a record lies: the start and end of its key, and of its value. */
export const PLACES_PER_RECORD = 4;

const timestamp = new DataView(new ArrayBuffer(8));

/** Encodes the frames of one instant. */
export class PlainFrames {
  readonly #source: Uint8Array;
  readonly #sourceView: DataView;
  readonly #updateTime = new Uint8Array(UPDATE_TIME_BYTES_MAX);
  readonly #updateTimeBytes: number;
  /** The timestamp as two words. */
  readonly #low: number;
  readonly #high: number;

  /** `source` holds the keys and values; `nowMs`: when they are accepted, in Unix milliseconds. */
  constructor(source: Uint8Array, nowMs: number) {
    this.#source = source;
    this.#sourceView = new DataView(source.buffer, source.byteOffset, source.byteLength);
    this.#updateTimeBytes = encodeUpdateTime(this.#updateTime, 0, nowMs);
    writeTimestamp(timestamp, 0, nowMs);
    this.#low = timestamp.getInt32(0, true);
    this.#high = timestamp.getInt32(4, true);
  }

  /**
   * Encodes a frame at `at` with its checksum still zero, and returns where it ends. The
   * numbers of `places` from `place` on say where its record lies; the caller has checked
   * them. `view` is over the same bytes as `bytes`.
   */
  encode(
    bytes: Uint8Array,
    view: DataView,
    at: number,
    places: Int32Array,
    place: number,
    version: number,
  ): number {
    const keyStart = places[place]!;
    const keyEnd = places[place + 1]!;
    const valueStart = places[place + 2]!;
    const valueEnd = places[place + 3]!;
    let end = at + FRAME_HEADER_BYTES;
    bytes[end] = KEY_TAG;
    end = this.#copy(bytes, view, writeVarint(bytes, end + 1, keyEnd - keyStart), keyStart, keyEnd);
    if (valueStart < valueEnd) {
      bytes[end] = VALUE_TAG;
      const start = writeVarint(bytes, end + 1, valueEnd - valueStart);
      end = this.#copy(bytes, view, start, valueStart, valueEnd);
    }
    bytes[end] = VERSION_TAG;
    end = writeVarint(bytes, end + 1, version);
    const time = this.#updateTime;
    const timeBytes = this.#updateTimeBytes;
    for (let index = 0; index < timeBytes; index += 1) bytes[end + index] = time[index]!;
    end += timeBytes;
    view.setInt32(at, 0, true);
    view.setInt32(at + 4, end - at - FRAME_HEADER_BYTES, true);
    view.setUint8(at + 8, SCHEMA_VERSION);
    view.setInt32(at + 9, this.#low, true);
    view.setInt32(at + 13, this.#high, true);
    return end;
  }

  /** Copies `start` to `end` of the source to `to`, and returns where that ends. */
  #copy(bytes: Uint8Array, view: DataView, to: number, start: number, end: number): number {
    if (end - start > LOOP_COPY_BYTES_MAX) {
      bytes.set(this.#source.subarray(start, end), to);
      return to + end - start;
    }
    const source = this.#sourceView;
    let from = start;
    let at = to;
    for (; from + 4 <= end; from += 4) {
      view.setInt32(at, source.getInt32(from, true), true);
      at += 4;
    }
    for (; from < end; from += 1) view.setUint8(at++, source.getUint8(from));
    return at;
  }
}
