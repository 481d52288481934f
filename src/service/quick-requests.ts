/**
 * The requests that a pipeline has most of, decoded by hand where they have no more
 * than the usual fields; all others are left to the generated code.
 *
 *     GetRequest, ExistsRequest    0a key
 *     SetRequest                   0a key  12 value  38 return_previous  40 durability
 *
 * Fields in this order, each at most once: what every encoder writes. Anything else
 * gives `undefined`, and nothing is thrown. A request lies between `start` and `end`. A test holds what is decoded here to what
 * the generated code makes of the same bytes.
 */
import { NOT_A_VARINT, readVarint, varintBytes } from "../format/varint.js";

const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
const RETURN_PREVIOUS_TAG = 0x38;
const DURABILITY_TAG = 0x40;

const NOTHING = new Uint8Array(0);
const NO_EXPIRY = { case: undefined } as const;

/** What a handler reads of a GetRequest or an ExistsRequest. */
export interface QuickKey {
  readonly key: Uint8Array;
}

/** What a handler reads of a SetRequest. */
export interface QuickSet extends QuickKey {
  readonly value: Uint8Array;
  readonly expiry: typeof NO_EXPIRY;
  readonly precondition: undefined;
  readonly returnPrevious: boolean;
  readonly durability: number;
}

/** A request that is a key and nothing else. */
export function quickKey(bytes: Uint8Array, start = 0, end = bytes.length): QuickKey | undefined {
  if (start >= end || bytes[start] !== KEY_TAG) return undefined;
  const length = readVarint(bytes, start + 1, end);
  const keyStart = start + 1 + varintBytes(length);
  if (length === NOT_A_VARINT || keyStart + length !== end) return undefined;
  return { key: bytes.subarray(keyStart, end) };
}

/** A Set of a key and a value that never expires, without a condition. */
export function quickSet(bytes: Uint8Array, start = 0, end = bytes.length): QuickSet | undefined {
  if (start >= end || bytes[start] !== KEY_TAG) return undefined;
  const keyBytes = readVarint(bytes, start + 1, end);
  if (keyBytes === NOT_A_VARINT) return undefined;
  const keyStart = start + 1 + varintBytes(keyBytes);
  let at = keyStart + keyBytes;
  if (at > end) return undefined;
  const key = bytes.subarray(keyStart, at);
  let value: Uint8Array = NOTHING;
  if (at < end && bytes[at] === VALUE_TAG) {
    const valueBytes = readVarint(bytes, at + 1, end);
    if (valueBytes === NOT_A_VARINT) return undefined;
    const valueStart = at + 1 + varintBytes(valueBytes);
    at = valueStart + valueBytes;
    if (at > end) return undefined;
    value = bytes.subarray(valueStart, at);
  }
  // Each of the two takes two bytes; behind `end` lies what is not of this request.
  const returnPrevious = at + 1 < end && bytes[at] === RETURN_PREVIOUS_TAG && bytes[at + 1] === 1;
  if (returnPrevious) at += 2;
  let durability = 0;
  if (at + 1 < end && bytes[at] === DURABILITY_TAG) {
    const byte = bytes[at + 1] as number;
    if (byte >= 0x80) return undefined;
    durability = byte;
    at += 2;
  }
  if (at !== end) return undefined;
  return { key, value, expiry: NO_EXPIRY, precondition: undefined, returnPrevious, durability };
}
