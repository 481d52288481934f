/**
 * Which one bit of a frame is wrong, if one bit is all that is wrong: so that
 * recovery can still tell which key a rotted frame belongs to (V13).
 *
 * A CRC is linear: flipping bit k of what it covers changes it by a pattern
 * that depends only on how far k is from the end. In CRC-32's own terms, the
 * pattern of the last bit is x^32 modulo the polynomial and each bit before it
 * has one more factor of x; the 32 bits of the stored checksum itself are x^31
 * down to x^0. So the difference between the stored and the computed checksum
 * names the bit: walk x^0, x^1, ... until it is met, one shift for each bit.
 *
 * What holds
 *  1. One flipped bit is found, exactly: the polynomial is primitive, so the
 *     patterns repeat only after 2^32 - 1 bits, and the bound is 2^27.
 *  2. Two flipped bits of a frame of up to 11,454 bytes give undefined, never a
 *     third bit: CRC-32 has distance 4 that far.
 *  3. Two or three flipped bits of a frame of up to 375 bytes give undefined:
 *     distance 5.
 *  4. Beyond, several flips may look like one; the chance for arbitrary damage
 *     is the frame's number of bits in 2^32. A name found here is evidence for
 *     a damage report, not a repair.
 */
import { crc32 } from "./checksum.js";

/** The longest frame that is examined, in bytes (16 MiB); it takes under half a second. */
export const BIT_FLIP_FRAME_BYTES_MAX = 16_777_216;

/** The polynomial, lowest power in the highest bit, without x^32. */
const POLYNOMIAL = 0xedb88320 | 0;
/** The bytes of the stored checksum, first in the frame. */
const CHECKSUM_BYTES = 4;

/**
 * The bit of this complete frame whose inversion makes its checksum right:
 * byte * 8 + bit, bits counted from the lowest. Undefined: the frame is sound,
 * no single bit does it, or it is longer than BIT_FLIP_FRAME_BYTES_MAX.
 */
export function findFlippedBit(frame: Uint8Array, salt: number): number | undefined {
  if (frame.length <= CHECKSUM_BYTES || frame.length > BIT_FLIP_FRAME_BYTES_MAX) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, CHECKSUM_BYTES);
  const difference = (view.getUint32(0, true) ^ crc32(frame.subarray(CHECKSUM_BYTES), salt)) | 0;
  if (difference === 0) return undefined;
  const coveredBits = (frame.length - CHECKSUM_BYTES) * 8;
  // x^0 is the highest bit of the reflected register.
  let pattern = 1 << 31;
  for (let power = 0; power < 32 + coveredBits; power++) {
    if (pattern === difference) return power < 32 ? 31 - power : frame.length * 8 - (power - 31);
    pattern = (pattern >>> 1) ^ ((0 - (pattern & 1)) & POLYNOMIAL);
  }
  return undefined;
}
