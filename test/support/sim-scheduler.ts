/**
 * A seeded order for whatever could happen in any order: file operations under
 * way, tasks for a later turn. One seed is one interleaving, for ever.
 *
 * Each task runs on a turn of its own, after the promises of the one before
 * have settled. Every choice is uniform over what waits, so nothing starves.
 */
import { SimRandom } from "./sim-random.js";

/** Takes a task and runs it later, once. */
export interface SimScheduler {
  /** Tasks that wait. */
  readonly waiting: number;
  defer(task: () => void): void;
}

/** Runs what waits in a random order that the seed repeats. */
export class SeededScheduler implements SimScheduler {
  readonly #random: SimRandom;
  readonly #waiting: (() => void)[] = [];
  #isPumping = false;
  /** Tasks run so far. */
  ran = 0;

  constructor(seed: number) {
    this.#random = new SimRandom(seed);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  defer(task: () => void): void {
    this.#waiting.push(task);
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => this.#pump());
  }

  #pump(): void {
    const chosen = this.#random.below(this.#waiting.length);
    const last = this.#waiting.pop() as () => void;
    const task = chosen === this.#waiting.length ? last : (this.#waiting[chosen] as () => void);
    if (task !== last) this.#waiting[chosen] = last;
    this.#isPumping = this.#waiting.length > 0;
    if (this.#isPumping) setImmediate(() => this.#pump());
    this.ran += 1;
    task();
  }
}
