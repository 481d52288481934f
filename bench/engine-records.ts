/**
 * The records that the engine benches write: random 16-byte keys and 100-byte
 * values that do not compress. Made before the clock runs.
 */
import { randomFillSync } from "node:crypto";

/** The length of every key, in bytes. */
export const keyBytes = 16;
/** The length of every value, in bytes. */
export const valueBytes = 100;

// Values are windows into one pool: making 100 bytes of randomness anew for every
// record would cost more than writing it.
const poolBytes = 1 << 20;
const poolStep = 7919;

/** `count` random records. `key` and `value` are views that are valid as long as this is. */
export class Records {
  readonly count: number;
  readonly #keys: Buffer;
  readonly #pool: Buffer;

  constructor(count: number) {
    this.count = count;
    this.#keys = randomFillSync(Buffer.allocUnsafeSlow(count * keyBytes));
    this.#pool = randomFillSync(Buffer.allocUnsafeSlow(poolBytes));
  }

  key(index: number): Buffer {
    return this.#keys.subarray(index * keyBytes, (index + 1) * keyBytes);
  }

  value(index: number): Buffer {
    const start = (index * poolStep) % (poolBytes - valueBytes);
    return this.#pool.subarray(start, start + valueBytes);
  }

  /** The numbers of all records, in random order. */
  shuffled(): Uint32Array {
    const order = Uint32Array.from({ length: this.count }, (_, index) => index);
    const dice = randomFillSync(new Uint32Array(this.count));
    for (let last = this.count - 1; last > 0; last--) {
      const other = (dice[last] ?? 0) % (last + 1);
      const moved = order[last] ?? 0;
      order[last] = order[other] ?? 0;
      order[other] = moved;
    }
    return order;
  }
}
