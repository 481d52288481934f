/**
 * Unix milliseconds in memory, Unix nanoseconds on disk: a signed 64-bit
 * little-endian integer, exact in both directions, without bigint.
 *
 * A product of milliseconds and 10^6 needs up to 63 bits, more than a number
 * has; so the work is split where every part stays below 2^53.
 */
import { KvixError } from "../base/kvix-error.js";

/** The last millisecond that fits, in the year 2262: floor((2^63 - 1) / 10^6). */
export const TIMESTAMP_MS_MAX = 9_223_372_036_854;

const NS_PER_MS = 1_000_000;
const TWO_POW_24 = 2 ** 24;
const TWO_POW_32 = 2 ** 32;
/** 2^32 = 4294 * 10^6 + 967296. */
const MS_PER_HIGH_WORD = 4_294;
const NS_REST_PER_HIGH_WORD = 967_296;

/**
 * Writes `ms` (0..TIMESTAMP_MS_MAX, whole) as 8 bytes at `at`. Any other number
 * is a defect of the caller: INTERNAL_BUG.
 */
export function writeTimestamp(view: DataView, at: number, ms: number): void {
  if (!Number.isInteger(ms) || ms < 0 || ms > TIMESTAMP_MS_MAX) {
    throw new KvixError("INTERNAL_BUG", "a timestamp outside 1970..2262", { metadata: { ms } });
  }
  // ms = high * 2^24 + low, so ns = (high * 10^6) * 2^24 + low * 10^6; the left product sheds its
  // low byte into the low part, which leaves a whole count of 2^32.
  const high = Math.floor(ms / TWO_POW_24) * NS_PER_MS;
  const low = (high % 256) * TWO_POW_24 + (ms % TWO_POW_24) * NS_PER_MS;
  view.setUint32(at, low % TWO_POW_32, true);
  view.setUint32(at + 4, Math.floor(high / 256) + Math.floor(low / TWO_POW_32), true);
}

/** The 8 bytes at `at` in whole milliseconds, rounded down; NaN if they are negative. */
export function readTimestampMs(view: DataView, at: number): number {
  const low = view.getUint32(at, true);
  const high = view.getInt32(at + 4, true);
  if (high < 0) return Number.NaN;
  return high * MS_PER_HIGH_WORD + Math.floor((high * NS_REST_PER_HIGH_WORD + low) / NS_PER_MS);
}
