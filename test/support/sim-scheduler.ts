/**
 * A seeded order for whatever could happen in any order: file operations under
 * way, tasks for a later turn. One seed is one interleaving, for ever.
 *
 * Each task runs on a turn of its own, after the promises of the one before
 * have settled. Every choice is uniform over what waits, so nothing starves.
 *
 * What a turn is may be chosen. A turn of the event loop lets other things of the
 * process happen. Where nothing is real, a turn between two of them does, and takes
 * a tenth of the time (`tick`).
 */
import { SimRandom } from "./sim-random.js";

/** Takes a task and runs it later, once. */
export interface SimScheduler {
  /** Tasks that wait. */
  readonly waiting: number;
  defer(task: () => void): void;
}

/** Runs a task when all promises that can settle have. */
export type Turn = (task: () => void) => void;

/** What is done with it comes with the next microtasks; `queueMicrotask` costs three times as much. */
const settled = Promise.resolve();

/** The next turn within this turn of the event loop, which has no end as long as it is used. */
export const tick: Turn = (task) => {
  // Ticks come before microtasks when both wait; asked for by a microtask it comes after all of them.
  void settled.then(() => process.nextTick(task));
};

/** What a seeded order may be told. */
export interface SeededSchedulerOptions {
  /** Default: a turn of the event loop. */
  readonly turn?: Turn;
  /** Is asked on every turn that finds nothing waiting, as long as it says that something will. */
  readonly onIdle?: () => boolean;
  /** How often `onIdle` is asked although something waits: a share of all turns. Default 0. */
  readonly idleShare?: number;
}

/** Runs what waits in a random order that the seed repeats. */
export class SeededScheduler implements SimScheduler {
  readonly #random: SimRandom;
  readonly #waiting: (() => void)[] = [];
  readonly #turn: Turn;
  readonly #onIdle: (() => boolean) | undefined;
  readonly #idleShare: number;
  #isPumping = false;
  #isStopped = false;
  /** Tasks run so far. */
  ran = 0;

  constructor(seed: number, options: SeededSchedulerOptions = {}) {
    const { turn = setImmediate, onIdle, idleShare = 0 } = options;
    this.#random = new SimRandom(seed);
    this.#turn = turn;
    this.#onIdle = onIdle;
    this.#idleShare = idleShare;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  defer(task: () => void): void {
    if (this.#isStopped) return;
    this.#waiting.push(task);
    this.start();
  }

  /** Begins to take turns, if it does not yet; for one that is to be asked what to do when idle. */
  start(): void {
    if (this.#isPumping || this.#isStopped) return;
    this.#isPumping = true;
    this.#turn(() => this.#pump());
  }

  /** What waits is never run, and nothing that comes. */
  stop(): void {
    this.#isStopped = true;
    this.#waiting.length = 0;
  }

  #pump(): void {
    if (this.#isStopped) return;
    const isIdle = this.#waiting.length === 0;
    const onIdle = this.#onIdle;
    if (onIdle !== undefined && (isIdle || this.#random.chance(this.#idleShare))) {
      this.#isPumping = onIdle() || this.#waiting.length > 0;
      if (this.#isPumping) this.#turn(() => this.#pump());
      return;
    }
    const task = this.#take();
    this.#isPumping = this.#waiting.length > 0 || onIdle !== undefined;
    if (this.#isPumping) this.#turn(() => this.#pump());
    this.ran += 1;
    task();
  }

  #take(): () => void {
    const waiting = this.#waiting;
    const chosen = this.#random.below(waiting.length);
    const last = waiting.pop() as () => void;
    if (chosen === waiting.length) return last;
    const task = waiting[chosen] as () => void;
    waiting[chosen] = last;
    return task;
  }
}
