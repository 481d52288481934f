/**
 * Randomness that a seed repeats (sfc32). Never for secrets.
 *
 * The same seed gives the same sequence on every machine and Node version.
 */

/** A source of repeatable random choices. */
export class SimRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed`: any integer; its low 32 bits and those above count. */
  constructor(seed: number) {
    this.#a = 0x9e3779b9;
    this.#b = seed | 0;
    this.#c = Math.floor(seed / 2 ** 32) | 0;
    for (let round = 0; round < 12; round += 1) this.bits();
  }

  /** 32 random bits, as an unsigned integer. */
  bits(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** An integer of 0..bound-1; `bound` is 1..2^32. */
  below(bound: number): number {
    return Math.floor((this.bits() / 2 ** 32) * bound);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.bits() / 2 ** 32 < probability;
  }

  /** One of `choices`, which is not empty. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let index = 0; index < length; index += 1) bytes[index] = this.bits();
    return bytes;
  }
}
