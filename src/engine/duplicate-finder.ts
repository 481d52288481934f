/**
 * Whether a commit names a key twice. An open-addressing table of positions that
 * is used again for every commit, hashed with a secret of its own so that nobody
 * can aim for its collisions.
 */
import { BATCH_MUTATIONS_MAX } from "../base/limits.js";
import type { Entropy } from "../host/host.js";
import { KeyedHash, SEED_BYTES } from "./keydir/keyed-hash.js";

/** Looks through the keys of commits. */
export class DuplicateFinder {
  readonly #hash: KeyedHash;
  /** Position + 1 of an entry, by the hash of its key; 0: free. */
  #slots = new Uint16Array(64);

  constructor(entropy: Entropy) {
    this.#hash = new KeyedHash(entropy.bytes(SEED_BYTES));
  }

  /** The first two of the entries, at most BATCH_MUTATIONS_MAX, that have the same key. */
  find(
    entries: readonly { readonly key: Uint8Array }[],
  ): { readonly first: number; readonly second: number } | undefined {
    if (entries.length < 2) return undefined;
    if (entries.length > BATCH_MUTATIONS_MAX) throw new RangeError("too many entries");
    const slots = this.#cleared(entries.length);
    const mask = slots.length - 1;
    for (const [index, { key }] of entries.entries()) {
      let slot = this.#hash.of(key, 0, key.length) & mask;
      for (let other = slots[slot]!; other !== 0; other = slots[slot]!) {
        if (isSameKey(entries[other - 1]!.key, key)) return { first: other - 1, second: index };
        slot = (slot + 1) & mask;
      }
      slots[slot] = index + 1;
    }
    return undefined;
  }

  /** A table at most half full. */
  #cleared(count: number): Uint16Array {
    let size = 64;
    while (size < 2 * count) size *= 2;
    if (this.#slots.length < size) this.#slots = new Uint16Array(size);
    return this.#slots.subarray(0, size).fill(0);
  }
}

function isSameKey(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index += 1) if (one[index] !== other[index]) return false;
  return true;
}
