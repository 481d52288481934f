/**
 * A part of a scan: some records of a window that was read, as bytes for who makes a
 * message of them, or one by one for who looks at them.
 */
import { newRecordFields, parseRecord, type RecordFields } from "../../format/record.js";
import type { ScanPart } from "../store-ranges.js";
import type { ListedRecord, StoredRecord } from "../store-records.js";
import { RecordState, type ScanWindow } from "./scan-window.js";
import type { WindowRecords } from "./window-reader.js";

/** A window, its records, and the version that it shows. */
export interface ReadWindow {
  readonly window: ScanWindow;
  readonly records: WindowRecords;
  readonly version: number;
}

/** Part `number` of a window; `isSpaced`: as bytes, if no record is without its value. */
export function partOf(read: ReadWindow, number: number, isSpaced: boolean): ScanPart {
  const { window, records, version } = read;
  const from = number === 0 ? 0 : window.partEnds[number - 1]!;
  const to = window.partEnds[number]!;
  const bytesFrom = number === 0 ? 0 : records.partEnds[number - 1]!;
  const bytes = records.bytes.subarray(bytesFrom, records.partEnds[number]);
  if (isSpaced && isWhole(window, from, to)) {
    const recordBytes = Array.from({ length: to - from }, (_, at) =>
      window.recordBytesOf(from + at),
    );
    return { records: [], packed: { bytes, recordBytes }, version };
  }
  // Who keeps a record keeps its part alive, and not the whole window.
  return { records: listOf(window, from, to, bytes.slice(), bytesFrom), version };
}

function isWhole(window: ScanWindow, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    if (window.stateOf(at) !== RecordState.READ) return false;
  }
  return true;
}

function listOf(
  window: ScanWindow,
  from: number,
  to: number,
  bytes: Uint8Array,
  bytesFrom: number,
): ListedRecord[] {
  const list: ListedRecord[] = [];
  for (let at = from; at < to; at += 1) {
    const { key, version, expiresAtMs, recordBytes } = window.entry(at);
    const start = window.startOf(at) - bytesFrom;
    const record =
      window.omissionOf(at) ??
      new PackedRecord(bytes.subarray(start, start + recordBytes), version);
    list.push({ key, version, expiresAtMs, recordBytes, record });
  }
  return list;
}

/** A record that was verified. */
class PackedRecord implements StoredRecord {
  readonly payload: Uint8Array;
  readonly version: number;

  constructor(payload: Uint8Array, version: number) {
    this.payload = payload;
    this.version = version;
  }

  get value(): Uint8Array {
    const { valueStart, valueEnd } = this.#fields();
    return this.payload.subarray(valueStart, valueEnd);
  }

  get updatedAtMs(): number {
    return this.#fields().updatedAtMs;
  }

  get expiresAtMs(): number {
    return this.#fields().expiresAtMs;
  }

  #fields(): RecordFields {
    const fields = newRecordFields();
    parseRecord(this.payload, 0, this.payload.length, fields);
    return fields;
  }
}
