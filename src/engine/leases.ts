/**
 * Leases: how long a reader may keep others waiting. One timer for all of them,
 * and none while there are none.
 */
import type { Clock } from "../host/host.js";

/** A time until which something may be kept. */
export class Lease {
  /** By the monotonic clock, in milliseconds. */
  endsAtMs: number;
  readonly onEnd: () => void;

  constructor(endsAtMs: number, onEnd: () => void) {
    this.endsAtMs = endsAtMs;
    this.onEnd = onEnd;
  }
}

/** The leases of one kind of reader. */
export class Leases {
  readonly #clock: Clock;
  readonly #leases = new Set<Lease>();
  /** Ends the sleep under way; undefined: there is none. */
  #sleep: AbortController | undefined;
  #wakesAtMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A lease of `ms`; `onEnd` is called once if it is not given up before. */
  take(ms: number, onEnd: () => void): Lease {
    const lease = new Lease(this.#clock.monotonicMs() + ms, onEnd);
    this.#leases.add(lease);
    if (this.#sleep === undefined || lease.endsAtMs < this.#wakesAtMs) this.#arm();
    return lease;
  }

  /** Lets a lease run for `ms` from now. */
  renew(lease: Lease, ms: number): void {
    // It never ends earlier than before, so the sleep under way is short enough.
    lease.endsAtMs = this.#clock.monotonicMs() + ms;
  }

  giveUp(lease: Lease): void {
    this.#leases.delete(lease);
    if (this.#leases.size > 0) return;
    this.#sleep?.abort();
    this.#sleep = undefined;
  }

  #arm(): void {
    this.#sleep?.abort();
    const sleep = new AbortController();
    this.#sleep = sleep;
    let endsAtMs = Number.POSITIVE_INFINITY;
    for (const lease of this.#leases) endsAtMs = Math.min(endsAtMs, lease.endsAtMs);
    this.#wakesAtMs = endsAtMs;
    const ms = endsAtMs - this.#clock.monotonicMs();
    void this.#clock.sleep(Math.max(ms, 1), sleep.signal).then(() => {
      if (!sleep.signal.aborted) this.#wake();
    });
  }

  #wake(): void {
    this.#sleep = undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const lease of [...this.#leases]) {
      if (lease.endsAtMs > nowMs || !this.#leases.delete(lease)) continue;
      lease.onEnd();
    }
    if (this.#leases.size > 0 && this.#sleep === undefined) this.#arm();
  }
}
