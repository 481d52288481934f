/**
 * CRC-32 as zlib, PNG and Ethernet have it (reflected, polynomial 0xEDB88320),
 * the one checksum of every file. Checksums chain: the CRC of A followed by B
 * is `crc32(B, crc32(A))`, so a seed stands for bytes in front that are not in
 * the file, such as the salt of a segment.
 */
import { crc32 as zlibCrc32 } from "node:zlib";

/** Below this many bytes our own loop is done before zlib has been called. */
const LOOP_BYTES_MAX = 224;

/** The polynomial, bits reversed. */
const POLYNOMIAL = 0xedb88320;

/**
 * Eight tables of 256: entry i of table k is the checksum of byte i followed by
 * k zero bytes, so that eight bytes are taken at a time (slicing-by-8: Kounavis
 * and Berry, "A Systematic Approach to Building High Performance Software-Based
 * CRC Generators", 2005).
 */
const TABLES: Int32Array = (() => {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1) !== 0 ? POLYNOMIAL ^ (crc >>> 1) : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256] as number;
    tables[at] = (tables[before & 0xff] as number) ^ (before >>> 8);
  }
  return tables;
})();

/** The x^(2^k) modulo the polynomial, for k from 0; see `crc32Combine`. */
const POWERS: Uint32Array = (() => {
  const powers = new Uint32Array(32);
  powers[0] = 0x4000_0000;
  for (let k = 1; k < powers.length; k += 1) {
    const before = powers[k - 1] as number;
    powers[k] = multiplied(before, before);
  }
  return powers;
})();

/**
 * The CRC-32 of A followed by B, told from that of A, that of B and the length of B
 * in bytes: the CRC of A is shifted over B by multiplying it with x^(8 lengthBytes).
 * The algorithm is crc32_combine of zlib 1.2.12 (crc32.c: multmodp, x2nmodp).
 */
export function crc32Combine(first: number, second: number, secondBytes: number): number {
  // x^8, squared as often as there are bits in the length.
  let shift = 0x8000_0000;
  let k = 3;
  for (let left = secondBytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) shift = multiplied(POWERS[k % POWERS.length] as number, shift);
    k += 1;
  }
  return (multiplied(shift, first) ^ second) >>> 0;
}

/** The product of two polynomials modulo the polynomial, bits reversed. */
function multiplied(one: number, other: number): number {
  let product = 0;
  let factor = other;
  for (let bit = 31; bit >= 0; bit -= 1) {
    if (((one >>> bit) & 1) !== 0) product ^= factor;
    factor = (factor & 1) !== 0 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return product >>> 0;
}

/** The CRC-32 of `data`, an unsigned 32-bit number; `seed` is the CRC of what goes before. */
export function crc32(data: Uint8Array, seed = 0): number {
  return zlibCrc32(data, seed);
}

/** The CRC-32 of the bytes from `start` to before `end`; the fast way for the frames of small records. */
export function crc32Between(bytes: Uint8Array, start: number, end: number, seed: number): number {
  if (end - start > LOOP_BYTES_MAX) return zlibCrc32(bytes.subarray(start, end), seed);
  const t = TABLES;
  let crc = ~seed;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t[1792 + (crc & 0xff)]! ^
      t[1536 + ((crc >>> 8) & 0xff)]! ^
      t[1280 + ((crc >>> 16) & 0xff)]! ^
      t[1024 + (crc >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!;
  }
  for (; at < end; at += 1) crc = t[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
