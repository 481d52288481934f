/**
 * CRC-32 as zlib, PNG and Ethernet have it (reflected, polynomial 0xEDB88320),
 * the one checksum of every file. Checksums chain: the CRC of A followed by B
 * is `crc32(B, crc32(A))`, so a seed stands for bytes in front that are not in
 * the file, such as the salt of a segment.
 */
import { crc32 as zlibCrc32 } from "node:zlib";

/** The CRC-32 of `data`, an unsigned 32-bit number; `seed` is the CRC of what goes before. */
export function crc32(data: Uint8Array, seed = 0): number {
  return zlibCrc32(data, seed);
}
