/**
 * What a server is able to do, and since when it has a store.
 *
 *     starting -> serving | degraded | full | latched -> draining
 *
 * The four in the middle are the store's condition; several may hold, and the
 * server is in the one that limits it most. A change is seen within a second.
 */
import { KvixError } from "../base/kvix-error.js";
import type { Store } from "../engine/store.js";
import type { Host } from "../host/host.js";

/** From doing the most to doing the least; the proto has the same order. */
export const serverStates = [
  "starting",
  "serving",
  "degraded",
  "full",
  "latched",
  "draining",
] as const;

/** What a server is able to do. */
export type ServerState = (typeof serverStates)[number];

/** Why a state holds. */
export interface StateReason {
  readonly state: ServerState;
  /** For people. */
  readonly message: string;
}

/** The state, and a reason for each state that holds, unless all is well. */
export interface ServerStatus {
  readonly state: ServerState;
  readonly reasons: readonly StateReason[];
}

/** How long a change of the store's condition may go unseen. */
const WATCH_INTERVAL_MS = 1000;

/** The life of one server. */
export class ServerLife {
  readonly #host: Pick<Host, "clock" | "log">;
  readonly #listeners = new Set<() => void>();
  readonly #ended = new AbortController();
  #store: Store | undefined;
  #seen: ServerState = "starting";

  constructor(host: Pick<Host, "clock" | "log">) {
    this.#host = host;
  }

  /** The store. Throws STORE_STARTING while there is none. */
  get store(): Store {
    if (this.#store === undefined) throw new KvixError("STORE_STARTING");
    return this.#store;
  }

  /** The state at this moment. */
  status(): ServerStatus {
    const reasons = this.#reasons();
    const state = reasons.reduce<ServerState>(
      (worst, reason) => (rank(reason.state) > rank(worst) ? reason.state : worst),
      this.#store === undefined ? "starting" : "serving",
    );
    return { state, reasons };
  }

  /** The store is open. */
  serve(store: Store): void {
    this.#store = store;
    this.#look();
    void this.#watch();
  }

  /** The server is going to stop; there is no way back. */
  drain(): void {
    this.#ended.abort();
    this.#look();
  }

  /** Calls `listener` whenever the state may have changed; returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #reasons(): StateReason[] {
    const reasons: StateReason[] = [];
    if (this.#store === undefined) {
      reasons.push({ state: "starting", message: "the store is opening" });
    } else {
      const { condition } = this.#store.stats();
      // One sentence for each condition that holds, in the order of StoreCondition.
      const sentences = condition.reasons.values();
      for (const state of ["degraded", "latched", "full"] as const) {
        if (condition[state]) reasons.push({ state, message: sentences.next().value ?? state });
      }
    }
    if (this.#ended.signal.aborted) {
      reasons.push({ state: "draining", message: "the server was told to stop" });
    }
    return reasons;
  }

  #look(): void {
    const { state, reasons } = this.status();
    if (state === this.#seen) return;
    const before = this.#seen;
    this.#seen = state;
    this.#tell(before, state, reasons);
    for (const listener of this.#listeners) listener();
  }

  /** The start and the end are told of by whoever brings them about. */
  #tell(before: ServerState, state: ServerState, reasons: readonly StateReason[]): void {
    const { log } = this.#host;
    const isWell = state === "serving";
    if (state === "draining" || (isWell && before === "starting")) return;
    const fields = { state, before, reasons: reasons.map(({ message }) => message) };
    log[isWell ? "info" : "warn"](fields, "the state of the server has changed");
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#host.clock.sleep(WATCH_INTERVAL_MS, signal);
      this.#look();
    }
  }
}

function rank(state: ServerState): number {
  return serverStates.indexOf(state);
}
