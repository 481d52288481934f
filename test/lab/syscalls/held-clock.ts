/**
 * The machine's clock with a wall that stands still until it is moved, so that no
 * record expires between two looks at it; and sleeps that take a small part of their
 * time, so that a life of minutes takes less than a second.
 */
import type { Clock } from "../../../src/host/host.js";
import { NodeClock } from "../../../src/host/node-clock.js";

/** How much faster who sleeps comes back. */
const haste = 20;

/** A clock whose wall a test moves. */
export class HeldClock implements Clock {
  readonly #clock = new NodeClock();
  #wallMs: number;

  constructor(wallMs: number) {
    this.#wallMs = wallMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#clock.sleep(ms / haste, signal);
  }

  soon(task: () => void): void {
    this.#clock.soon(task);
  }

  /** Moves the wall, and lets go by as much time as a sleeper of `ms` needs. */
  async pass(ms: number): Promise<void> {
    this.#wallMs += ms;
    // The clock's own sleeps hold no process up.
    await new Promise((resolve) => setTimeout(resolve, ms / haste));
  }
}
