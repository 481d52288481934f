/**
 * Places in the log that readers have passed: from which byte on a segment has
 * what was written after a version. So who resumes reads of a segment what is new
 * to him, and not all that lies before it.
 *
 *     version   0 ....... 812 ....... 1990 ....... 3007
 *     place     none      seg 4, 0    seg 4, 300k  seg 5, 0
 *
 * The log is in version order, so places are too, by version and by where they lie.
 * They are forgotten with the process: the first reader after an opening finds
 * them anew.
 *
 * Bound (V11): 4,096 places, no closer than 256 KiB; with more every second one is
 * dropped, so that they get sparser and stay spread over the log.
 */
import type { Segment } from "../storage/segment.js";

/** A place in a segment; all frames before it have at most `seenVersion`. */
export interface LogPlace {
  readonly segment: Segment;
  readonly offset: number;
  readonly seenVersion: number;
}

/** How many are kept. */
export const LOG_PLACES_MAX = 4096;
/** How far apart they are, in bytes, at least. */
export const LOG_PLACE_SPACING_BYTES = 256 * 1024;

/** Places, by version. */
export class LogPlaces {
  #places: LogPlace[] = [];

  /** How many are known. */
  get count(): number {
    return this.#places.length;
  }

  /** The last place of a segment before all that is newer than a version. */
  before(segment: Segment, version: number): LogPlace | undefined {
    const place = this.#places[this.#indexAfter(version) - 1];
    return place?.segment === segment ? place : undefined;
  }

  /** Takes note of a place, unless one is known close by. */
  add({ segment, offset, seenVersion }: LogPlace): void {
    const index = this.#indexAfter(seenVersion);
    const [before, after] = [this.#places[index - 1], this.#places[index]];
    const isNear = (place: LogPlace | undefined): boolean =>
      place?.segment === segment && Math.abs(place.offset - offset) < LOG_PLACE_SPACING_BYTES;
    if (isNear(before) || isNear(after)) return;
    this.#places.splice(index, 0, { segment, offset, seenVersion });
    if (this.#places.length <= LOG_PLACES_MAX) return;
    // Segments that were compacted are no places any more.
    this.#places = this.#places.filter((place, each) => each % 2 === 0 && !place.segment.isRemoved);
  }

  /** The index of the first place that lies after some frame newer than `version`. */
  #indexAfter(version: number): number {
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] as LogPlace).seenVersion <= version) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
