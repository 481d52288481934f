/**
 * The payload of a value and of a tombstone: the proto's Record, in the one
 * encoding that a conforming protobuf library also produces.
 *
 *     0a key    length, bytes                  1..65,535 bytes
 *     12 value  length, bytes                  left out when empty
 *     18 version                               1..2^48-1
 *     22 update_time  length, Timestamp        always there
 *     2a expire_time  length, Timestamp        left out: never
 *
 *     Timestamp: 08 seconds, 10 nanos; each left out when zero
 *
 * Invariants
 *  1. One record, one encoding: fields ascend, zeros and empties are left out,
 *     integers are minimal, times are whole milliseconds. `parseRecord` takes
 *     nothing else, so the bytes on disk go to a client as they are and can
 *     carry nothing that the client should not see.
 *  2. A tombstone is a Record without value and expiry; that it is one, only
 *     the frame's flag says.
 *  3. An expiry of 0 ms means "never"; the instant 1970-01-01 itself cannot be
 *     one, so an expiry at or before it is stored as 1 ms.
 */
import { EXPIRES_AT_MS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, VERSION_MAX } from "../base/limits.js";
import { NOT_A_VARINT, readVarint, varintBytes, writeVarint } from "./varint.js";

/** The tags in front of the key, the value and the version. On disk. */
export const KEY_TAG = 0x0a;
export const VALUE_TAG = 0x12;
export const VERSION_TAG = 0x18;
const UPDATE_TIME_TAG = 0x22;
const EXPIRE_TIME_TAG = 0x2a;
const SECONDS_TAG = 0x08;
const NANOS_TAG = 0x10;

const MS_PER_SECOND = 1_000;
const NS_PER_MS = 1_000_000;
const SECONDS_MAX = Math.floor(EXPIRES_AT_MS_MAX / MS_PER_SECOND);
/** What a time is when its bytes are not a canonical Timestamp of whole milliseconds. */
const NOT_A_TIME = -1;

/** Below this many bytes a loop copies faster than `Uint8Array.set`. */
const LOOP_COPY_BYTES_MAX = 32;

/** Where a record's fields are, and what its numbers say. Filled by `parseRecord`, made once. */
export interface RecordFields {
  keyStart: number;
  keyEnd: number;
  valueStart: number;
  valueEnd: number;
  version: number;
  /** Unix milliseconds. */
  updatedAtMs: number;
  /** Unix milliseconds; 0: never. */
  expiresAtMs: number;
}

/** Fields to parse into, again and again. */
export function newRecordFields(): RecordFields {
  return {
    keyStart: 0,
    keyEnd: 0,
    valueStart: 0,
    valueEnd: 0,
    version: 0,
    updatedAtMs: 0,
    expiresAtMs: 0,
  };
}

/** The length of the encoded record. `expiresAtMs` 0: never. */
export function recordBytes(
  keyBytes: number,
  valueBytes: number,
  version: number,
  updatedAtMs: number,
  expiresAtMs: number,
): number {
  let bytes = tombstoneBytes(keyBytes, version, updatedAtMs);
  if (valueBytes !== 0) bytes += 1 + varintBytes(valueBytes) + valueBytes;
  if (expiresAtMs !== 0) bytes += 2 + timeBytes(expiresAtMs);
  return bytes;
}

/**
 * Writes the record at `at` and returns where it ends, `recordBytes` further.
 * The caller has checked the fields against the limits. `expiresAtMs` 0: never.
 */
export function encodeRecord(
  bytes: Uint8Array,
  at: number,
  key: Uint8Array,
  value: Uint8Array,
  version: number,
  updatedAtMs: number,
  expiresAtMs: number,
): number {
  let end = writeBytes(bytes, at, KEY_TAG, key);
  if (value.length !== 0) end = writeBytes(bytes, end, VALUE_TAG, value);
  return encodeRecordTail(bytes, end, version, updatedAtMs, expiresAtMs);
}

/** The length of all that precedes the bytes of a value of `valueBytes`. */
export function recordHeadBytes(keyBytes: number, valueBytes: number): number {
  const valueHead = valueBytes === 0 ? 0 : 1 + varintBytes(valueBytes);
  return 1 + varintBytes(keyBytes) + keyBytes + valueHead;
}

/** Writes what precedes the bytes of the value at `at`, and returns where they go. */
export function encodeRecordHead(
  bytes: Uint8Array,
  at: number,
  key: Uint8Array,
  valueBytes: number,
): number {
  const end = writeBytes(bytes, at, KEY_TAG, key);
  if (valueBytes === 0) return end;
  bytes[end] = VALUE_TAG;
  return writeVarint(bytes, end + 1, valueBytes);
}

/** Writes what follows the bytes of the value at `at`, and returns where the record ends. */
export function encodeRecordTail(
  bytes: Uint8Array,
  at: number,
  version: number,
  updatedAtMs: number,
  expiresAtMs: number,
): number {
  bytes[at] = VERSION_TAG;
  const end = writeTime(bytes, writeVarint(bytes, at + 1, version), UPDATE_TIME_TAG, updatedAtMs);
  return expiresAtMs === 0 ? end : writeTime(bytes, end, EXPIRE_TIME_TAG, expiresAtMs);
}

/** The most bytes that follow a value: tags, lengths, the largest version and two times. */
export const RECORD_TAIL_BYTES_MAX = 40;

/** The most bytes of an update_time: its tag, its length, seconds and nanoseconds. */
export const UPDATE_TIME_BYTES_MAX = 15;

/** Writes the field of an update_time at `at`, and returns where it ends. */
export function encodeUpdateTime(bytes: Uint8Array, at: number, ms: number): number {
  return writeTime(bytes, at, UPDATE_TIME_TAG, ms);
}

/** The length of the encoded tombstone. */
export function tombstoneBytes(keyBytes: number, version: number, updatedAtMs: number): number {
  const fixed = 1 + 1 + 2; // the tags of key and version; tag and length of update_time
  return fixed + varintBytes(keyBytes) + keyBytes + varintBytes(version) + timeBytes(updatedAtMs);
}

/** Writes the tombstone at `at` and returns where it ends, `tombstoneBytes` further. */
export function encodeTombstone(
  bytes: Uint8Array,
  at: number,
  key: Uint8Array,
  version: number,
  updatedAtMs: number,
): number {
  let end = writeBytes(bytes, at, KEY_TAG, key);
  bytes[end] = VERSION_TAG;
  end = writeVarint(bytes, end + 1, version);
  return writeTime(bytes, end, UPDATE_TIME_TAG, updatedAtMs);
}

/**
 * Parses the canonical record that fills `start` to `end` exactly. False for
 * any other bytes, and `out` then means nothing.
 */
export function parseRecord(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: RecordFields,
): boolean {
  let at = start;
  if (at >= end || bytes[at] !== KEY_TAG) return false;
  const keyBytes = readVarint(bytes, at + 1, end);
  if (keyBytes < 1 || keyBytes > KEY_BYTES_MAX) return false;
  out.keyStart = at + 1 + varintBytes(keyBytes);
  at = out.keyEnd = out.keyStart + keyBytes;

  out.valueStart = out.valueEnd = at;
  if (at < end && bytes[at] === VALUE_TAG) {
    const valueBytes = readVarint(bytes, at + 1, end);
    if (valueBytes < 1 || valueBytes > VALUE_BYTES_MAX) return false;
    out.valueStart = at + 1 + varintBytes(valueBytes);
    at = out.valueEnd = out.valueStart + valueBytes;
  }

  if (at >= end || bytes[at] !== VERSION_TAG) return false;
  out.version = readVarint(bytes, at + 1, end);
  if (out.version < 1 || out.version > VERSION_MAX) return false;
  at += 1 + varintBytes(out.version);

  out.updatedAtMs = readTime(bytes, at, end, UPDATE_TIME_TAG);
  if (out.updatedAtMs === NOT_A_TIME) return false;
  at += 2 + timeBytes(out.updatedAtMs);

  out.expiresAtMs = 0;
  if (at === end) return true;
  out.expiresAtMs = readTime(bytes, at, end, EXPIRE_TIME_TAG);
  return out.expiresAtMs > 0 && at + 2 + timeBytes(out.expiresAtMs) === end;
}

function writeBytes(bytes: Uint8Array, at: number, tag: number, source: Uint8Array): number {
  bytes[at] = tag;
  const start = writeVarint(bytes, at + 1, source.length);
  if (source.length > LOOP_COPY_BYTES_MAX) {
    bytes.set(source, start);
  } else {
    for (let index = 0; index < source.length; index++) bytes[start + index] = source[index]!;
  }
  return start + source.length;
}

/** The length of a Timestamp's fields, without the tag and length before them: 0..13. */
function timeBytes(ms: number): number {
  const seconds = Math.floor(ms / MS_PER_SECOND);
  const nanos = (ms % MS_PER_SECOND) * NS_PER_MS;
  return (
    (seconds === 0 ? 0 : 1 + varintBytes(seconds)) + (nanos === 0 ? 0 : 1 + varintBytes(nanos))
  );
}

function writeTime(bytes: Uint8Array, at: number, tag: number, ms: number): number {
  const seconds = Math.floor(ms / MS_PER_SECOND);
  const nanos = (ms % MS_PER_SECOND) * NS_PER_MS;
  let end = at + 2;
  if (seconds !== 0) {
    bytes[end] = SECONDS_TAG;
    end = writeVarint(bytes, end + 1, seconds);
  }
  if (nanos !== 0) {
    bytes[end] = NANOS_TAG;
    end = writeVarint(bytes, end + 1, nanos);
  }
  bytes[at] = tag;
  bytes[at + 1] = end - at - 2;
  return end;
}

/** The Timestamp field with this tag at `at`, in milliseconds, or NOT_A_TIME. */
function readTime(bytes: Uint8Array, at: number, end: number, tag: number): number {
  if (at + 2 > end || bytes[at] !== tag) return NOT_A_TIME;
  let next = at + 2;
  const timeEnd = next + bytes[at + 1]!;
  if (timeEnd > end) return NOT_A_TIME;
  let ms = 0;
  if (next < timeEnd && bytes[next] === SECONDS_TAG) {
    const seconds = readVarint(bytes, next + 1, timeEnd);
    if (seconds < 1 || seconds > SECONDS_MAX) return NOT_A_TIME;
    ms = seconds * MS_PER_SECOND;
    next += 1 + varintBytes(seconds);
  }
  if (next < timeEnd && bytes[next] === NANOS_TAG) {
    const nanos = readVarint(bytes, next + 1, timeEnd);
    if (nanos === NOT_A_VARINT || nanos === 0 || nanos % NS_PER_MS !== 0) return NOT_A_TIME;
    if (nanos >= MS_PER_SECOND * NS_PER_MS) return NOT_A_TIME;
    ms += nanos / NS_PER_MS;
    next += 1 + varintBytes(nanos);
  }
  return next === timeEnd ? ms : NOT_A_TIME;
}
