/**
 * Pins: how a reader keeps a segment from being taken away under it.
 *
 * A compaction takes a segment away in this order: manifest -> every index
 * entry redirected -> `released` -> file closed and removed. What was looked up
 * before the redirect may still be read until `released` resolves:
 *
 *     ticket   of everything that could be looked up when it was taken: a write
 *              whose answer carries a record, a page, a read in the thread pool,
 *              a snapshot. `released` waits for the tickets that were out when
 *              it was called, and for none that came later.
 *     hold     of one segment: a reader of the log, the keeper of hints.
 *
 * A ticket is an epoch, counted: taking one and giving it back is an addition
 * and a subtraction, whatever the number of segments. What is looked up and
 * read in one turn needs none.
 *
 * Who may keep a ticket or a hold longer than its disk needs has a lease
 * (leases.ts), so that no removal waits for ever.
 */
import type { Segment } from "../storage/segment.js";

/** Keeps what could be looked up when it was taken. To be given back exactly once. */
export interface Ticket {
  leave(): void;
}

/** Keeps one segment. */
export interface Hold {
  /** Idempotent. */
  release(): void;
}

/** The tickets that were taken between two removals. */
class Epoch implements Ticket {
  readonly number: number;
  readonly #onEmpty: (epoch: Epoch) => void;
  count = 0;

  constructor(number: number, onEmpty: (epoch: Epoch) => void) {
    this.number = number;
    this.#onEmpty = onEmpty;
  }

  leave(): void {
    this.count -= 1;
    if (this.count > 0) return;
    if (this.count < 0) throw new Error("a ticket is given back twice");
    this.#onEmpty(this);
  }
}

/** A removal that waits. */
interface Removal {
  readonly segment: Segment;
  /** The newest epoch whose tickets may name the segment. */
  readonly epoch: number;
  readonly end: (isReleased: boolean) => void;
}

/** Who reads what. */
export class Pins {
  #current = this.#newEpoch(1);
  /** Epochs that are over and have tickets out, oldest first. */
  #over: Epoch[] = [];
  readonly #holds = new Map<Segment, number>();
  readonly #removals = new Set<Removal>();
  /** Segments that wait for their readers, or had their last: they stay so. */
  readonly #leaving = new WeakSet<Segment>();

  /** Tickets and holds that are out. */
  get count(): number {
    let count = this.#current.count;
    for (const epoch of this.#over) count += epoch.count;
    for (const holds of this.#holds.values()) count += holds;
    return count;
  }

  /** Bytes of the segments whose removal waits for readers. */
  get waitingBytes(): number {
    let bytes = 0;
    for (const { segment } of this.#removals) bytes += segment.length;
    return bytes;
  }

  /** A ticket; to be taken in the turn in which places are looked up. */
  enter(): Ticket {
    this.#current.count += 1;
    return this.#current;
  }

  /** Holds a segment; undefined: it is being taken away, and nobody may come to it any more. */
  hold(segment: Segment): Hold | undefined {
    if (this.#leaving.has(segment)) return undefined;
    this.#holds.set(segment, (this.#holds.get(segment) ?? 0) + 1);
    let isHeld = true;
    return {
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#letGo(segment);
      },
    };
  }

  /**
   * Resolves to true when nobody can read the segment any more, to false if
   * `signal` aborts before. To be called when no index entry names it any more.
   */
  released(segment: Segment, signal?: AbortSignal): Promise<boolean> {
    if (signal?.aborted === true) return Promise.resolve(false);
    if (this.#current.count > 0) {
      this.#over.push(this.#current);
      this.#current = this.#newEpoch(this.#current.number + 1);
    }
    const epoch = this.#current.number - 1;
    this.#leaving.add(segment);
    return new Promise((resolve) => {
      const abort = (): void => removal.end(false);
      const removal: Removal = {
        segment,
        epoch,
        end: (isReleased) => {
          signal?.removeEventListener("abort", abort);
          this.#removals.delete(removal);
          if (!isReleased) this.#leaving.delete(segment);
          resolve(isReleased);
        },
      };
      this.#removals.add(removal);
      signal?.addEventListener("abort", abort);
      this.#endRemovals();
    });
  }

  #newEpoch(number: number): Epoch {
    return new Epoch(number, (epoch) => {
      // Tickets of the current epoch come and go; nobody waits for them.
      if (epoch === this.#current) return;
      this.#over = this.#over.filter((each) => each !== epoch);
      this.#endRemovals();
    });
  }

  #letGo(segment: Segment): void {
    const holds = (this.#holds.get(segment) ?? 0) - 1;
    if (holds > 0) {
      this.#holds.set(segment, holds);
      return;
    }
    this.#holds.delete(segment);
    this.#endRemovals();
  }

  #endRemovals(): void {
    const oldest = this.#over[0]?.number ?? Number.POSITIVE_INFINITY;
    for (const removal of this.#removals) {
      if (removal.epoch < oldest && !this.#holds.has(removal.segment)) removal.end(true);
    }
  }
}
