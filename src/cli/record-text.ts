/** Records and what is known of them as text and as JSON. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Record as StoreRecord } from "../../gen/kvix/v1/kvix_pb.js";
import { type ByteFormat, jsonBytes } from "./byte-text.js";

/** An instant as text: "2027-01-31T12:00:00.000Z". */
export function showTime({ seconds, nanos }: Timestamp): string {
  return new Date(Number(seconds) * 1000 + Math.floor(nanos / 1_000_000)).toISOString();
}

/** " expires 2027-...", or nothing for a record that never does. */
export function showExpiry(expireTime: Timestamp | undefined): string {
  return expireTime === undefined ? "" : ` expires ${showTime(expireTime)}`;
}

/** A record as a JSON object; without its value if that was left out. */
export function jsonRecord(
  record: StoreRecord,
  format: ByteFormat,
  hasValue = true,
): Readonly<Record<string, unknown>> {
  return {
    ...jsonBytes("key", record.key, format),
    ...(hasValue && jsonBytes("value", record.value, format)),
    version: Number(record.version),
    ...(record.updateTime && { updateTime: showTime(record.updateTime) }),
    ...jsonExpiry(record.expireTime),
  };
}

/** The expiry as a field of a JSON object; left out: never. */
export function jsonExpiry(expireTime: Timestamp | undefined): { readonly expireTime?: string } {
  return expireTime === undefined ? {} : { expireTime: showTime(expireTime) };
}

/** `previous` or `current` of an answer to a write. */
export interface AnsweredRecord {
  readonly previous?: StoreRecord | undefined;
  readonly current?: StoreRecord | undefined;
  readonly valueOmitted: boolean;
  readonly recordBytes: number;
}

/** The records of an answer as fields of a JSON object. */
export function jsonAnswered(
  { previous, current, valueOmitted, recordBytes }: AnsweredRecord,
  format: ByteFormat,
): Readonly<Record<string, unknown>> {
  const hasRecord = previous !== undefined || current !== undefined;
  return {
    ...(previous && { previous: jsonRecord(previous, format, !valueOmitted) }),
    ...(current && { current: jsonRecord(current, format, !valueOmitted) }),
    ...(hasRecord && { valueOmitted, recordBytes }),
  };
}
