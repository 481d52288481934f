/**
 * The `result` of a batch that has a request_id: what became of each mutation of
 * the request, in its order, so that a repeat is answered as the first one was.
 * The proto's BatchResult in its one encoding.
 *
 *     0a member      length, fields       one for each mutation, also of those
 *                                         that found nothing to change
 *        08 version        varint         left out when 0: it wrote nothing
 *        10 expires_at_ms  varint         left out when 0: never
 *        18 found          01             left out when false
 *        21 value          8 bytes        left out when 0; little-endian, signed
 */
import { BATCH_MUTATIONS_MAX, EXPIRES_AT_MS_MAX, VERSION_MAX } from "../base/limits.js";
import { readVarint, varintBytes, writeVarint } from "./varint.js";

const MEMBER_TAG = 0x0a;
const VERSION_TAG = 0x08;
const EXPIRES_AT_TAG = 0x10;
const FOUND_TAG = 0x18;
const VALUE_TAG = 0x21;
const VALUE_BYTES = 8;

/** What became of one mutation. */
export interface MemberResult {
  /** The version that it wrote; 0: it found nothing to change. */
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** Of a delete or a touch: whether there was a visible record. */
  readonly found: boolean;
  /** Of an increment: the number; else 0. */
  readonly value: bigint;
}

/** Encodes the results of 1 to 10,000 mutations: at most 320 KB. */
export function encodeBatchResult(members: readonly MemberResult[]): Uint8Array {
  let size = 0;
  for (const member of members) {
    const bytes = memberBytes(member);
    size += 1 + varintBytes(bytes) + bytes;
  }
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const member of members) {
    bytes[at] = MEMBER_TAG;
    at = writeVarint(bytes, at + 1, memberBytes(member));
    at = writeNumber(bytes, at, VERSION_TAG, member.version);
    at = writeNumber(bytes, at, EXPIRES_AT_TAG, member.expiresAtMs);
    at = writeNumber(bytes, at, FOUND_TAG, member.found ? 1 : 0);
    if (member.value === 0n) continue;
    bytes[at] = VALUE_TAG;
    view.setBigInt64(at + 1, member.value, true);
    at += 1 + VALUE_BYTES;
  }
  return bytes;
}

/** Decodes the canonical result that `bytes` are; undefined for other bytes. */
export function decodeBatchResult(bytes: Uint8Array): MemberResult[] | undefined {
  const members: MemberResult[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at] === MEMBER_TAG ? readVarint(bytes, at + 1, bytes.length) : -1;
    if (length < 0 || members.length === BATCH_MUTATIONS_MAX) return undefined;
    const start = at + 1 + varintBytes(length);
    const end = start + length;
    const member = end > bytes.length ? undefined : decodeMember(bytes, view, start, end);
    if (member === undefined) return undefined;
    members.push(member);
    at = end;
  }
  return members.length === 0 ? undefined : members;
}

function decodeMember(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): MemberResult | undefined {
  let at = start;
  /** The number under `tag`; 0 if it is left out, -1 if it is malformed. */
  const number = (tag: number, max: number): number => {
    if (at >= end || bytes[at] !== tag) return 0;
    const value = readVarint(bytes, at + 1, end);
    if (value < 1 || value > max) return -1;
    at += 1 + varintBytes(value);
    return value;
  };
  const version = number(VERSION_TAG, VERSION_MAX);
  const expiresAtMs = number(EXPIRES_AT_TAG, EXPIRES_AT_MS_MAX);
  const found = number(FOUND_TAG, 1);
  if (version < 0 || expiresAtMs < 0 || found < 0) return undefined;
  let value = 0n;
  if (at + 1 + VALUE_BYTES === end && bytes[at] === VALUE_TAG) {
    value = view.getBigInt64(at + 1, true);
    if (value === 0n) return undefined;
    at = end;
  }
  return at === end ? { version, expiresAtMs, found: found === 1, value } : undefined;
}

function memberBytes({ version, expiresAtMs, found, value }: MemberResult): number {
  return (
    (version === 0 ? 0 : 1 + varintBytes(version)) +
    (expiresAtMs === 0 ? 0 : 1 + varintBytes(expiresAtMs)) +
    (found ? 2 : 0) +
    (value === 0n ? 0 : 1 + VALUE_BYTES)
  );
}

function writeNumber(bytes: Uint8Array, at: number, tag: number, value: number): number {
  if (value === 0) return at;
  bytes[at] = tag;
  return writeVarint(bytes, at + 1, value);
}
