/**
 * Protobuf's variable-length integers, canonical only: seven bits a byte, low
 * bits first, no byte more than the value needs. A value therefore tells how
 * long it is, and a reader needs no cursor: `at += varintBytes(value)`.
 *
 * Values are safe integers below 2^49, which every length, version and time of
 * a record is; past 31 bits the arithmetic leaves 32-bit integers.
 */

/** What `readVarint` says of bytes that are no canonical value below 2^49. */
export const NOT_A_VARINT = -1;

/** What the longest value takes. */
export const VARINT_BYTES_MAX = 7;

const TWO_POW_28 = 2 ** 28;
const TWO_POW_35 = 2 ** 35;
const TWO_POW_42 = 2 ** 42;

/** How many bytes the value takes: 1..7. */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < TWO_POW_28) return 4;
  if (value < TWO_POW_35) return 5;
  return value < TWO_POW_42 ? 6 : 7;
}

/** Writes the value at `at` and returns where it ends. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let end = at;
  let rest = value;
  while (rest >= TWO_POW_28) {
    bytes[end++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    bytes[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[end++] = rest;
  return end;
}

/** The value at `at`, or NOT_A_VARINT if it runs past `end`, is not minimal, or is too large. */
export function readVarint(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return NOT_A_VARINT;
  const first = bytes[at]!;
  if (first < 0x80) return first;
  let value = first & 0x7f;
  let scale = 0x80;
  const last = Math.min(end, at + 7);
  for (let next = at + 1; next < last; next++) {
    const byte = bytes[next]!;
    value += (byte & 0x7f) * scale;
    // A last byte of zero carries nothing: a shorter encoding exists.
    if (byte < 0x80) return byte === 0 ? NOT_A_VARINT : value;
    scale *= 0x80;
  }
  return NOT_A_VARINT;
}
