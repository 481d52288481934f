/**
 * The retention window: the part of the log that compaction leaves alone, so that
 * a watcher who was away for a while finds every change since.
 *
 *     sealed log segments, oldest first    [ ] [ ] [x] [x]  active
 *                                                  `-- written to in the window,
 *                                                      together within the bytes
 *
 * The window is a stretch that ends with the log: a segment is kept only if all
 * behind it are, for history with a gap in it is of no use. The active segment
 * is no victim anyway and does not count. On a disk that is full, or too full
 * for a write of late, nothing is kept: space comes before history.
 *
 * What was written since the store was opened gets older by the monotonic clock: were
 * it the wall clock, one that is set forth would take from the window the requests of
 * seconds ago, and their repeats would be applied again. Of what was there before only
 * the wall clock can tell how old it is: it is asked once, at opening.
 */
import type { Clock } from "../host/host.js";
import type { Segment } from "../storage/segment.js";

/** How many bytes of sealed segments are kept for their history. */
export const RETENTION_BYTES_MAX = 1024 * 1024 * 1024;

/** What decides. */
export interface RetentionInput {
  readonly segments: Iterable<Segment>;
  readonly clock: Clock;
  /** How long history is kept, from the newest frame of a segment on; 0: not at all. */
  readonly retentionMs: number;
  readonly bytesMax: number;
  readonly diskIsShort: boolean;
}

/** Asks the wall clock how old the segments are that an opening has found. */
export function dateSegments(segments: Iterable<Segment>, clock: Clock): void {
  const wallMs = clock.wallMs();
  for (const segment of segments) {
    if (segment.newestTimestampMs === 0) continue;
    const ageMs = wallMs - segment.newestTimestampMs;
    // From the future: the clock is wrong now, or was then. Then it is asked each time.
    if (ageMs >= 0) segment.appendedMs = clock.monotonicMs() - ageMs;
  }
}

/** The sealed segments of the log that are no victims for the sake of their history. */
export function retainedSegments(input: RetentionInput): Set<Segment> {
  const retained = new Set<Segment>();
  if (input.diskIsShort || input.retentionMs === 0) return retained;
  const sealed = Array.from(input.segments).filter(({ isLog, isSealed }) => isLog && isSealed);
  sealed.sort((one, other) => (one.name.timestampNs < other.name.timestampNs ? 1 : -1));
  let bytes = 0;
  let ageMs = 0;
  for (const segment of sealed) {
    bytes += segment.length;
    ageMs = ageOf(segment, input.clock) ?? ageMs;
    if (ageMs >= input.retentionMs || bytes > input.bytesMax) break;
    retained.add(segment);
  }
  return retained;
}

/** Undefined: nothing of it could be read, so that it is only known to be no younger than the next. */
function ageOf({ appendedMs, newestTimestampMs }: Segment, clock: Clock): number | undefined {
  if (appendedMs !== undefined) return clock.monotonicMs() - appendedMs;
  return newestTimestampMs === 0 ? undefined : clock.wallMs() - newestTimestampMs;
}
