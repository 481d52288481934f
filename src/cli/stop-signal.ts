/** Ctrl-C and SIGTERM while a verb runs that has something to do before it ends. */

const STOP_SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Hears the signals from its making until `end`. The second one of a kind ends the process. */
export class StopSignal {
  readonly #stopped = new AbortController();

  constructor() {
    for (const name of STOP_SIGNALS) process.once(name, this.stop);
  }

  /** Aborts when one of them comes, or at `stop`. */
  get signal(): AbortSignal {
    return this.#stopped.signal;
  }

  readonly stop = (): void => this.#stopped.abort();

  /** Hears no more. */
  end(): void {
    for (const name of STOP_SIGNALS) process.off(name, this.stop);
  }
}
