/**
 * Watches that the sweep keeps still while the wall clock cannot be trusted (T6, I2).
 *
 *     clocks part -> what was due by then may still be on its way to the disk
 *                 -> nothing else is expired there, until they meet again or an hour is over
 *
 * A jump may fall between the sweep's look at the clock and the writes that follow from
 * it: so what may have been due before the jump is allowed for.
 */
import { strict as assert } from "node:assert";
import type { Life } from "./life.js";

/** The sweep stops when the clocks are further apart than 60 s; a frozen clock takes some of it back. */
const partedMsMin = 120_000;
/** A pause lasts an hour at least. */
const pauseMsMin = 3_500_000;

/** Of one life. */
export class SweepWatch {
  readonly #life: Life;
  #allowed: number | undefined;
  #dueBefore = 0;

  constructor(life: Life) {
    this.#life = life;
  }

  /** To be called before the wall clock is set. */
  beforeJump(): void {
    const { history } = this.#life;
    this.#dueBefore = history.changesUnderWay;
    for (const key of history.states.keys) {
      const entry = history.states.newest(key);
      if (entry?.value !== undefined && history.states.mayBeSwept(entry)) this.#dueBefore += 1;
    }
  }

  /** And after it. */
  afterJump(): void {
    const { store, isClockTrusted } = this.#life;
    if (!this.#isParted() || isClockTrusted) this.end();
    else if (this.#allowed === undefined) this.#allowed = store.stats().expired + this.#dueBefore;
    else this.#requireStill(this.#allowed);
  }

  /** The clients are done, or the clocks have met again. */
  end(): void {
    if (this.#allowed !== undefined) this.#requireStill(this.#allowed);
    this.#allowed = undefined;
  }

  #isParted(): boolean {
    const { world, clockGapMs } = this.#life;
    return Math.abs(world.clock.wallMs() - world.clock.monotonicMs() - clockGapMs) > partedMsMin;
  }

  #requireStill(allowed: number): void {
    const { store, world, startMs } = this.#life;
    if (world.clock.monotonicMs() - startMs >= pauseMsMin) return;
    const { expired } = store.stats();
    assert.ok(
      expired <= allowed,
      `T6: ${expired} records are expired on disk, by a clock that jumped`,
    );
  }
}
