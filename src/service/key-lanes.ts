/**
 * The order of operations on one key, where different keys go side by side.
 *
 * The store accepts writes in the order in which they are handed to it, so a
 * write waits for no write. It shows a write only when it is published, so a
 * read waits for the writes before it; and what comes behind a read that waits,
 * waits too, or the read would see it.
 *
 *     set a, set a, get a, set a, get b
 *     runs   runs   waits  waits  runs
 *
 * Nobody waits while there are only writes; so a write that runs is entered in its lanes
 * when the first comes that may have to wait for it, and most are not at all.
 *
 *     unlisted --something waits, or a read comes--> in its lanes
 *
 * Keys are told apart by 32 bits of hash over their length and their two ends.
 * Two keys with the same hash are kept in order as if they were one: more order
 * than was asked for, never less.
 */

/** What is to be kept in order. */
export interface Laned {
  /** The hashes of its keys, each once; of a write that never waits they may repeat. */
  readonly lanes: readonly number[];
  /** It changes nothing. */
  readonly isRead: boolean;
}

interface Lane {
  /** Writes that run. */
  writes: number;
  /** What waits, in order. */
  readonly waiting: Waiting[];
}

interface Waiting {
  readonly item: Laned;
  /** At the head of how many of its lanes it stands. */
  heads: number;
}

/** So much of each end of a key is looked at. */
const HASHED_BYTES = 32;

/** The number of the lane of a key, which is `source[start, end)`. */
export function laneOf(source: Uint8Array, start = 0, end = source.length): number {
  let hash = 0x811c9dc5 ^ (end - start);
  const headEnd = Math.min(end, start + HASHED_BYTES);
  for (let at = start; at < headEnd; at += 1) {
    hash = Math.imul(hash ^ (source[at] as number), 0x01000193);
  }
  for (let at = Math.max(headEnd, end - HASHED_BYTES); at < end; at += 1) {
    hash = Math.imul(hash ^ (source[at] as number), 0x01000193);
  }
  return hash;
}

/** Lets operations run, each when its turn has come. */
export class KeyLanes<Item extends Laned> {
  readonly #lanes = new Map<number, Lane>();
  /** Writes that run and are not in their lanes; none while anything waits. */
  readonly #unlisted = new Set<Item>();
  readonly #run: (item: Item) => void;
  #waiting = 0;

  /** `run` is called once for each item. */
  constructor(run: (item: Item) => void) {
    this.#run = run;
  }

  /** Whether anything waits; if not, a write runs at once. */
  get hasWaiting(): boolean {
    return this.#waiting > 0;
  }

  /** Runs the item now, or when what is before it is done. Every write that ran must `leave`. */
  enter(item: Item): void {
    const { isRead } = item;
    if (!isRead && this.#waiting === 0) {
      this.#unlisted.add(item);
      this.#run(item);
      return;
    }
    this.#listAll();
    const { lanes } = item;
    const [only] = lanes;
    const isFree =
      only !== undefined && lanes.length === 1
        ? this.#isFree(only, isRead)
        : lanes.every((number) => this.#isFree(number, isRead));
    if (isFree) {
      if (!isRead) for (const number of lanes) this.#laneAt(number).writes += 1;
      this.#run(item);
      return;
    }
    const place: Waiting = { item, heads: 0 };
    this.#waiting += 1;
    for (const number of lanes) {
      const lane = this.#laneAt(number);
      lane.waiting.push(place);
      if (lane.waiting.length === 1) place.heads += 1;
    }
  }

  /** A write is done: what waited for it runs. */
  leave(item: Item): void {
    if (item.isRead || this.#unlisted.delete(item)) return;
    for (const number of item.lanes) {
      const lane = this.#lanes.get(number) as Lane;
      lane.writes -= 1;
      if (lane.waiting.length > 0) this.#advance(number, lane);
      else if (lane.writes === 0) this.#lanes.delete(number);
    }
  }

  #listAll(): void {
    for (const { lanes } of this.#unlisted) {
      for (const number of lanes) this.#laneAt(number).writes += 1;
    }
    this.#unlisted.clear();
  }

  #isFree(number: number, isRead: boolean): boolean {
    const lane = this.#lanes.get(number);
    return lane === undefined || (lane.waiting.length === 0 && !(isRead && lane.writes > 0));
  }

  #laneAt(number: number): Lane {
    let lane = this.#lanes.get(number);
    if (lane === undefined) {
      lane = { writes: 0, waiting: [] };
      this.#lanes.set(number, lane);
    }
    return lane;
  }

  /** Runs what stands at the head and may. */
  #advance(number: number, lane: Lane): void {
    for (let [place] = lane.waiting; place !== undefined; [place] = lane.waiting) {
      const { item, heads } = place;
      if (heads < item.lanes.length) return;
      if (item.isRead && item.lanes.some((each) => this.#laneAt(each).writes > 0)) return;
      this.#start(place);
    }
    if (lane.writes === 0) this.#lanes.delete(number);
  }

  #start({ item }: Waiting): void {
    const { lanes, isRead } = item;
    this.#waiting -= 1;
    for (const number of lanes) {
      const lane = this.#lanes.get(number) as Lane;
      lane.waiting.shift();
      if (!isRead) lane.writes += 1;
      const [next] = lane.waiting;
      if (next !== undefined) next.heads += 1;
    }
    // Only what was entered waits.
    this.#run(item as Item);
    // What it held up elsewhere may run now too.
    for (const number of lanes) {
      const lane = this.#lanes.get(number);
      if (lane !== undefined && lanes.length > 1 && lane.waiting.length > 0) {
        this.#advance(number, lane);
      }
    }
  }
}
