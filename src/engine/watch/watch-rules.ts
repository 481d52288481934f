/** What a watch may be asked for. Each fault names its field and range. */
import { KvixError } from "../../base/kvix-error.js";
import { BATCH_BYTES_MAX, PAGE_BYTES_MAX, VERSION_MAX } from "../../base/limits.js";
import { boundsOf, type KeyBounds } from "../key-range.js";
import { requireKey, requireWhole } from "../request-rules.js";
import type { WatchOptions } from "../store-watch.js";

/** How often a watch tells how far it is: at most, at least, and if nobody says. */
export const PROGRESS_MS_MIN = 100;
export const PROGRESS_MS_MAX = 3_600_000;
export const PROGRESS_MS_DEFAULT = 10_000;

/** A step of more takes its part of the memory for large steps. */
export const SMALL_STEP_BYTES = 64 * 1024;

/** What was asked for, checked; bytes are its own copies. */
export interface WatchAsk {
  readonly bounds: KeyBounds;
  readonly keysOnly: boolean;
  readonly afterVersion: number | undefined;
  readonly includeCurrent: boolean;
  readonly progressIntervalMs: number;
  readonly bytesMax: number;
  readonly signal: AbortSignal | undefined;
}

/** Checks what was asked for. Throws FIELD_INVALID, KEY_TOO_LARGE. */
export function watchAskOf(options: WatchOptions): WatchAsk {
  const { afterVersion, includeCurrent = false, signal } = options;
  const { progressIntervalMs = PROGRESS_MS_DEFAULT, bytesMax = PAGE_BYTES_MAX } = options;
  if (afterVersion !== undefined) requireWhole("after_version", afterVersion, 0, VERSION_MAX);
  requireWhole("progress_interval", progressIntervalMs, PROGRESS_MS_MIN, PROGRESS_MS_MAX);
  requireWhole("bytesMax", bytesMax, 1, BATCH_BYTES_MAX);
  if (includeCurrent && afterVersion !== undefined) {
    throw leftOut("include_current", "after_version is");
  }
  return {
    bounds: rangeOf(options),
    keysOnly: options.keysOnly ?? false,
    afterVersion,
    includeCurrent,
    progressIntervalMs,
    bytesMax,
    signal,
  };
}

function rangeOf({ key, prefix, start, end }: WatchOptions): KeyBounds {
  const bounds = boundsOf({ prefix, start, end });
  if (key === undefined || key.length === 0) return bounds;
  requireKey(key);
  const others = { prefix, start, end };
  for (const [field, bytes] of Object.entries(others)) {
    if (bytes !== undefined && bytes.length > 0) throw leftOut("key", `${field} is`);
  }
  // The first key behind this one; longer than a key may be, which a bound may.
  const high = new Uint8Array(key.length + 1);
  high.set(key);
  return { low: new Uint8Array(key), high };
}

function leftOut(field: string, where: string): KvixError {
  const range = `left out where ${where} given`;
  return new KvixError("FIELD_INVALID", `${field} must be ${range}`, {
    metadata: { field, range },
  });
}
