/** What KvService answers, as a program has it. Protobuf's bigints end here, but for numbers. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type {
  DeleteResponse,
  ListedRecord as ListedRecordMessage,
  Record as RecordMessage,
  SetResponse,
  TouchResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { dateOf } from "../kv/data.js";
import { KvixRecord, type ListedParts, ListedRecord, type RecordParts } from "../kv/records.js";
import type { DeleteResult, SetResult, TouchResult } from "../kv/writes.js";

/** An instant in Unix milliseconds; 0: there is none. */
export function msOf(timestamp: Timestamp | undefined): number {
  if (timestamp === undefined) return 0;
  return Number(timestamp.seconds) * 1000 + Math.ceil(timestamp.nanos / 1_000_000);
}

/** A record with its value. */
export function partsOf(record: RecordMessage): RecordParts {
  return {
    value: record.value,
    version: Number(record.version),
    updatedAtMs: msOf(record.updateTime),
    expiresAtMs: msOf(record.expireTime),
  };
}

/** A record that may be left out, and may have left its value behind. */
export function recordOf(
  record: RecordMessage | undefined,
  isValueOmitted = false,
): KvixRecord | undefined {
  if (record === undefined) return undefined;
  const parts = partsOf(record);
  return new KvixRecord(isValueOmitted ? { ...parts, value: undefined } : parts);
}

/** What tells of a listed record beside the record. */
export type Listed = Pick<ListedRecordMessage, "valueOmitted" | "recordBytes" | "unreadable"> & {
  readonly record?: RecordMessage | undefined;
};

/** What a record of a page, a batch or a scan is made of. */
export function listedPartsOf(listed: Listed, keysOnly: boolean): ListedParts {
  const { record, recordBytes } = listed;
  return {
    key: record?.key ?? new Uint8Array(0),
    version: Number(record?.version ?? 0n),
    expiresAtMs: msOf(record?.expireTime),
    recordBytes,
    record: valuePart(listed, keysOnly),
  };
}

/** A record of a page, a batch or a scan. */
export function listedOf(listed: Listed, keysOnly = false): ListedRecord {
  return new ListedRecord(listedPartsOf(listed, keysOnly));
}

function valuePart(
  { record, valueOmitted, unreadable }: Listed,
  keysOnly: boolean,
): ListedParts["record"] {
  if (unreadable) return "unreadable";
  if (keysOnly || record === undefined) return "keys-only";
  return valueOmitted ? "too-large" : partsOf(record);
}

/** The answer to a set. */
export function setResultOf(answer: SetResponse): SetResult {
  return {
    applied: answer.applied,
    version: Number(answer.version),
    expireTime: dateOf(msOf(answer.expireTime)),
    previous: recordOf(answer.previous, answer.valueOmitted),
    current: recordOf(answer.current, answer.valueOmitted),
  };
}

/** The answer to a delete. */
export function deleteResultOf(answer: DeleteResponse): DeleteResult {
  return {
    applied: answer.applied,
    deleted: answer.deleted,
    version: Number(answer.version),
    previous: recordOf(answer.previous, answer.valueOmitted),
    current: recordOf(answer.current, answer.valueOmitted),
  };
}

/** The answer to a touch. */
export function touchResultOf(answer: TouchResponse): TouchResult {
  return {
    applied: answer.applied,
    found: answer.found,
    version: Number(answer.version),
    expireTime: dateOf(msOf(answer.expireTime)),
    current: recordOf(answer.current, answer.valueOmitted),
  };
}
