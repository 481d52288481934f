/**
 * Calls that wait because too many bytes are in flight, or behind a Touch whose
 * record is being read: first come, first served, bounded in calls and in bytes. A caller may give up while it waits,
 * and only then.
 */

import { AbortListeners } from "../base/abort-listeners.js";
import { KvixError } from "../base/kvix-error.js";
import type { WriteOp } from "./write-op.js";

/** How many calls may wait. */
export const WAITING_CALLS_MAX = 200_000;
/** How many bytes of keys and values they may hold together. */
export const WAITING_BYTES_MAX = 1024 * 1024 * 1024;

/** How many places of callers that left may lie about before they are swept out. */
const LEFT_PLACES_MAX = 1024;

/** A place in the line; emptied when its caller leaves, so that no value outlives its call. */
interface Place {
  op: WriteOp | undefined;
  unlisten: (() => void) | undefined;
}

/** A queue of operations that are not accepted yet. */
export class WaitingLine {
  #places: Place[] = [];
  #head = 0;
  #count = 0;
  #bytes = 0;
  readonly #listeners = new AbortListeners();

  /** How many wait. */
  get count(): number {
    return this.#count;
  }

  /** The one that has waited longest. */
  get first(): WriteOp | undefined {
    for (;;) {
      const place = this.#places[this.#head];
      if (place === undefined || place.op !== undefined) return place?.op;
      this.#head += 1;
    }
  }

  /**
   * Lets an operation wait; if it gives up, `onAbort` is called and it is rejected.
   * Rejects it, and answers false, if the line is full.
   */
  add(op: WriteOp, signal: AbortSignal | undefined, onAbort: () => void): boolean {
    if (this.#count >= WAITING_CALLS_MAX || this.#bytes + op.costBytes > WAITING_BYTES_MAX) {
      op.reject(
        new KvixError("OVERLOADED", `${this.#count} calls wait`, {
          metadata: { waiting_calls: this.#count, waiting_bytes: this.#bytes },
        }),
      );
      return false;
    }
    const leave = (): void => {
      if (this.#remove(place) === undefined) return;
      this.#sweepOut();
      onAbort();
      op.reject(cancelled(signal));
    };
    const place: Place = { op, unlisten: undefined };
    if (signal !== undefined) place.unlisten = this.#listeners.add(signal, leave);
    this.#places.push(place);
    this.#count += 1;
    this.#bytes += op.costBytes;
    return true;
  }

  /** Takes the first out of the line. */
  take(): WriteOp | undefined {
    if (this.first === undefined) {
      this.#places = [];
      this.#head = 0;
      return undefined;
    }
    const place = this.#places[this.#head] as Place;
    const op = this.#remove(place);
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#places.length) {
      this.#places = this.#places.slice(this.#head);
      this.#head = 0;
    }
    return op;
  }

  /** The places of callers that left must not pile up behind one that stays. */
  #sweepOut(): void {
    if (this.#places.length - this.#head <= 2 * this.#count + LEFT_PLACES_MAX) return;
    this.#places = this.#places.slice(this.#head).filter(({ op }) => op !== undefined);
    this.#head = 0;
  }

  /** Empties a place; answers who had it. */
  #remove(place: Place): WriteOp | undefined {
    const { op, unlisten } = place;
    if (op === undefined) return undefined;
    unlisten?.();
    place.op = undefined;
    place.unlisten = undefined;
    this.#count -= 1;
    this.#bytes -= op.costBytes;
    return op;
  }
}

/** The error for a caller that gave up. */
export function cancelled(signal: AbortSignal | undefined): KvixError {
  return new KvixError("CANCELLED", "", { cause: signal?.reason });
}
