/**
 * Reads the records of a window into one piece of memory, each to the place that it has
 * in its part's message.
 *
 *     segment  | a |.| c |..| b | ........................ | d |
 *                `--- chunk, one read ---'                   `- read by itself
 *                  |     |      |
 *     memory     | a | b | c | d |        verified in the chunk, then copied
 *
 * Frames are read in the order in which they lie. From the page cache a read takes 2 us
 * and a KiB more 0.06 us, so what lies between two of them is read along.
 *
 * A chunk that cannot be read at once is no failure: its records are read one by one, off
 * the event loop where the disk is slow (place-reader.ts), and one that cannot be read is
 * left out.
 *
 * Bounds (V11): all windows share a chunk of 256 KiB, and as much to sort by. One turn of
 * the event loop reads 1 MiB, verifies 1,024 records, or reads 256 by themselves; and
 * ends no later than with the chunk, of at most 256 records, with which it gets there.
 */
import { FRAME_HEADER_BYTES } from "../../format/frame.js";
import type { Clock } from "../../host/host.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import type { Place } from "../place.js";
import type { PlaceReader } from "../place-reader.js";
import type { RecordReader } from "../record-reader.js";
import type { RecordSpacing } from "../store-ranges.js";
import type { StoredRecord } from "../store-records.js";
import { RecordState, type ScanWindow } from "./scan-window.js";

/** The longest chunk. */
const CHUNK_BYTES_MAX = 256 * 1024;
/** The longest gap within a chunk: reading it along costs half of what a read does. */
const GAP_BYTES_MAX = 8 * 1024;
const TURN_BYTES = 1024 * 1024;
const TURN_RECORDS = 1024;
/** The most records of a chunk: they may have to be read one by one, in the same turn. */
const CHUNK_RECORDS_MAX = 256;
/** What a record that is read by itself counts for. */
const SINGLE_RECORDS = 4;
/** How many are read off the event loop before they are copied to their places. */
const SINGLES_MAX = 256;
/** A position and the number of a record in one number that sorts: 10 + 28 + 15 bits. */
const NUMBER_SPAN = 2 ** 15;
const OFFSET_SPAN = 2 ** 28;
const SEGMENT_SPAN = 2 ** 10;
/** No two frames begin within the same so many bytes. */
const OFFSET_UNIT = 16;

/** The most records of a window. */
export const WINDOW_RECORDS_MAX = NUMBER_SPAN;

/** What the reader works with. */
export interface WindowReaderContext {
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly places: PlaceReader;
  readonly clock: Clock;
}

/** The records of a window; it knows itself where each of them begins. */
export interface WindowRecords {
  readonly bytes: Uint8Array;
  /** Where each part ends. */
  readonly partEnds: readonly number[];
  /** How many reads it took. */
  readonly reads: number;
}

/** Reads windows. */
export class WindowReader {
  readonly #context: WindowReaderContext;
  /** What is at hand for a turn, whichever window is read in it. */
  readonly #chunk = new Uint8Array(CHUNK_BYTES_MAX);
  readonly #positions = new Float64Array(WINDOW_RECORDS_MAX);

  constructor(context: WindowReaderContext) {
    this.#context = context;
  }

  /**
   * Reads what is to be read. Throws STORE_CLOSING, CANCELLED; of a record that cannot
   * be read the window knows.
   */
  async read(
    window: ScanWindow,
    spacing: RecordSpacing,
    signal: AbortSignal | undefined,
  ): Promise<WindowRecords> {
    const { places, clock } = this.#context;
    const { partEnds, bytes } = layOut(window, spacing);
    const order = this.#inOrderOfPlace(window);
    let singles: number[] = [];
    let reads = 0;
    let turnBytes = 0;
    let turnRecords = 0;
    for (let first = 0; first < order.length; ) {
      const end = endOfChunk(window, order, first);
      const isRead = end - first > 1 && this.#readChunk(window, order, first, end, bytes);
      reads += isRead ? 1 : end - first;
      for (let at = first; at < end && !isRead; at += 1) {
        if (!this.#readSingle(window, order[at]!, bytes)) singles.push(order[at]!);
      }
      if (singles.length >= SINGLES_MAX || (end === order.length && singles.length > 0)) {
        await this.#readSingles(window, singles, bytes, signal);
        // With the snapshot, if that has ended meanwhile, the segments may be gone.
        places.requireGoing(signal);
        singles = [];
      }
      turnBytes += spanOf(window, order, first, end);
      turnRecords += isRead ? end - first : (end - first) * SINGLE_RECORDS;
      first = end;
      if (first === order.length || (turnBytes < TURN_BYTES && turnRecords < TURN_RECORDS))
        continue;
      await new Promise<void>((resolve) => clock.soon(resolve));
      places.requireGoing(signal);
      turnBytes = 0;
      turnRecords = 0;
    }
    return { bytes, partEnds, reads };
  }

  /** False: not at once, or not all of it. */
  #readChunk(
    window: ScanWindow,
    order: Uint32Array,
    first: number,
    end: number,
    target: Uint8Array,
  ): boolean {
    const { segments, reader } = this.#context;
    const segment = segments.at(window.segmentOf(order[first]!));
    const from = window.offsetOf(order[first]!);
    const chunk = this.#chunk;
    if (!reader.fill(chunk.subarray(0, spanOf(window, order, first, end)), segment, from)) {
      return false;
    }
    for (let at = first; at < end; at += 1) {
      const record = order[at]!;
      const offset = window.offsetOf(record);
      const payloadStart = offset - from + FRAME_HEADER_BYTES;
      const payloadEnd = payloadStart + window.recordBytesOf(record);
      const isSound = reader.verifyIn(
        chunk,
        offset - from,
        payloadEnd,
        segment,
        offset,
        window.keys,
        window.keyStartOf(record),
        window.keyEndOf(record),
        window.versionOf(record),
      );
      window.setState(record, isSound ? RecordState.READ : RecordState.UNREADABLE);
      if (isSound) target.set(chunk.subarray(payloadStart, payloadEnd), window.startOf(record));
    }
    return true;
  }

  /** False: not at once, or not at all. */
  #readSingle(window: ScanWindow, record: number, target: Uint8Array): boolean {
    const { segments, reader } = this.#context;
    const frameBytes = FRAME_HEADER_BYTES + window.recordBytesOf(record);
    if (!reader.readsAtOnce(frameBytes)) return false;
    const segment = segments.at(window.segmentOf(record));
    const key = window.keys.subarray(window.keyStartOf(record), window.keyEndOf(record));
    const version = window.versionOf(record);
    try {
      const read = reader.read(segment, window.offsetOf(record), frameBytes, key, version);
      target.set((read as StoredRecord).payload, window.startOf(record));
    } catch {
      // Why not, is found out when it is read again.
      return false;
    }
    window.setState(record, RecordState.READ);
    return true;
  }

  async #readSingles(
    window: ScanWindow,
    records: readonly number[],
    target: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const places: Place[] = records.map((at) => ({ ...window.entry(at), record: undefined }));
    await this.#context.places.readAll(places, signal);
    for (const [index, { record }] of places.entries()) {
      const at = records[index]!;
      const isRead = record !== undefined && typeof record !== "string";
      window.setState(at, isRead ? RecordState.READ : RecordState.UNREADABLE);
      if (isRead) target.set(record.payload, window.startOf(at));
    }
  }

  /** The numbers of the records that are to be read, in the order in which they lie. */
  #inOrderOfPlace(window: ScanWindow): Uint32Array {
    const { order, count } = window;
    const positions = this.#positions;
    let unread = 0;
    let isSorted = true;
    let last = -1;
    for (let at = 0; at < count; at += 1) {
      if (window.stateOf(at) !== RecordState.UNREAD) continue;
      // Where two segments pass for one, chunks are shorter, and that is all.
      const segment = window.segmentOf(at) % SEGMENT_SPAN;
      const position = segment * OFFSET_SPAN + Math.floor(window.offsetOf(at) / OFFSET_UNIT);
      if (position < last) isSorted = false;
      last = position;
      positions[unread] = position * NUMBER_SPAN + at;
      order[unread] = at;
      unread += 1;
    }
    if (!isSorted) {
      positions.subarray(0, unread).sort();
      for (let at = 0; at < unread; at += 1) order[at] = positions[at]! % NUMBER_SPAN;
    }
    return order.subarray(0, unread);
  }
}

/** Gives every record that is to be read its place in memory. */
function layOut(window: ScanWindow, spacing: RecordSpacing) {
  const partEnds: number[] = [];
  let end = 0;
  let at = 0;
  for (const partEnd of window.partEnds) {
    for (; at < partEnd; at += 1) {
      if (window.stateOf(at) !== RecordState.UNREAD) continue;
      const recordBytes = window.recordBytesOf(at);
      const start = end + spacing.before(recordBytes);
      window.setStart(at, start);
      end = start + recordBytes + spacing.after(recordBytes);
    }
    end += spacing.behind;
    partEnds.push(end);
  }
  // No Buffer: slicing one costs twice as much.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(end).buffer);
  return { partEnds, bytes };
}

/** Where the chunk ends that begins with `order[first]`. */
function endOfChunk(window: ScanWindow, order: Uint32Array, first: number): number {
  const segment = window.segmentOf(order[first]!);
  const from = window.offsetOf(order[first]!);
  let end = first + 1;
  let frameEnd = frameEndOf(window, order[first]!);
  for (; end < order.length && end - first < CHUNK_RECORDS_MAX; end += 1) {
    const record = order[end]!;
    const gapBytes = window.offsetOf(record) - frameEnd;
    if (window.segmentOf(record) !== segment || gapBytes > GAP_BYTES_MAX) break;
    frameEnd = frameEndOf(window, record);
    if (frameEnd - from > CHUNK_BYTES_MAX) break;
  }
  return end;
}

/** The bytes from the first frame of a chunk to the end of its last. */
function spanOf(window: ScanWindow, order: Uint32Array, first: number, end: number): number {
  return frameEndOf(window, order[end - 1]!) - window.offsetOf(order[first]!);
}

function frameEndOf(window: ScanWindow, record: number): number {
  return window.offsetOf(record) + FRAME_HEADER_BYTES + window.recordBytesOf(record);
}
