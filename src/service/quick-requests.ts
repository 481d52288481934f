/**
 * The requests that a pipeline has most of, decoded by hand where they have no more
 * than the usual fields; all others are left to the generated code.
 *
 *     GetRequest, ExistsRequest    0a key
 *     SetRequest                   0a key  12 value  38 return_previous  40 durability
 *
 * Fields in this order, each at most once: what every encoder writes. Anything else
 * gives `undefined`, and nothing is thrown. A request lies between `start` and `end`. A test
 * holds what is decoded here to what the generated code makes of the same bytes.
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

/** Where the key and the value of a SetRequest lie, and what else it says; see `placeSet`. */
export interface SetPlaces {
  keyStart: number;
  keyEnd: number;
  valueStart: number;
  valueEnd: number;
  returnPrevious: boolean;
  durability: number;
}

/** Places to read into, again and again. */
export function newSetPlaces(): SetPlaces {
  return {
    keyStart: 0,
    keyEnd: 0,
    valueStart: 0,
    valueEnd: 0,
    returnPrevious: false,
    durability: 0,
  };
}

const places = newSetPlaces();

/** A Set of a key and a value that never expires, without a condition. */
export function quickSet(bytes: Uint8Array, start = 0, end = bytes.length): QuickSet | undefined {
  if (!placeSet(bytes, start, end, places)) return undefined;
  const { keyStart, keyEnd, valueStart, valueEnd, returnPrevious, durability } = places;
  return {
    key: bytes.subarray(keyStart, keyEnd),
    value: valueStart === valueEnd ? NOTHING : bytes.subarray(valueStart, valueEnd),
    expiry: NO_EXPIRY,
    precondition: undefined,
    returnPrevious,
    durability,
  };
}

/** Finds the same, and makes no views: false for any other, and `out` then means nothing. */
export function placeSet(bytes: Uint8Array, start: number, end: number, out: SetPlaces): boolean {
  if (start >= end || bytes[start] !== KEY_TAG) return false;
  const keyBytes = readVarint(bytes, start + 1, end);
  if (keyBytes === NOT_A_VARINT) return false;
  out.keyStart = start + 1 + varintBytes(keyBytes);
  let at = out.keyStart + keyBytes;
  if (at > end) return false;
  out.keyEnd = at;
  out.valueStart = at;
  if (at < end && bytes[at] === VALUE_TAG) {
    const valueBytes = readVarint(bytes, at + 1, end);
    if (valueBytes === NOT_A_VARINT) return false;
    out.valueStart = at + 1 + varintBytes(valueBytes);
    at = out.valueStart + valueBytes;
    if (at > end) return false;
  }
  out.valueEnd = at;
  // Each of the two takes two bytes; behind `end` lies what is not of this request.
  out.returnPrevious = at + 1 < end && bytes[at] === RETURN_PREVIOUS_TAG && bytes[at + 1] === 1;
  if (out.returnPrevious) at += 2;
  out.durability = 0;
  if (at + 1 < end && bytes[at] === DURABILITY_TAG) {
    const byte = bytes[at + 1] as number;
    if (byte >= 0x80) return false;
    out.durability = byte;
    at += 2;
  }
  return at === end;
}
