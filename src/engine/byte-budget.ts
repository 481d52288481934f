/**
 * Bytes that several tasks share: each takes its part, and waits if there is
 * none left. First come, first served; bounded in bytes and in those that wait.
 */

import { AbortListeners } from "../base/abort-listeners.js";
import { KvixError } from "../base/kvix-error.js";

/** How many may wait. */
const WAITING_MAX = 10_000;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
  readonly fail: (error: KvixError) => void;
}

/** A number of bytes to share. */
export class ByteBudget {
  readonly #bytesMax: number;
  #usedBytes = 0;
  #isClosed = false;
  readonly #waiting = new Set<Waiting>();
  readonly #listeners = new AbortListeners();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes that are taken. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Takes `bytes`, at once if they are there and nobody waits. OVERLOADED if too
   * many wait, CANCELLED on `signal`, STORE_CLOSING once it is closed.
   */
  take(bytes: number, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#isClosed) throw new KvixError("STORE_CLOSING");
    if (signal?.aborted === true) throw cancelled(signal);
    if (this.#waiting.size === 0 && this.#has(bytes)) {
      this.#usedBytes += bytes;
      return undefined;
    }
    if (this.#waiting.size >= WAITING_MAX) {
      throw new KvixError("OVERLOADED", `${WAITING_MAX} pages wait`, { outcome: "none" });
    }
    return this.#wait(bytes, signal);
  }

  /** Takes `bytes` if they are there and nobody waits; false: it has taken none. */
  tryTake(bytes: number): boolean {
    if (this.#isClosed || this.#waiting.size > 0 || !this.#has(bytes)) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** Gives bytes back. */
  give(bytes: number): void {
    this.#usedBytes -= bytes;
    for (const first of this.#waiting) {
      if (!this.#has(first.bytes)) return;
      this.#usedBytes += first.bytes;
      first.go();
    }
  }

  /** Turns all away that wait, and all that come. */
  close(): void {
    this.#isClosed = true;
    for (const each of this.#waiting) each.fail(new KvixError("STORE_CLOSING"));
  }

  #has(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#bytesMax;
  }

  #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        unlisten?.();
        this.#waiting.delete(waiting);
      };
      const waiting: Waiting = {
        bytes,
        go: () => {
          leave();
          resolve();
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      const abort = (): void => {
        waiting.fail(cancelled(signal));
        // Whoever stands behind one that asked for much may fit.
        this.give(0);
      };
      this.#waiting.add(waiting);
      const unlisten = signal && this.#listeners.add(signal, abort);
    });
  }
}

function cancelled(signal: AbortSignal | undefined): KvixError {
  return new KvixError("CANCELLED", "", { cause: signal?.reason, outcome: "none" });
}
