/**
 * The answers of KvService and KvTextService as bytes. A record passes from the
 * disk to the wire without being decoded; KvTextService has the same field
 * numbers and wire types, so these are its answers too.
 *
 * A record whose value cannot go along (the message would be too large, or the
 * value is no text) comes without it: the two pieces of its encoding around
 * the value field are sent, with value_omitted and the full size.
 */

import type {
  DeleteResult,
  KeyFacts,
  SetResult,
  StoredRecord,
  TouchResult,
  UploadResult,
} from "../engine/store.js";
import { varintBytes, writeVarint } from "../format/varint.js";
import { ANSWER_OVERHEAD_BYTES_MAX, AnswerWriter } from "../rpc/answer-writer.js";

/** What an answer may carry. */
export interface AnswerLimits {
  /** The largest message, in bytes. */
  readonly messageBytesMax: number;
  /** Whether this value can stand in the service's messages at all. */
  readonly carries: (value: Uint8Array) => boolean;
}

/** The number of `store_version` in every answer. */
export const STORE_VERSION = 15;

const APPLIED_TAG = 1 << 3;
const VERSION_TAG = 2 << 3;
const STORE_VERSION_TAG = STORE_VERSION << 3;

/** Whether an answer with the whole record stays within `messageBytesMax`. */
export function fitsMessage(recordBytes: number, messageBytesMax: number): boolean {
  return recordBytes + ANSWER_OVERHEAD_BYTES_MAX <= messageBytesMax;
}

/** GetResponse. The record must fit the message; see `fitsMessage`. */
export function encodeGetAnswer(
  record: StoredRecord | undefined,
  storeVersion: number,
): Uint8Array {
  const writer = new AnswerWriter(record?.payload.byteLength ?? 0);
  if (record !== undefined) writer.message(1, [record.payload]);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/** ExistsResponse. */
export function encodeExistsAnswer(facts: KeyFacts | undefined, storeVersion: number): Uint8Array {
  const writer = new AnswerWriter(0);
  if (facts !== undefined) {
    writer.bool(1, true);
    writer.uint(2, facts.version);
    writer.timestamp(3, facts.expiresAtMs);
    writer.uint(4, facts.recordBytes);
  }
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/** SetResponse. */
export function encodeSetAnswer(
  result: SetResult,
  storeVersion: number,
  limits: AnswerLimits,
): Uint8Array {
  const writer = new AnswerWriter(recordBytesOf(result));
  writer.bool(1, result.applied);
  writer.uint(2, result.version);
  writer.timestamp(3, result.expiresAtMs);
  writeRecord(writer, result, limits);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/**
 * Writes the SetResponse of a set that was applied, with neither an expiry nor a record, at
 * `at`; returns where it ends. For those that answer very many.
 */
export function writePlainSetAnswer(
  bytes: Uint8Array,
  at: number,
  version: number,
  storeVersion: number,
): number {
  bytes[at] = APPLIED_TAG;
  bytes[at + 1] = 1;
  bytes[at + 2] = VERSION_TAG;
  const end = writeVarint(bytes, at + 3, version);
  bytes[end] = STORE_VERSION_TAG;
  return writeVarint(bytes, end + 1, storeVersion);
}

/** How long that is. */
export function plainSetAnswerBytes(version: number, storeVersion: number): number {
  return 4 + varintBytes(version) + varintBytes(storeVersion);
}

/** DeleteResponse. */
export function encodeDeleteAnswer(
  result: DeleteResult,
  storeVersion: number,
  limits: AnswerLimits,
): Uint8Array {
  const writer = new AnswerWriter(recordBytesOf(result));
  writer.bool(1, result.applied);
  writer.bool(2, result.deleted);
  writer.uint(3, result.version);
  writeRecord(writer, result, limits);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/** TouchResponse. */
export function encodeTouchAnswer(
  result: TouchResult,
  storeVersion: number,
  limits: AnswerLimits,
): Uint8Array {
  const carried = { previous: undefined, current: result.current };
  const writer = new AnswerWriter(recordBytesOf(carried));
  writer.bool(1, result.applied);
  writer.uint(2, result.version);
  writer.timestamp(3, result.expiresAtMs);
  writer.bool(4, result.found);
  writeRecord(writer, carried, limits);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/** UploadResponse. */
export function encodeUploadAnswer(
  result: UploadResult,
  storeVersion: number,
  limits: AnswerLimits,
): Uint8Array {
  const carried = { previous: undefined, current: result.current };
  const writer = new AnswerWriter(recordBytesOf(carried));
  writer.bool(1, result.applied);
  writer.uint(2, result.version);
  writer.timestamp(3, result.expiresAtMs);
  writeRecord(writer, carried, limits);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/** A write's answer bears at most one record: what it replaced, or what stood in its way. */
type OneRecord = Pick<SetResult, "previous" | "current">;

function recordBytesOf({ previous, current }: OneRecord): number {
  return (previous ?? current)?.payload.byteLength ?? 0;
}

/** Fields 4 to 7: previous, current, value_omitted, record_bytes. */
function writeRecord(writer: AnswerWriter, result: OneRecord, limits: AnswerLimits): void {
  const record = result.previous ?? result.current;
  if (record === undefined) return;
  const recordBytes = record.payload.byteLength;
  const isWhole = fitsMessage(recordBytes, limits.messageBytesMax) && limits.carries(record.value);
  const field = result.previous === undefined ? 5 : 4;
  writer.message(field, isWhole ? [record.payload] : withoutValue(record));
  writer.bool(6, !isWhole);
  writer.uint(7, recordBytes);
}

/** The encoding of the record but for its value field. */
function withoutValue(record: StoredRecord): Uint8Array[] {
  const { payload, value } = record;
  if (value.byteLength === 0) return [payload];
  const field = valueFieldOf(record);
  return [payload.subarray(0, field.start), payload.subarray(field.end)];
}

/** Where the value field of a record that has one lies in its encoding, tag included. */
export function valueFieldOf({ payload, value }: StoredRecord): { start: number; end: number } {
  const valueOffset = value.byteOffset - payload.byteOffset;
  const start = valueOffset - varintBytes(value.byteLength) - 1;
  return { start, end: valueOffset + value.byteLength };
}
