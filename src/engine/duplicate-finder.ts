/**
 * Whether a batch names a key twice. An open-addressing table of positions that
 * is used again for every batch, hashed with a secret of its own so that nobody
 * can aim for its collisions.
 */
import { BATCH_MUTATIONS_MAX } from "../base/limits.js";
import type { Entropy } from "../host/host.js";
import { KeyedHash, SEED_BYTES } from "./keydir/keyed-hash.js";
import type { Mutation } from "./store.js";

/** Looks through the keys of batches. */
export class DuplicateFinder {
  readonly #hash: KeyedHash;
  /** Position + 1 of a mutation, by the hash of its key; 0: free. */
  #slots = new Uint16Array(64);

  constructor(entropy: Entropy) {
    this.#hash = new KeyedHash(entropy.bytes(SEED_BYTES));
  }

  /** Whether two of the mutations, at most BATCH_MUTATIONS_MAX, have the same key. */
  has(mutations: readonly Mutation[]): boolean {
    if (mutations.length < 2) return false;
    if (mutations.length > BATCH_MUTATIONS_MAX) throw new RangeError("too many mutations");
    const slots = this.#cleared(mutations.length);
    const mask = slots.length - 1;
    for (const [index, { key }] of mutations.entries()) {
      let slot = this.#hash.of(key, 0, key.length) & mask;
      for (let other = slots[slot]!; other !== 0; other = slots[slot]!) {
        if (isSameKey(mutations[other - 1]!.key, key)) return true;
        slot = (slot + 1) & mask;
      }
      slots[slot] = index + 1;
    }
    return false;
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
