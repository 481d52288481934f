/**
 * The number that Increment adds to, as a value: the canonical decimal text of a
 * 64-bit signed integer, in ASCII.
 *
 *     0  |  -?  1..9  then up to 18 of 0..9        from -2^63 to 2^63 - 1
 *
 * So a number has one text. Nothing else is one: no plus sign, no minus zero, no
 * leading zero, no space, no fraction, no exponent, and not the empty value.
 */

/** The least number: -2^63. */
export const NUMBER_MIN = -(2n ** 63n);
/** The greatest number: 2^63 - 1. */
export const NUMBER_MAX = 2n ** 63n - 1n;

/** The longest text, in bytes: that of -2^63. */
export const NUMBER_TEXT_BYTES_MAX = 20;

const CANONICAL = /^(?:0|-?[1-9][0-9]{0,18})$/;

/** The number that a value is; undefined: it is none. */
export function parseNumber(value: Uint8Array): bigint | undefined {
  if (value.length === 0 || value.length > NUMBER_TEXT_BYTES_MAX) return undefined;
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1");
  if (!CANONICAL.test(text)) return undefined;
  const number = BigInt(text);
  return isNumber(number) ? number : undefined;
}

/** Whether it has 64 bits at most. */
export function isNumber(number: bigint): boolean {
  return number >= NUMBER_MIN && number <= NUMBER_MAX;
}

/** The value that a number is. */
export function encodeNumber(number: bigint): Uint8Array {
  return Buffer.from(number.toString(), "latin1");
}
