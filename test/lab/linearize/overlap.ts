/**
 * How concurrent a history is. Two operations overlap if neither had ended before the
 * other was called; one of unknown outcome is taken to end where its client gave up,
 * though for the checker it never does. The mean overlap is how many others an
 * operation overlaps, in the mean over all operations: any other, or those on its key.
 */
import { byKey, type Operation } from "./history.js";

/** Sums over the operations; divided by their number they are the means. */
export interface Overlap {
  readonly overlaps: number;
  readonly overlapsOnKey: number;
}

/** How much the operations overlap. */
export function overlapOf(operations: readonly Operation[]): Overlap {
  const keys = [...byKey(operations).values()];
  const overlapsOnKey = keys.reduce((sum, each) => sum + overlapsIn(each), 0);
  return { overlaps: overlapsIn(operations), overlapsOnKey };
}

/** Each pair counts for both. */
function overlapsIn(operations: readonly Operation[]): number {
  const events = operations.flatMap(({ calledAt, endedAt }) => [
    { place: calledAt, isCall: true },
    { place: endedAt, isCall: false },
  ]);
  events.sort((one, other) => one.place - other.place);
  let underWay = 0;
  let pairs = 0;
  for (const { isCall } of events) {
    if (!isCall) underWay -= 1;
    else {
      pairs += underWay;
      underWay += 1;
    }
  }
  return 2 * pairs;
}
