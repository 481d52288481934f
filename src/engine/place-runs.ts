/**
 * Runs of places: frames that lie so close together in one segment that reading them in
 * one piece costs less than one by one. Records that were written in the order of their
 * keys, by a load or a batch, do so for every answer in key order.
 *
 *     segment  | a | b |gap| c | d | ............ | e |
 *                `------ run ------'                `- read by itself
 *
 * From the page cache a read takes 2 us and a KiB more 0.1 us, so a small gap is read
 * along.
 */
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import type { Place } from "./place.js";

/** The longest run; what a run that is read holds. */
export const RUN_BYTES_MAX = 65_536;
/** The longest gap within a run. */
const GAP_BYTES_MAX = 256;
/** Fewer frames are read one by one. */
const RUN_PLACES_MIN = 4;

/** Places to read in one piece, in the order of their offsets. */
export interface PlaceRun {
  readonly places: readonly Place[];
  readonly segment: number;
  readonly from: number;
  readonly to: number;
}

/** The runs among places that are still to be read. */
export function runsOf(places: readonly Place[]): PlaceRun[] {
  const sorted = places
    .filter(({ record }) => record === undefined)
    .sort((one, other) => one.segment - other.segment || one.offset - other.offset);
  const runs: PlaceRun[] = [];
  let first = 0;
  for (let at = 1; at <= sorted.length; at += 1) {
    const start = sorted[first] as Place;
    const last = sorted[at - 1] as Place;
    const next = sorted[at];
    if (next !== undefined && goesOn(start, last, next)) continue;
    if (at - first >= RUN_PLACES_MIN) {
      const { segment, offset: from } = start;
      runs.push({ places: sorted.slice(first, at), segment, from, to: endOf(last) });
    }
    first = at;
  }
  return runs;
}

function goesOn(start: Place, last: Place, next: Place): boolean {
  return (
    next.segment === last.segment &&
    next.offset - endOf(last) <= GAP_BYTES_MAX &&
    endOf(next) - start.offset <= RUN_BYTES_MAX
  );
}

function endOf({ offset, recordBytes }: Place): number {
  return offset + FRAME_HEADER_BYTES + recordBytes;
}
