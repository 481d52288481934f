/** Ranges of keys: unsigned bytes, a prefix before all that it begins. */
import { keyAbove } from "../base/key-order.js";
import { KvixError } from "../base/kvix-error.js";
import { KEY_BYTES_MAX } from "../base/limits.js";
import type { KeyRange } from "./store.js";

/** Where a walk begins, and which keys it passes. Bounds are the range's own copies. */
export interface KeyBounds {
  /** The lowest key that may be in it; undefined: any. */
  readonly low: Uint8Array | undefined;
  /** The first key above it; undefined: there is none. */
  readonly high: Uint8Array | undefined;
}

/** The bounds of a range. Throws FIELD_INVALID for one that makes no sense. */
export function boundsOf({ prefix, start, end }: KeyRange): KeyBounds {
  for (const [field, key] of Object.entries({ prefix, start, end })) {
    if (key !== undefined && key.length > KEY_BYTES_MAX) {
      throw rangeInvalid(field, `at most ${KEY_BYTES_MAX} bytes`);
    }
  }
  const low = given(start);
  const high = given(end);
  if (prefix !== undefined && prefix.length > 0) {
    if (low !== undefined || high !== undefined) {
      throw rangeInvalid("prefix", "left out where start or end is given");
    }
    return { low: new Uint8Array(prefix), high: keyAbove(prefix) };
  }
  if (low !== undefined && high !== undefined && compareKeys(low, high) > 0) {
    throw rangeInvalid("end", "at or above start");
  }
  return { low, high };
}

/** Negative if `one` comes before `other`, positive if behind. */
export function compareKeys(one: Uint8Array, other: Uint8Array): number {
  return Buffer.compare(one, other);
}

function given(key: Uint8Array | undefined): Uint8Array | undefined {
  return key === undefined || key.length === 0 ? undefined : new Uint8Array(key);
}

function rangeInvalid(field: string, range: string): KvixError {
  return new KvixError("FIELD_INVALID", `${field} must be ${range}`, {
    metadata: { field, range },
  });
}
