/**
 * From a request's fields to what the store is asked, or the error that names
 * the field and what it must be. Nothing is clamped or ignored. Values never
 * stand in an error, only lengths do (V12).
 *
 * Protobuf's bigints end here: past this file every number is a safe integer.
 */
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type DeleteRequest,
  Durability as DurabilityField,
  type Precondition,
  type SetRequest,
  type TouchRequest,
  type UploadHeader,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import {
  EXPIRES_AT_MS_MAX,
  KEY_BYTES_MAX,
  PAGE_RECORDS_DEFAULT,
  PAGE_RECORDS_MAX,
  REQUEST_ID_BYTES_MAX,
  REQUEST_ID_BYTES_MIN,
  VALUE_BYTES_MAX,
  VERSION_MAX,
} from "../base/limits.js";
import type { Condition, Durability, Expiry, TouchExpiry, WriteOptions } from "../engine/store.js";

const MS_PER_SECOND = 1000;
const NANOS_PER_MS = 1_000_000;
const NANOS_MAX = 999_999_999;
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, where google.protobuf.Timestamp begins and ends. */
const TIMESTAMP_SECONDS_MIN = -62_135_596_800n;
const TIMESTAMP_SECONDS_MAX = 253_402_300_799n;
const YEARS = "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z";
const NANOS_RANGE = `from 0 to ${NANOS_MAX}`;

/** The error for a field that must be `range`. */
export function fieldInvalid(field: string, range: string): KvixError {
  return new KvixError("FIELD_INVALID", `${field} must be ${range}`, {
    metadata: { field, range },
  });
}

/** The key, if it has 1 to 65,535 bytes; `field` is where it stands. */
export function requireKey(key: Uint8Array, field = "key"): Uint8Array {
  const keyBytes = key.byteLength;
  const metadata = { field, range: `1 to ${KEY_BYTES_MAX} bytes`, keyBytes };
  if (keyBytes === 0) throw new KvixError("KEY_EMPTY", "", { metadata });
  if (keyBytes > KEY_BYTES_MAX) throw new KvixError("KEY_TOO_LARGE", "", { metadata });
  return key;
}

/** The value, if it has at most 104,857,600 bytes. */
export function requireValue(value: Uint8Array): Uint8Array {
  const valueBytes = value.byteLength;
  if (valueBytes <= VALUE_BYTES_MAX) return value;
  throw new KvixError("VALUE_TOO_LARGE", "", {
    metadata: { field: "value", range: `at most ${VALUE_BYTES_MAX} bytes`, valueBytes },
  });
}

/** The length of a value that is announced, if it is at most 104,857,600 bytes. */
export function requireValueBytes(valueBytes: bigint): number {
  if (valueBytes <= BigInt(VALUE_BYTES_MAX)) return Number(valueBytes);
  throw new KvixError("VALUE_TOO_LARGE", "", {
    metadata: {
      field: "value_bytes",
      range: `at most ${VALUE_BYTES_MAX} bytes`,
      valueBytes: `${valueBytes}`,
    },
  });
}

/** When the record is to expire. `nowMs`: the wall clock, which a ttl counts from. */
export function requireExpiry(expiry: SetRequest["expiry"], nowMs: number): Expiry {
  switch (expiry.case) {
    case "ttl":
      return { kind: "ttl", ttlMs: requireTtlMs(expiry.value, nowMs) };
    case "expireTime":
      return { kind: "at", atMs: requireInstantMs(expiry.value) };
    case "keepTtl":
      if (!expiry.value) throw fieldInvalid("keep_ttl", "true, or left out");
      return { kind: "keep" };
    default:
      return { kind: "never" };
  }
}

/** The expiry that a record is to have from now on. `nowMs`: as for `requireExpiry`. */
export function requireTouchExpiry(expiry: TouchRequest["expiry"], nowMs: number): TouchExpiry {
  switch (expiry.case) {
    case "ttl":
      return { kind: "ttl", ttlMs: requireTtlMs(expiry.value, nowMs) };
    case "expireTime":
      return { kind: "at", atMs: requireInstantMs(expiry.value) };
    case "persist":
      if (!expiry.value) throw fieldInvalid("persist", "true, or left out");
      return { kind: "never" };
    default:
      throw fieldInvalid("expiry", "one of ttl, expire_time and persist");
  }
}

/** As `requireTouchExpiry`; none: the expiry stays as it is. */
export function requireIncrementExpiry(expiry: TouchRequest["expiry"], nowMs: number): Expiry {
  return expiry.case === undefined ? { kind: "keep" } : requireTouchExpiry(expiry, nowMs);
}

/** The id of a request, if it has one. */
export function requireRequestId(requestId: Uint8Array): Uint8Array | undefined {
  const { byteLength } = requestId;
  if (byteLength === 0) return undefined;
  if (byteLength >= REQUEST_ID_BYTES_MIN && byteLength <= REQUEST_ID_BYTES_MAX) return requestId;
  const range = `${REQUEST_ID_BYTES_MIN} to ${REQUEST_ID_BYTES_MAX} bytes, or left out`;
  throw fieldInvalid("request_id", range);
}

/** What goes with a write, but for its signal. */
export function requireWriteOptions(
  request: SetRequest | DeleteRequest | TouchRequest | UploadHeader,
): WriteOptions {
  return {
    condition: requireCondition(request.precondition),
    returnPrevious: "returnPrevious" in request && request.returnPrevious,
    durability: requireDurability(request.durability),
  };
}

/** How many entries a page may have. */
export function requirePageSize(pageSize: number): number {
  if (pageSize < 0) throw fieldInvalid("page_size", "0 or more");
  return pageSize === 0 ? PAGE_RECORDS_DEFAULT : Math.min(pageSize, PAGE_RECORDS_MAX);
}

function requireTtlMs({ seconds, nanos }: Duration, nowMs: number): number {
  const hasMixedSigns = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  if (Math.abs(nanos) > NANOS_MAX || hasMixedSigns) {
    throw fieldInvalid("ttl.nanos", `from -${NANOS_MAX} to ${NANOS_MAX}, with the sign of seconds`);
  }
  const ttlMax = EXPIRES_AT_MS_MAX - nowMs;
  const range = "more than zero, and end by 9999-12-31T23:59:59.999Z";
  // Compared as bigint first: beyond 2^53 a number would round.
  if (seconds < 0n || seconds > TIMESTAMP_SECONDS_MAX) throw fieldInvalid("ttl", range);
  const ttlMs = roundedUpMs(seconds, nanos);
  if (ttlMs <= 0 || ttlMs > ttlMax) throw fieldInvalid("ttl", range);
  return ttlMs;
}

function requireInstantMs({ seconds, nanos }: Timestamp): number {
  if (nanos < 0 || nanos > NANOS_MAX) throw fieldInvalid("expire_time.nanos", NANOS_RANGE);
  if (seconds < TIMESTAMP_SECONDS_MIN || seconds > TIMESTAMP_SECONDS_MAX) {
    throw fieldInvalid("expire_time", YEARS);
  }
  const atMs = roundedUpMs(seconds, nanos);
  if (atMs > EXPIRES_AT_MS_MAX) throw fieldInvalid("expire_time", YEARS);
  // 0 means "never" in a record, so the format has 1 ms for 1970-01-01 and all before it.
  return Math.max(1, atMs);
}

function roundedUpMs(seconds: bigint, nanos: number): number {
  return Number(seconds) * MS_PER_SECOND + Math.ceil(nanos / NANOS_PER_MS);
}

/** What must hold of a key; undefined: nothing. */
export function requireCondition(precondition: Precondition | undefined): Condition | undefined {
  const condition = precondition?.condition;
  switch (condition?.case) {
    case "absent":
    case "present":
      if (condition.value) return { kind: condition.case };
      throw fieldInvalid(`precondition.${condition.case}`, "true, or left out");
    case "version":
      if (condition.value >= 1n && condition.value <= BigInt(VERSION_MAX)) {
        return { kind: "version", version: Number(condition.value) };
      }
      throw fieldInvalid("precondition.version", `from 1 to ${VERSION_MAX}`);
    default:
      return undefined;
  }
}

/** When to acknowledge; undefined: as the store has it. */
export function requireDurability(durability: DurabilityField): Durability | undefined {
  switch (durability) {
    case DurabilityField.UNSPECIFIED:
      return undefined;
    case DurabilityField.SYNC:
      return "sync";
    case DurabilityField.BUFFERED:
      return "buffered";
    default:
      throw fieldInvalid("durability", "DURABILITY_UNSPECIFIED, _SYNC or _BUFFERED");
  }
}
