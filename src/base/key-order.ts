/** The order of keys: unsigned bytes, a prefix before all that it begins; none is longer than the limit. */
import { KEY_BYTES_MAX } from "./limits.js";

/** The lowest key behind `key`; undefined: there is none. */
export function keyBehind(key: Uint8Array): Uint8Array | undefined {
  // Behind a key of the greatest length comes none that begins with it.
  if (key.length >= KEY_BYTES_MAX) return keyAbove(key);
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** The first key above all that begin with `prefix`; undefined: there is none. */
export function keyAbove(prefix: Uint8Array): Uint8Array | undefined {
  const last = prefix.findLastIndex((byte) => byte !== 0xff);
  if (last === -1) return undefined;
  // A Buffer's slice would share its bytes.
  const above = new Uint8Array(prefix.subarray(0, last + 1));
  above[last] = (prefix[last] as number) + 1;
  return above;
}
