/**
 * The machine's clocks and the event loop's timers.
 *
 * A sleep does not keep the process alive unless that is asked for: the loops that sleep (sync interval,
 * sweep, compaction) must not hold up the end of a program that embeds the
 * store. Whoever has to be waited for holds something else: a socket, a file
 * operation under way.
 */
import type { Clock } from "./host.js";

/** Milliseconds that one timer can wait; a longer one would fire at once. */
const timerMsMax = 2 ** 31 - 1;

/** The real clock. */
export class NodeClock implements Clock {
  readonly #holdsProcess: boolean;

  /**
   * `holdsProcess`: a sleep keeps the process alive, for a program that waits for what
   * comes after it and has nothing else that would.
   */
  constructor({ holdsProcess = false }: { readonly holdsProcess?: boolean } = {}) {
    this.#holdsProcess = holdsProcess;
  }

  wallMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  /** `Infinity` waits for the signal; zero, less, or not a number does not wait. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true || !(ms > 0)) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout;
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const wait = (remainingMs: number): void => {
        const partMs = Math.min(remainingMs, timerMsMax);
        timer = setTimeout(() => {
          if (remainingMs > partMs) wait(remainingMs - partMs);
          else wake();
        }, partMs);
        if (!this.#holdsProcess) timer.unref();
      };
      wait(ms);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }

  soon(task: () => void): void {
    setImmediate(task);
  }
}
