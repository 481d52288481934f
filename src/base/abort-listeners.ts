/**
 * Who waits by which signal: one listener for each, however many wait by it. All that one
 * stream of a client asks for shares a signal, as may all calls of a program, and Node warns
 * of more than ten listeners.
 *
 * Bound (V11): those who wait are bounded where they wait; there is no signal without one.
 */

/** Those who wait by one signal. */
interface Shared {
  readonly leave: Set<() => void>;
  readonly listener: () => void;
}

/** Listens to many signals. */
export class AbortListeners {
  readonly #bySignal = new Map<AbortSignal, Shared>();

  /** How many signals are listened to. */
  get count(): number {
    return this.#bySignal.size;
  }

  /** Calls `onAbort`, once, if the signal aborts before what this answers is called. */
  add(signal: AbortSignal, onAbort: () => void): () => void {
    const { leave } = this.#of(signal);
    // Of its own: what is given twice waits twice.
    const own = (): void => onAbort();
    leave.add(own);
    return () => {
      if (leave.delete(own) && leave.size === 0) this.#forget(signal);
    };
  }

  #of(signal: AbortSignal): Shared {
    const known = this.#bySignal.get(signal);
    if (known !== undefined) return known;
    const leave = new Set<() => void>();
    const listener = (): void => {
      this.#forget(signal);
      for (const each of leave) {
        leave.delete(each);
        each();
      }
    };
    const shared = { leave, listener };
    this.#bySignal.set(signal, shared);
    signal.addEventListener("abort", listener);
    return shared;
  }

  #forget(signal: AbortSignal): void {
    const shared = this.#bySignal.get(signal);
    if (shared === undefined) return;
    signal.removeEventListener("abort", shared.listener);
    this.#bySignal.delete(signal);
  }
}
