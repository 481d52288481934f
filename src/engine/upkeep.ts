/**
 * Upkeep of the index while nothing is to be written: order is merged, freed
 * memory given back. In short turns on the event loop, so that reads and the
 * next write do not wait; writes do their own share when there is no idle time.
 */
import type { Clock } from "../host/host.js";
import type { Keydir } from "./keydir/keydir.js";

/** How long nothing must have been written: a bulk load that pauses for a moment is not held up. */
const IDLE_MS = 20;
/** How many bounded steps one turn takes, and how long it may take in milliseconds. */
const STEPS_PER_TURN = 16;
const TURN_MS = 1;

/** Runs the keydir's background steps. */
export class Upkeep {
  readonly #clock: Clock;
  readonly #keydir: Keydir;
  readonly #isBusy: () => boolean;
  /** Ends the sleep under way too: a closed store leaves nothing behind. */
  readonly #stop = new AbortController();
  #isRunning = false;

  /** `isBusy`: whether writes are under way; upkeep waits for the next `kick` then. */
  constructor(clock: Clock, keydir: Keydir, isBusy: () => boolean) {
    this.#clock = clock;
    this.#keydir = keydir;
    this.#isBusy = isBusy;
  }

  /** There may be something to do. */
  kick(): void {
    if (this.#isRunning || this.#isStopped) return;
    this.#isRunning = true;
    void this.#clock.sleep(IDLE_MS, this.#stop.signal).then(() => this.#turn());
  }

  stop(): void {
    this.#stop.abort();
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #turn(): void {
    if (this.#isStopped || this.#isBusy()) {
      this.#isRunning = false;
      return;
    }
    const startMs = this.#clock.monotonicMs();
    for (let step = 0; step < STEPS_PER_TURN; step += 1) {
      if (!this.#keydir.maintain()) {
        this.#isRunning = false;
        return;
      }
      if (this.#clock.monotonicMs() - startMs > TURN_MS) break;
    }
    this.#clock.soon(() => this.#turn());
  }
}
