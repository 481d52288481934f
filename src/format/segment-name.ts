/**
 * The names of segments and their hints: `{prefix}_{id:05}_{timestamp}.seg`
 * and `.hint`, the timestamp in Unix nanoseconds.
 *
 * A name is parsed only if writing it again gives the same name. The prefix
 * may contain underscores, never a dot or a slash: nothing escapes the
 * directory.
 */
import { SEGMENT_ID_MAX } from "../base/limits.js";

/** The last timestamp a segment may have: the largest i64, in the year 2262. */
export const SEGMENT_TIMESTAMP_NS_MAX = 2n ** 63n - 1n;

const PREFIX = /^[A-Za-z0-9_-]{1,64}$/;
// The first group is greedy, so id and timestamp are the last two parts.
const SEGMENT_FILE = /^([A-Za-z0-9_-]{1,64})_([0-9]{5})_(0|[1-9][0-9]{0,18})\.(seg|hint)$/;

/** What a segment's or hint's file name says. */
export interface SegmentFileName {
  readonly prefix: string;
  readonly id: number;
  readonly timestampNs: bigint;
  readonly kind: "segment" | "hint";
}

/** The name of a segment's file. */
export function segmentFileName(prefix: string, id: number, timestampNs: bigint): string {
  return `${stem(prefix, id, timestampNs)}.seg`;
}

/** The name of its hint's file. */
export function hintFileName(prefix: string, id: number, timestampNs: bigint): string {
  return `${stem(prefix, id, timestampNs)}.hint`;
}

/** What the name says, or undefined if it is not exactly one that the functions above give. */
export function parseSegmentFileName(name: string): SegmentFileName | undefined {
  const match = SEGMENT_FILE.exec(name);
  if (match === null) return undefined;
  const [, prefix = "", idText = "", timestampText = "", extension] = match;
  const id = Number(idText);
  const timestampNs = BigInt(timestampText);
  if (id > SEGMENT_ID_MAX || timestampNs > SEGMENT_TIMESTAMP_NS_MAX) return undefined;
  return { prefix, id, timestampNs, kind: extension === "seg" ? "segment" : "hint" };
}

/** Whether names may start with it: 1 to 64 of A-Z, a-z, 0-9, `_` and `-`. */
export function isValidPrefix(prefix: string): boolean {
  return PREFIX.test(prefix);
}

function stem(prefix: string, id: number, timestampNs: bigint): string {
  return `${prefix}_${String(id).padStart(5, "0")}_${timestampNs}`;
}
