/**
 * The flags of the verbs that take a range of keys: --prefix, --start and --end.
 *
 * --after goes on where another command ended: only keys behind it, or before it in
 * reverse. It narrows the range, whatever else names it; so the bounds of a prefix are
 * worked out here, for the service takes a prefix or bounds, not both.
 */
import type { Command } from "commander";
import { keyAbove, keyBehind } from "../base/key-order.js";
import { KEY_BYTES_MAX } from "../base/limits.js";
import { type ByteFormat, isPrintable, parseByteText, showBytes } from "./byte-text.js";
import type { FaultList } from "./usage-error.js";

/** The flags. */
export interface RangeFlags {
  readonly prefix?: string;
  readonly start?: string;
  readonly end?: string;
}

/** A range in the proto's terms; empty: no such bound. */
export interface KeyRange {
  readonly prefix: Uint8Array;
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

const NONE = new Uint8Array(0);

/** Declares them. */
export function addRangeFlags(command: Command): Command {
  return command
    .option("--prefix <P>", "only keys that begin with this")
    .option("--start <KEY>", "only keys at or above this one")
    .option("--end <KEY>", "only keys below this one");
}

/** The range that the flags ask for; faults are noted. */
export function readRange(flags: RangeFlags, format: ByteFormat, faults: FaultList): KeyRange {
  const bound = (option: string, text = ""): Uint8Array => readBound(option, text, format, faults);
  if (flags.prefix !== undefined && (flags.start ?? flags.end) !== undefined) {
    faults.add("--prefix", "does not go together with --start or --end");
  }
  return {
    prefix: bound("--prefix", flags.prefix),
    start: bound("--start", flags.start),
    end: bound("--end", flags.end),
  };
}

/** The bytes of a bound; empty if there is none, or after noting a fault. */
export function readBound(
  option: string,
  text: string,
  format: ByteFormat,
  faults: FaultList,
): Uint8Array {
  const bytes = faults.collect(() => parseByteText(text, format, option)) ?? NONE;
  if (bytes.length > KEY_BYTES_MAX) {
    faults.add(option, `has ${bytes.length} bytes; a key has at most ${KEY_BYTES_MAX}`);
  }
  return bytes;
}

/**
 * What is left of a range behind `key` or, in reverse, before it; undefined: nothing.
 * `key` need not lie in the range.
 */
export function rangeBehind(
  range: KeyRange,
  key: Uint8Array,
  isReverse: boolean,
): KeyRange | undefined {
  const { low, high } = boundsOf(range);
  if (isReverse) {
    const end = high === undefined || Buffer.compare(key, high) < 0 ? key : high;
    return Buffer.compare(low, end) < 0 ? { prefix: NONE, start: low, end } : undefined;
  }
  const next = keyBehind(key);
  if (next === undefined) return undefined;
  const start = Buffer.compare(next, low) > 0 ? next : low;
  if (high !== undefined && Buffer.compare(start, high) >= 0) return undefined;
  return { prefix: NONE, start, end: high ?? NONE };
}

function boundsOf({ prefix, start, end }: KeyRange): { low: Uint8Array; high?: Uint8Array } {
  const high = prefix.length > 0 ? keyAbove(prefix) : end.length > 0 ? end : undefined;
  return { low: prefix.length > 0 ? prefix : start, ...(high && { high }) };
}

/**
 * A key as it is typed behind a flag: in the format asked for, or in --hex where a shell,
 * or the line of a message, would make something else of its text.
 */
export function typedKey(flag: string, key: Uint8Array, format: ByteFormat): string {
  if (format !== "text") return `--${format} ${flag} ${showBytes(key, format)}`;
  const text = isPrintable(key) ? Buffer.from(key).toString("utf8") : "";
  if (/^[\w@%+=:,./-]+$/.test(text)) return `${flag} ${text}`;
  return /^[^\n\t\\']+$/.test(text)
    ? `${flag} '${text}'`
    : `--hex ${flag} ${showBytes(key, "hex")}`;
}
