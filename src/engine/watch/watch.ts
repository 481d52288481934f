/**
 * One watch: what happened to some keys after a version, for as long as somebody asks.
 *
 *   [current] -> following -> over
 *
 *     current     the records that stand, from a snapshot (current-state.ts)
 *     following   behind: reads the log; at its end: waits at the shared tail
 *     over        left, ended by its signal, or by an error that says from where to go on
 *
 * It keeps no changes from one step to the next: only how far it is. A step is made when
 * it is asked for, from what the tail keeps or from the log. So a watcher that does not
 * ask costs a few hundred bytes, holds up nobody, and finds its place again, or hears
 * that the history after it is gone.
 *
 * Invariants
 *  1. Versions of steps never go back; what a step says is told was told, or is none of
 *     its keys.
 *  2. Only what is durable is told.
 */
import { KvixError, type ResumePoint } from "../../base/kvix-error.js";
import type { Lease } from "../leases.js";
import type { LogReader } from "../log-reader.js";
import type { Snapshot } from "../snapshots/snapshot.js";
import type { WatchStep, WatchSteps } from "../store-watch.js";
import { CurrentState } from "./current-state.js";
import { RUN_BYTES_MAX, type Run, type Waiter } from "./shared-tail.js";
import type { WatchAsk } from "./watch-rules.js";
import { SMALL_STEP_BYTES } from "./watch-rules.js";
import { type Cursor, costOf, cutStep } from "./watch-steps.js";
import type { WatchWorld } from "./watch-world.js";

/** A watch; see `Store.watch`. */
export class Watch implements WatchSteps, Waiter {
  readonly #world: WatchWorld;
  readonly #ask: WatchAsk;
  readonly #onClose: (watch: Watch) => void;
  #cursor: Cursor;
  /** All up to it was handed out in steps; 0: nothing was, and nobody said so. */
  #toldVersion: number;
  #current: CurrentState | undefined;
  /** It has said where the changes begin. */
  #hasBegun = false;
  /** It is time to say how far it is. */
  #isDue = false;
  #reader: LogReader | undefined;
  /** Bytes that it holds of the budget for large frames. */
  #frameBytes = 0;
  /** Bytes that the step it has handed out holds of the budget for large ones. */
  #stepBytes = 0;
  /** Until it has to say how far it is; undefined: it has to. */
  #lease: Lease | undefined;
  #wakeUp: (() => void) | undefined;
  #isReading = false;
  #isLeft = false;
  #isOver = false;
  #endedBecause: unknown;
  readonly #abort = (): void => this.end(cancelled(this.#ask.signal));

  /** Made by `Watches`. `version`: where the changes begin. */
  constructor(
    world: WatchWorld,
    ask: WatchAsk,
    version: number,
    snapshot: Snapshot | undefined,
    onClose: (watch: Watch) => void,
  ) {
    this.#world = world;
    this.#ask = ask;
    this.#onClose = onClose;
    this.#cursor = { version, before: undefined };
    this.#toldVersion = ask.afterVersion ?? 0;
    this.#current =
      snapshot && new CurrentState(snapshot, ask, world.soon, (bytes) => this.#takeStep(bytes));
    this.#rearm();
    ask.signal?.addEventListener("abort", this.#abort);
    if (ask.signal?.aborted === true) this.#abort();
  }

  get bounds() {
    return this.#ask.bounds;
  }

  get version(): number {
    return this.#cursor.version;
  }

  get resume(): ResumePoint {
    return { afterVersion: this.#toldVersion, historyFloor: this.#world.readers.floor };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<WatchStep, undefined>> {
    if (this.#isReading) throw new Error("two reads of one watch at once");
    if (this.#isOver) return { done: true, value: undefined };
    this.#isReading = true;
    this.#giveStep();
    try {
      const step = await this.#step();
      this.#toldVersion = Math.max(this.#toldVersion, step.version);
      this.#rearm();
      return { done: false, value: step };
    } catch (error) {
      this.#close();
      // What was left while it waited for room was closed before it was given any.
      this.#giveStep();
      if (this.#isLeft) return { done: true, value: undefined };
      const why = this.#endedBecause ?? error;
      throw why instanceof KvixError ? why.resumingAt(this.resume) : why;
    } finally {
      this.#giveFrame();
      this.#isReading = false;
    }
  }

  /** Leaves it; a step that is waited for is the end. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#isLeft = true;
    this.end(new KvixError("CANCELLED", "", { outcome: "none" }));
    this.#close();
    return { done: true, value: undefined };
  }

  wake(version: number): void {
    this.#advance(version);
    const go = this.#wakeUp;
    this.#wakeUp = undefined;
    go?.();
  }

  /** The history up to a version is about to be given up: tells how far it is, if that is news. */
  floorRises(version: number): void {
    if (this.#toldVersion < version) this.#tellProgress();
  }

  /** Ends it: whoever reads on is told why. */
  end(why: unknown): void {
    if (this.#isOver) return;
    this.#endedBecause ??= why;
    this.#reader?.end(this.#endedBecause);
    // Who never asks again must not be kept.
    if (!this.#isReading) this.#letGo();
    this.#leave();
  }

  /** One step, however long it takes. */
  async #step(): Promise<WatchStep> {
    for (;;) {
      if (this.#endedBecause !== undefined) throw this.#endedBecause;
      const step = this.#current === undefined ? await this.#follow() : await this.#stand();
      if (this.#endedBecause !== undefined) throw this.#endedBecause;
      if (step !== undefined) return step;
    }
  }

  /** The next step of the current state; undefined: it is told whole. */
  async #stand(): Promise<WatchStep | undefined> {
    const current = this.#current as CurrentState;
    await this.#world.durable(current.version);
    const step = await current.next();
    if (step !== undefined) return step;
    this.#current = undefined;
    return undefined;
  }

  /** The next step of changes; undefined: none yet. */
  async #follow(): Promise<WatchStep | undefined> {
    const { version, before } = this.#cursor;
    const isAtEnd = before === undefined && this.#world.readers.readableVersion <= version;
    if (!this.#hasBegun || (isAtEnd && this.#isDue)) return this.#progress();
    if (isAtEnd) {
      this.#closeReader();
      await this.#untilWoken();
      return undefined;
    }
    const shared = await this.#world.tail.after(version);
    if (shared !== undefined) this.#closeReader();
    const run = shared ?? (await this.#readLog(version));
    const { step, cursor } = cutStep(run, this.#cursor, this.#ask);
    if (step !== undefined) await this.#admit(step);
    this.#cursor = cursor;
    // The reader is further than what is told.
    if (cursor.version < run.version) this.#closeReader();
    // Who asks less often than he wants to hear of it must not hear of nothing else.
    if (step === undefined && this.#isDue) return this.#progress();
    if (step !== undefined) this.#isDue = false;
    return step;
  }

  /** A step without events. */
  #progress(): WatchStep {
    this.#hasBegun = true;
    this.#isDue = false;
    return { events: [], version: this.#cursor.version, isCurrent: false, continues: false };
  }

  async #readLog(after: number): Promise<Run> {
    const { readers, reads, frames } = this.#world;
    const { signal } = this.#ask;
    await reads.take(RUN_BYTES_MAX, signal);
    try {
      if (this.#endedBecause !== undefined) throw this.#endedBecause;
      this.#reader ??= readers.open({ afterVersion: after });
      const { changes, version } = await this.#reader.next(RUN_BYTES_MAX, async (bytes) => {
        this.#giveFrame();
        await frames.take(bytes, signal);
        this.#frameBytes = bytes;
      });
      return { after, version, changes };
    } finally {
      reads.give(RUN_BYTES_MAX);
    }
  }

  async #admit({ events }: WatchStep): Promise<void> {
    const bytes = events.reduce((sum, event) => sum + costOf(event), 0);
    if (bytes > SMALL_STEP_BYTES) await this.#takeStep(bytes);
  }

  async #takeStep(bytes: number): Promise<void> {
    this.#giveStep();
    await this.#world.large.take(bytes, this.#ask.signal);
    this.#stepBytes = bytes;
  }

  #giveStep(): void {
    this.#world.large.give(this.#stepBytes);
    this.#stepBytes = 0;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeUp = resolve;
      this.#world.tail.wait(this);
    });
  }

  #tellProgress(): void {
    if (this.#current !== undefined) return;
    this.#isDue = true;
    this.#leave();
  }

  /** Waits no more. */
  #leave(): void {
    this.wake(this.#world.tail.leave(this));
  }

  /** Nothing up to a version concerns it. */
  #advance(version: number): void {
    if (version > this.#cursor.version) this.#cursor = { version, before: undefined };
  }

  /** From now on it is silent for an interval before it has to say how far it is. */
  #rearm(): void {
    const { leases } = this.#world;
    const { progressIntervalMs } = this.#ask;
    if (this.#lease !== undefined) {
      leases.renew(this.#lease, progressIntervalMs);
    } else if (!this.#isOver && this.#endedBecause === undefined) {
      this.#lease = leases.take(progressIntervalMs, () => {
        this.#lease = undefined;
        this.#tellProgress();
      });
    }
  }

  #closeReader(): void {
    this.#reader?.close();
    this.#reader = undefined;
  }

  #giveFrame(): void {
    this.#world.frames.give(this.#frameBytes);
    this.#frameBytes = 0;
  }

  /** Lets go of all it holds. */
  #letGo(): void {
    this.#giveStep();
    this.#closeReader();
    this.#current?.close();
    if (this.#lease !== undefined) this.#world.leases.giveUp(this.#lease);
    this.#lease = undefined;
    this.#ask.signal?.removeEventListener("abort", this.#abort);
    this.#onClose(this);
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#letGo();
  }
}

function cancelled(signal: AbortSignal | undefined): KvixError {
  return new KvixError("CANCELLED", "", { cause: signal?.reason, outcome: "none" });
}
