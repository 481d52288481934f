/**
 * The room of one stream: what its handler has at hand, held out of the memory
 * for messages in larger pieces, so that an operation costs a comparison.
 *
 *     the first 64 KiB   as a small message: there, or OVERLOADED
 *     all above          as a large one, in steps of 256 KiB: there, waited for, or OVERLOADED
 *
 * Invariant: it holds at least what is used, or waits; with nothing in use it
 * holds nothing, so an idle stream costs no more than a call does.
 */
import type { KvixError } from "../base/kvix-error.js";
import type { StreamRoom } from "../rpc/stream-room.js";
import { type Account, type Admission, Hold, SMALL_BYTES_MAX } from "./admission.js";

const STEP_BYTES = 262_144;

/** Lets one stream's handler take memory. */
export class AdmittedRoom implements StreamRoom {
  readonly #admission: Admission;
  readonly #hold: Hold;
  /** The client's next message, held back, and whether one was asked for. */
  #held: (() => void) | undefined;
  #isAsked = false;
  #usedBytes = 0;
  /** How often it has begun to wait; tells one wait from the next. */
  #waits = 0;
  /** The wait that was seen last, and since when. */
  #waitSeen = 0;
  #waitingSinceMs = 0;
  #waiter: { readonly bytes: number; readonly enter: (refusal?: KvixError) => void } | undefined;
  #isClosed = false;
  #onRefused: ((error: KvixError) => void) | undefined;

  constructor(admission: Admission, account: Account) {
    this.#admission = admission;
    this.#hold = new Hold(account);
  }

  /** Whether its handler waits for memory. */
  get isWaiting(): boolean {
    return this.#waiter !== undefined;
  }

  /** Whether a message of the client is there that its handler has not asked for yet. */
  get isHolding(): boolean {
    return this.#held !== undefined;
  }

  /** Refuses what has waited for longer than this: one operation of many; the others go on. */
  look(nowMs: number, waitMsMax: number): void {
    if (!this.isWaiting) return;
    if (this.#waits !== this.#waitSeen) {
      this.#waitSeen = this.#waits;
      this.#waitingSinceMs = nowMs;
    }
    if (nowMs - this.#waitingSinceMs > waitMsMax) this.refuse(this.#admission.overloaded());
  }

  /** A message of the client is there; `pass` gives it to the handler. */
  arrived(pass: () => void): void {
    if (!this.#isAsked) {
      this.#held = pass;
      return;
    }
    this.#isAsked = false;
    pass();
  }

  more(): void {
    const pass = this.#held;
    this.#held = undefined;
    this.#isAsked = pass === undefined;
    pass?.();
  }

  take(bytes: number, enter: (refusal?: KvixError) => void): boolean {
    const needed = this.#stepsFor(this.#usedBytes + bytes);
    if (this.#hold.smallBytes === 0) this.#admission.takeSmall(this.#hold, SMALL_BYTES_MAX);
    if (needed <= this.#hold.largeBytes) {
      this.#usedBytes += bytes;
      return true;
    }
    const isThere = this.#admission.takeLarge(
      this.#hold,
      needed - this.#hold.largeBytes,
      "received",
      () => this.#enter(),
    );
    if (isThere) {
      this.#usedBytes += bytes;
    } else {
      this.#waits += 1;
      this.#waiter = { bytes, enter };
    }
    return isThere;
  }

  add(bytes: number): void {
    if (this.#isClosed) return;
    this.#usedBytes += bytes;
    const needed = this.#stepsFor(this.#usedBytes);
    if (this.#hold.smallBytes === 0) this.#admission.addSmall(this.#hold, SMALL_BYTES_MAX);
    if (needed > this.#hold.largeBytes) this.#adjust(needed);
  }

  give(bytes: number): void {
    if (this.#isClosed) return;
    this.#usedBytes -= bytes;
    const isWaiting = this.#waiter !== undefined;
    if (this.#usedBytes === 0 && !isWaiting) {
      this.#admission.release(this.#hold);
      return;
    }
    // A step is kept, so that one operation more or less moves nothing. Who waits keeps
    // none: what is kept may be what is waited for.
    const needed = this.#stepsFor(this.#usedBytes + (isWaiting ? 0 : STEP_BYTES));
    if (needed < this.#hold.largeBytes) this.#adjust(needed);
  }

  onRefused(listener: (error: KvixError) => void): void {
    this.#onRefused = listener;
  }

  /** Nothing more of the stream is taken. True: its handler ends it. */
  stop(error: KvixError): boolean {
    this.#onRefused?.(error);
    return this.#onRefused !== undefined;
  }

  withdraw(): boolean {
    if (this.#waiter === undefined) return false;
    this.#waiter = undefined;
    this.#admission.leave(this.#hold);
    this.give(0);
    return true;
  }

  /** Whoever waits is told that there was no room in time. */
  refuse(error: KvixError): void {
    const waiter = this.#waiter;
    if (waiter !== undefined && this.withdraw()) waiter.enter(error);
  }

  /** The stream is over. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#held = undefined;
    this.#waiter = undefined;
    this.#admission.release(this.#hold);
  }

  #enter(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    this.add(waiter.bytes);
    waiter.enter();
  }

  #adjust(largeBytes: number): void {
    this.#admission.adjust(this.#hold, largeBytes - this.#hold.largeBytes);
  }

  #stepsFor(bytes: number): number {
    return Math.max(0, Math.ceil((bytes - SMALL_BYTES_MAX) / STEP_BYTES)) * STEP_BYTES;
  }
}
