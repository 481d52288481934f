/**
 * Time that stands still until a test moves it.
 *
 * Invariants:
 *  1. `advance` wakes sleepers in the order of their deadlines (then of their
 *     calls), each at its own instant, and lets what it woke come to rest before
 *     the next: a loop that sleeps 100 ms wakes ten times in a second.
 *  2. `stepWall` and `isWallFrozen` are about the wall clock alone: sleeps go by the
 *     monotonic one.
 *  3. `wakeNext` and `drift` are for who decides turn by turn when time passes; nothing
 *     needs to be at rest.
 */
import type { Clock } from "../../src/host/host.js";
import type { SimScheduler } from "./sim-scheduler.js";

/** Turns of the event loop that what was woken may take before time goes on. */
const settleTurnsMax = 1_000;

/** Turns it gets at least. */
const settleTurnsMin = 3;

export interface SimClockOptions {
  /** Unix milliseconds at the start. Default: 2026-01-01T00:00:00Z. */
  readonly wallMs?: number;
  /** Where `soon` puts its tasks. Left out: `setImmediate`. */
  readonly scheduler?: SimScheduler | undefined;
}

interface Sleeper {
  readonly wakesAtMs: number;
  readonly order: number;
  readonly wake: () => void;
}

/** A clock that a test moves. */
export class SimClock implements Clock {
  readonly #scheduler: SimScheduler | undefined;
  readonly #sleepers = new Set<Sleeper>();
  #wallMs: number;
  #monotonicMs = 0;
  #calls = 0;
  #soonTasks = 0;
  /** The wall clock stands still, whatever the monotonic one does. */
  isWallFrozen = false;
  /** Is told the wall clock's time whenever it has changed. */
  onWallChange: ((wallMs: number) => void) | undefined;

  constructor(options: SimClockOptions = {}) {
    this.#wallMs = options.wallMs ?? Date.UTC(2026, 0, 1);
    this.#scheduler = options.scheduler;
  }

  /** Sleeps under way. */
  get sleepers(): number {
    return this.#sleepers.size;
  }

  wallMs(): number {
    return Math.floor(this.#wallMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true || !(ms > 0)) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const wakesAtMs = this.#monotonicMs + ms;
      const sleeper: Sleeper = { wakesAtMs, order: this.#calls++, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }

  soon(task: () => void): void {
    this.#soonTasks += 1;
    const run = (): void => {
      this.#soonTasks -= 1;
      task();
    };
    if (this.#scheduler === undefined) setImmediate(run);
    else this.#scheduler.defer(run);
  }

  /** Moves both clocks on by `ms`, waking who sleeps no longer than that. */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`time does not go back: ${ms}`);
    const endMs = this.#monotonicMs + ms;
    await this.settle();
    for (let next = this.#nextUntil(endMs); next !== undefined; next = this.#nextUntil(endMs)) {
      this.#moveTo(next.wakesAtMs);
      next.wake();
      await this.settle();
    }
    this.#moveTo(endMs);
  }

  /** Moves the wall clock alone, either way. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
    this.onWallChange?.(this.wallMs());
  }

  /** Runs `look` with the wall clock at another time, which nobody else gets to see. */
  atWall<T>(wallMs: number, look: () => T): T {
    const before = this.#wallMs;
    this.#wallMs = wallMs;
    try {
      return look();
    } finally {
      this.#wallMs = before;
    }
  }

  /** Lets time pass until the next sleeper wakes; false: nobody sleeps. */
  wakeNext(): boolean {
    const next = this.#nextUntil(Number.POSITIVE_INFINITY);
    if (next === undefined) return false;
    this.#moveTo(next.wakesAtMs);
    next.wake();
    return true;
  }

  /** Lets `ms` pass, or less: not as far as to wake anybody. */
  drift(ms: number): void {
    const next = this.#nextUntil(this.#monotonicMs + ms);
    this.#moveTo(next === undefined ? this.#monotonicMs + ms : next.wakesAtMs);
  }

  /** Nobody sleeps any more: they were of a process that is gone. */
  forgetSleepers(): void {
    this.#sleepers.clear();
  }

  /** Lets what is under way come to rest: promises, tasks for later turns, simulated disk work. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < settleTurnsMax; turn += 1) {
      if (turn >= settleTurnsMin && this.#isQuiet()) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error(`not at rest after ${settleTurnsMax} turns of the event loop`);
  }

  #isQuiet(): boolean {
    return this.#soonTasks === 0 && (this.#scheduler?.waiting ?? 0) === 0;
  }

  #moveTo(monotonicMs: number): void {
    const ms = Math.max(0, monotonicMs - this.#monotonicMs);
    this.#monotonicMs += ms;
    if (this.isWallFrozen || ms === 0) return;
    this.#wallMs += ms;
    this.onWallChange?.(this.wallMs());
  }

  #nextUntil(endMs: number): Sleeper | undefined {
    let next: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.wakesAtMs > endMs) continue;
      if (next === undefined || isBefore(sleeper, next)) next = sleeper;
    }
    return next;
  }
}

function isBefore(one: Sleeper, other: Sleeper): boolean {
  if (one.wakesAtMs !== other.wakesAtMs) return one.wakesAtMs < other.wakesAtMs;
  return one.order < other.order;
}
