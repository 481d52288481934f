/**
 * ListResponse as bytes: records pass from the disk to the wire without being
 * decoded. In KvTextService what is no text is moved from its field to one of
 * bytes beside the record; both take the same room.
 */
import { LISTED_OVERHEAD_BYTES } from "../engine/place.js";
import type { ListedRecord, ListPage, StoredRecord } from "../engine/store.js";
import { varintBytes } from "../format/varint.js";
import { AnswerWriter } from "../rpc/answer-writer.js";
import { STORE_VERSION, valueFieldOf } from "./kv-answers.js";

/** Whether a string field of the service can bear these bytes. */
export type Carries = (bytes: Uint8Array) => boolean;

/** ListResponse. */
export function encodeListAnswer(
  page: ListPage,
  nextPageToken: string,
  carries: Carries,
): Uint8Array {
  const pieces = page.records.map((listed) => piecesOf(listed, carries));
  const token = Buffer.from(nextPageToken);
  let room = token.length;
  for (const piece of pieces) room += piece.bytes + LISTED_OVERHEAD_BYTES;
  const writer = new AnswerWriter(room);
  for (const piece of pieces) {
    writeListed(writer, piece);
    if (piece.rawKey !== undefined) writer.message(5, [piece.rawKey]);
    if (piece.rawValue !== undefined) writer.message(6, [piece.rawValue]);
  }
  if (token.length > 0) writer.message(2, [token]);
  writer.uint(STORE_VERSION, page.version);
  return writer.finish();
}

/** A ListedRecord before it is written. */
export interface Pieces {
  /** The bytes of its message. */
  readonly bytes: number;
  /** The bytes of its Record. */
  readonly record: readonly Uint8Array[];
  readonly recordBytes: number;
  readonly isOmitted: boolean;
  readonly isUnreadable: boolean;
  readonly rawKey: Uint8Array | undefined;
  readonly rawValue: Uint8Array | undefined;
}

/** The fields of a ListedRecord that BatchGetEntry has too, as the next message of field 1. */
export function writeListed(writer: AnswerWriter, piece: Pieces): void {
  writer.header(1, piece.bytes);
  writer.message(1, piece.record);
  writer.bool(2, piece.isOmitted);
  writer.uint(3, piece.recordBytes);
  writer.bool(4, piece.isUnreadable);
}

/** What is written of a record. */
export function piecesOf(listed: ListedRecord, carries: Carries): Pieces {
  const { key, record: stored, recordBytes } = listed;
  const rawKey = carries(key) ? undefined : key;
  const isWhole = typeof stored !== "string";
  const rawValue = isWhole && !carries(stored.value) ? stored.value : undefined;
  const hasRaw = rawKey !== undefined || rawValue !== undefined;
  const whole = (record: StoredRecord) =>
    hasRaw ? cut(record, rawKey, rawValue !== undefined) : [record.payload];
  const record = isWhole ? whole(stored) : [bareRecord(listed, rawKey === undefined)];
  const isOmitted = stored === "too-large" || stored === "unreadable";
  const isUnreadable = stored === "unreadable";
  const bytes =
    fieldBytes(record.reduce((sum, part) => sum + part.byteLength, 0)) +
    (isOmitted ? 2 : 0) +
    (1 + varintBytes(recordBytes)) +
    (isUnreadable ? 2 : 0) +
    (rawKey === undefined ? 0 : fieldBytes(rawKey.length)) +
    (rawValue === undefined ? 0 : fieldBytes(rawValue.length));
  return { bytes, record, recordBytes, isOmitted, isUnreadable, rawKey, rawValue };
}

/** A Record of what the index knows. */
export function bareRecord(
  { key, version, expiresAtMs }: ListedRecord,
  withKey: boolean,
): Uint8Array {
  const writer = new AnswerWriter(key.length);
  if (withKey) writer.message(1, [key]);
  writer.uint(3, version);
  writer.timestamp(5, expiresAtMs);
  return writer.finish();
}

/** A record's encoding without its key field, its value field, or both. */
function cut(
  record: StoredRecord,
  rawKey: Uint8Array | undefined,
  withoutValue: boolean,
): Uint8Array[] {
  const { payload } = record;
  const start = rawKey === undefined ? 0 : fieldBytes(rawKey.length);
  if (!withoutValue) return [payload.subarray(start)];
  const value = valueFieldOf(record);
  return [payload.subarray(start, value.start), payload.subarray(value.end)];
}

/** What a field of `length` bytes takes, tag and length included. */
function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}
