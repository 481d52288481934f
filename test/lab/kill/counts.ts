/** What a life did, by what it is called in the lab's report. */

/** Sums that only grow. */
export class Counts {
  readonly #sums: Record<string, number> = {};

  add(name: string, count = 1): void {
    this.#sums[name] = (this.#sums[name] ?? 0) + count;
  }

  of(name: string): number {
    return this.#sums[name] ?? 0;
  }

  /** All of them. */
  get all(): Readonly<Record<string, number>> {
    return this.#sums;
  }
}
