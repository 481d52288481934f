/**
 * What the wall clock has shown, so that the judge of a store can say whether a
 * record may have been expired at some time: moments are numbers that count up with
 * every change of the clock.
 *
 *     moment   0    1    2    3
 *     wall    100  900   50  200      highest since 1: 900, since 2: 200
 */

/** Every time of the wall clock, in order. */
export class WallLog {
  readonly #walls: number[] = [];
  /** Moments whose wall time nothing later has reached; ascending, with falling walls. */
  readonly #peaks: number[] = [];

  constructor(wallMs: number) {
    this.add(wallMs);
  }

  /** The moment that is now. */
  get now(): number {
    return this.#walls.length - 1;
  }

  add(wallMs: number): void {
    const peaks = this.#peaks;
    while (peaks.length > 0 && this.#at(peaks.at(-1)) <= wallMs) peaks.pop();
    peaks.push(this.#walls.length);
    this.#walls.push(wallMs);
  }

  /** What the clock shows now. */
  get wallMs(): number {
    return this.#at(this.now);
  }

  /** The latest that it has shown at or after a moment. */
  highestSince(moment: number): number {
    const peaks = this.#peaks;
    let low = 0;
    let high = peaks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((peaks[middle] as number) >= moment) high = middle;
      else low = middle + 1;
    }
    return this.#at(peaks[low]);
  }

  /** The earliest that it has shown from one moment to another. */
  lowestBetween(from: number, to: number): number {
    let lowest = this.#at(from);
    for (let moment = from + 1; moment <= to; moment += 1) {
      lowest = Math.min(lowest, this.#at(moment));
    }
    return lowest;
  }

  /** The latest that it has shown from one moment to another. */
  highestBetween(from: number, to: number): number {
    let highest = this.#at(from);
    for (let moment = from + 1; moment <= to; moment += 1) {
      highest = Math.max(highest, this.#at(moment));
    }
    return highest;
  }

  #at(moment: number | undefined): number {
    return this.#walls[moment ?? -1] ?? Number.NEGATIVE_INFINITY;
  }
}
