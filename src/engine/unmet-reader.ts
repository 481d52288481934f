/**
 * What stood where a condition of a commit did not hold, as far as it fits the
 * answer:
 *
 *     whole      while there is room
 *     bare       key, version, expiry and size, which the index knows; also of a
 *                record that cannot be read
 *     marked     not even the key fits: only that there is a record, and its size;
 *                always has room (UNMET_MARK_BYTES each)
 *
 * Bounds (V11): `bytesMax` for one answer; after 64 reads or 256 KiB others get
 * their turn.
 */
import { KvixError } from "../base/kvix-error.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import type { Clock } from "../host/host.js";
import type { SegmentSet } from "../storage/segment-set.js";
import { BARE_RECORD_BYTES, LISTED_OVERHEAD_BYTES } from "./place.js";
import type { RecordReader } from "./record-reader.js";
import type { ListedRecord, Omission, StoredRecord, UnmetCondition } from "./store.js";
import type { UnmetKey } from "./write-op.js";

/** What an unmet condition has in an answer beside its record: index, marks and size. */
export const UNMET_MARK_BYTES = 24;

const TURN_READS = 64;
const TURN_BYTES = 256 * 1024;

/** Where a record lies. */
interface Place {
  readonly segment: Parameters<RecordReader["read"]>[0];
  readonly offset: number;
  readonly length: number;
}

/** Reads the records that stood in the way of commits. */
export class UnmetReader {
  readonly #segments: SegmentSet;
  readonly #reader: RecordReader;
  readonly #clock: Clock;

  constructor(segments: SegmentSet, reader: RecordReader, clock: Clock) {
    this.#segments = segments;
    this.#reader = reader;
    this.#clock = clock;
  }

  /** All of them, in at most `bytesMax`. What stood is published, and kept by a ticket. */
  async read(unmet: readonly UnmetKey[], bytesMax: number): Promise<UnmetCondition[]> {
    const conditions: UnmetCondition[] = [];
    let left = bytesMax - unmet.length * UNMET_MARK_BYTES;
    let reads = 0;
    let bytes = 0;
    for (const { index, key, version, expiresAtMs, place: told } of unmet) {
      const place = this.#placeOf(told);
      if (place === undefined) {
        conditions.push({ index, current: undefined });
        continue;
      }
      const recordBytes = place.length - FRAME_HEADER_BYTES;
      const isWhole = recordBytes + LISTED_OVERHEAD_BYTES <= left;
      const record = isWhole ? await this.#readRecord(place, version) : "too-large";
      const bareBytes = key.length + BARE_RECORD_BYTES;
      const needed = typeof record === "string" ? bareBytes : recordBytes + LISTED_OVERHEAD_BYTES;
      const facts = { version, expiresAtMs, recordBytes, record };
      const current: ListedRecord = {
        key: needed <= left ? new Uint8Array(key) : NO_KEY,
        ...facts,
      };
      if (needed <= left) left -= needed;
      conditions.push({ index, current });
      if (!isWhole) continue;
      reads += 1;
      bytes += recordBytes;
      if (reads < TURN_READS && bytes < TURN_BYTES) continue;
      reads = 0;
      bytes = 0;
      await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
    return conditions;
  }

  #placeOf(place: UnmetKey["place"]): Place | undefined {
    if (place === undefined) return undefined;
    if (place.kind === "published") {
      return { ...place, segment: this.#segments.at(place.segment) };
    }
    const { segment, offset, length } = place.entry;
    if (segment === undefined) throw new Error("a record is read before it is written");
    return { segment, offset, length };
  }

  async #readRecord(
    { segment, offset, length }: Place,
    version: number,
  ): Promise<StoredRecord | Omission> {
    try {
      return await this.#reader.read(segment, offset, length, undefined, version);
    } catch (error) {
      const reason = error instanceof KvixError ? error.reason : undefined;
      if (reason === "RECORD_CORRUPT" || reason === "READ_FAILED") return "unreadable";
      throw error;
    }
  }
}

/** No record has an empty key: it stands for one that does not fit. */
const NO_KEY = new Uint8Array(0);
