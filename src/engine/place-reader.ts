/**
 * From places that the index told of to the records there, for answers of many
 * records: a few reads at a time where the disk is slow, with pauses for others.
 *
 * A record that cannot be read does not stand in the way of those behind it: its
 * place says why it is left out.
 *
 * What lies side by side is read in one piece (place-runs.ts); its records share the
 * memory of that piece.
 *
 * Bounds (V11): one turn of the event loop has 256 reads or 1 MiB, or four runs of 64 KiB.
 */
import { KvixError } from "../base/kvix-error.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import type { Clock } from "../host/host.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { Place } from "./place.js";
import { type PlaceRun, runsOf } from "./place-runs.js";
import type { RecordReader } from "./record-reader.js";
import type { Omission, StoredRecord } from "./store-records.js";

/** How many read at once, and what each reads in one turn. */
const READERS = 4;
const READS_PER_TURN = 64;
const BYTES_PER_TURN = 256 * 1024;
const RUNS_PER_TURN = 4;

/** What the reader works with. */
export interface PlaceReaderContext {
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly clock: Clock;
}

/** Reads the records of places. */
export class PlaceReader {
  readonly #context: PlaceReaderContext;
  #isClosed = false;

  constructor(context: PlaceReaderContext) {
    this.#context = context;
  }

  /**
   * Reads what is still to be read. Throws STORE_CLOSING, CANCELLED; a record that
   * cannot be read is no error.
   */
  async readAll(places: readonly Place[], signal: AbortSignal | undefined): Promise<void> {
    for (const [index, run] of runsOf(places).entries()) {
      if (index > 0 && index % RUNS_PER_TURN === 0) await this.#turn();
      this.requireGoing(signal);
      this.#readRun(run);
    }
    // All readers take from one line, and what ends one of them ends the line.
    const line = unread(places);
    const readers = Array.from({ length: READERS }, () => this.#readFrom(line, signal));
    try {
      await Promise.all(readers);
    } finally {
      await Promise.allSettled(readers);
    }
  }

  /** Reads under way end with STORE_CLOSING. */
  close(): void {
    this.#isClosed = true;
  }

  async #readFrom(line: Generator<Place>, signal: AbortSignal | undefined): Promise<void> {
    let reads = 0;
    let bytes = 0;
    for (const place of line) {
      this.requireGoing(signal);
      const read = this.#read(place);
      place.record = read instanceof Promise ? await read : read;
      reads += 1;
      bytes += place.recordBytes;
      if (reads < READS_PER_TURN && bytes < BYTES_PER_TURN) continue;
      reads = 0;
      bytes = 0;
      await this.#turn();
    }
  }

  /** Throws STORE_CLOSING, CANCELLED. */
  requireGoing(signal: AbortSignal | undefined): void {
    if (this.#isClosed) throw new KvixError("STORE_CLOSING", "", { outcome: "none" });
    if (signal?.aborted !== true) return;
    throw new KvixError("CANCELLED", "", { cause: signal.reason, outcome: "none" });
  }

  /** Reads a run if that is quick; what is left unread is read one by one. */
  #readRun({ places, segment: slot, from, to }: PlaceRun): void {
    const { segments, reader } = this.#context;
    const segment = segments.at(slot);
    const bytes = reader.readRun(segment, from, to);
    if (bytes === undefined) return;
    for (const place of places) {
      const { offset, recordBytes, key, version } = place;
      const frame = bytes.subarray(offset - from, offset - from + FRAME_HEADER_BYTES + recordBytes);
      try {
        place.record = reader.recordOf(frame, segment, offset, key, version);
      } catch (error) {
        place.record = this.#omitted(error);
      }
    }
  }

  #read(place: Place): StoredRecord | Omission | Promise<StoredRecord | Omission> {
    const { segments, reader } = this.#context;
    const { segment, offset, recordBytes, key, version } = place;
    const length = recordBytes + FRAME_HEADER_BYTES;
    try {
      const read = reader.read(segments.at(segment), offset, length, key, version);
      return read instanceof Promise ? read.catch((error) => this.#omitted(error)) : read;
    } catch (error) {
      return this.#omitted(error);
    }
  }

  #omitted(error: unknown): Omission {
    // The files of a store that closes are closed under the reader: that is no damage.
    if (this.#isClosed) throw new KvixError("STORE_CLOSING", "", { outcome: "none" });
    const isKnown = error instanceof KvixError;
    if (isKnown && (error.reason === "RECORD_CORRUPT" || error.reason === "READ_FAILED")) {
      return "unreadable";
    }
    throw error;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#context.clock.soon(resolve));
  }
}

function* unread(places: readonly Place[]): Generator<Place> {
  for (const place of places) if (place.record === undefined) yield place;
}
