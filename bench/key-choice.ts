/** Which key is written next: uniform, or zipfian as YCSB has it; repeatable by a seed. */
import { SimRandom } from "../test/support/sim-random.js";

/** How keys are chosen. */
export type KeyDistribution = "zipfian" | "uniform";

/** The skew of the zipfian choice: YCSB's own. */
export const zipfianSkew = 0.99;

/** Numbers of 0 to `keys` - 1. Which of them are the frequent ones is random (scrambled). */
export class KeyChoice {
  readonly random: SimRandom;
  /** All numbers, in random order: the order in which a bench loads them. */
  readonly shuffled: Uint32Array;
  readonly #rank: () => number;

  constructor(distribution: KeyDistribution, keys: number, seed: number) {
    this.random = new SimRandom(seed);
    this.shuffled = this.#shuffle(keys);
    // Loaded in one order and ranked in another: what lies together after the load is
    // not of one frequency.
    const scramble = this.#shuffle(keys);
    const rank = distribution === "uniform" ? () => this.random.below(keys) : this.#zipfian(keys);
    this.#rank = () => scramble[rank()]!;
  }

  next(): number {
    return this.#rank();
  }

  #shuffle(keys: number): Uint32Array {
    const numbers = Uint32Array.from({ length: keys }, (_, number) => number);
    for (let last = keys - 1; last > 0; last--) {
      const other = this.random.below(last + 1);
      const moved = numbers[last]!;
      numbers[last] = numbers[other]!;
      numbers[other] = moved;
    }
    return numbers;
  }

  /** Ranks by the method of Gray and others, "Quickly generating billion-record synthetic databases". */
  #zipfian(keys: number): () => number {
    let zeta = 0;
    for (let rank = 1; rank <= keys; rank++) zeta += rank ** -zipfianSkew;
    const zetaOfTwo = 1 + 2 ** -zipfianSkew;
    const alpha = 1 / (1 - zipfianSkew);
    const eta = (1 - (2 / keys) ** (1 - zipfianSkew)) / (1 - zetaOfTwo / zeta);
    return () => {
      const dice = this.random.bits() / 2 ** 32;
      if (dice * zeta < 1) return 0;
      if (dice * zeta < zetaOfTwo) return 1;
      return Math.min(keys - 1, Math.floor(keys * (eta * dice - eta + 1) ** alpha));
    };
  }
}
