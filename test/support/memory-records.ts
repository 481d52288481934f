/** The records of the store in a Map, and the events that tell of them. */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { RecordSchema } from "../../gen/kvix/v1/kvix_pb.js";
import type { Condition, StoredRecord } from "../../src/engine/store.js";
import type { WatchEvent } from "../../src/engine/store-watch.js";

/** What stands under a key. */
export interface Entry {
  readonly value: Uint8Array;
  readonly version: number;
  readonly updatedAtMs: number;
  /** 0: never. */
  readonly expiresAtMs: number;
}

/** The record in the encoding of the generated code, so that a splice is held against it. */
export function recordOf(key: Uint8Array, entry: Entry | undefined): StoredRecord | undefined {
  if (entry === undefined) return undefined;
  const { value, version, updatedAtMs, expiresAtMs } = entry;
  const fields = { key, value, version: BigInt(version), updateTime: timestampFromMs(updatedAtMs) };
  const expiry = expiresAtMs === 0 ? {} : { expireTime: timestampFromMs(expiresAtMs) };
  const payload = toBinary(RecordSchema, create(RecordSchema, { ...fields, ...expiry }));
  const valueOffset = value.byteLength === 0 ? 0 : offsetOfValue(payload);
  return {
    payload,
    value: payload.subarray(valueOffset, valueOffset + value.byteLength),
    version,
    updatedAtMs,
    expiresAtMs,
  };
}

/** What a watcher is told of an entry. */
export function eventOf(kind: WatchEvent["kind"], key: Uint8Array, entry: Entry): WatchEvent {
  const { payload: record } = recordOf(key, entry) as StoredRecord;
  const { version, expiresAtMs } = entry;
  const recordBytes = kind === "set" ? record.length : 0;
  return { kind, key: key.slice(), version, expiresAtMs, recordBytes, record };
}

/** Where the value's bytes begin in a record that has one: behind the fields' tags and lengths. */
function offsetOfValue(payload: Uint8Array): number {
  const afterVarint = (at: number): [value: number, end: number] => {
    let value = 0;
    let end = at;
    let scale = 1;
    do {
      value += ((payload[end] ?? 0) & 0x7f) * scale;
      scale *= 0x80;
    } while ((payload[end++] ?? 0) >= 0x80);
    return [value, end];
  };
  const [keyBytes, keyStart] = afterVarint(1);
  return afterVarint(keyStart + keyBytes + 1)[1];
}

/** Whether a condition holds of what stands. */
export function holds(condition: Condition | undefined, standing: Entry | undefined): boolean {
  switch (condition?.kind) {
    case "absent":
      return standing === undefined;
    case "present":
      return standing !== undefined;
    case "version":
      return standing?.version === condition.version;
    default:
      return true;
  }
}
