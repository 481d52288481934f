/**
 * Which segments a compaction takes next. Pure: the same input gives the same
 * choice. It is asked again after every step, until it chooses nothing.
 *
 * A step copies what its victims still hold into one new segment. What it costs
 * is the bytes copied, what it gains is the dead bytes of the victims. A segment
 * that loses its records quickly is better left alone for a while: it will cost
 * less and free more. How quickly it loses them shows in how much of it has died
 * since it was made. So the victim is the one with the most of
 *
 *     dead bytes / bytes to copy * sqrt(age)        age: versions since it was made
 *
 * Without the age, hot segments are copied over and over; with the whole age,
 * cold ones are copied for little: see docs/decisions/0019-compaction-policy.md.
 *
 * Invariants
 *  1. Segments without a byte to copy come first, all of them: they are free.
 *  2. Every other choice holds a victim that has enough dead bytes to be worth it.
 *     The output has none, so without writes a run comes to an end (M7); what
 *     lives wholly is not copied for its own sake.
 *  3. The output of a step has room in `roomBytes`, and in one segment unless a
 *     single victim needs more (M8).
 *  4. Linear in the number of candidates.
 */

/** A segment that may be a victim. */
export interface Candidate {
  readonly id: number;
  /** The length of the segment. */
  readonly bytes: number;
  /** Bytes of frames that the index points at: they are copied. */
  readonly liveBytes: number;
  /**
   * Bytes of tombstones that still hide something, as far as is known: they are copied too.
   * Never less than what a copy would keep: a segment that needs no byte copied goes unread,
   * and one that is copied for less than it frees would be copied again.
   */
  readonly keptBytes: number;
  readonly lowestVersion: number;
  readonly highestVersion: number;
  /** Whether a compaction wrote it; else it is a piece of the log. */
  readonly isCompacted: boolean;
}

/** What a choice is made of. */
export interface PolicyInput {
  /** In the order in which they were made, the oldest first: it tells how old outputs are. */
  readonly candidates: readonly Candidate[];
  /** Bytes of all segments of the store, candidates or not. */
  readonly storeBytes: number;
  /** Bytes of them that live or are kept. */
  readonly storeLiveBytes: number;
  /** The newest version of the store. */
  readonly storeVersion: number;
  readonly segmentBytesMax: number;
  /** How much of all bytes may be dead, in percent. */
  readonly deadPercent: number;
  /** How many bytes the outputs of one step may take on the disk. */
  readonly roomBytes: number;
  /** "due": until dead bytes are within their share. "thorough": all that is worth it. */
  readonly extent: "due" | "thorough";
}

/** What is chosen: the victims of one step, together at most one segment of output. */
export type Choice =
  | { readonly kind: "victims"; readonly ids: readonly number[] }
  /** Nothing is worth it. */
  | { readonly kind: "nothing" }
  /** Something is, but the cheapest needs more room. */
  | { readonly kind: "no-room"; readonly neededBytes: number };

/** Below this dead share of a segment a thorough run leaves it: nine bytes copied for one freed. */
const WORTH_DEAD_SHARE = 0.1;
/** The most victims of one step: it is cancelled or repeated as a whole. */
const VICTIMS_MAX = 32;
/** Victims that go together score at least this share of the best, unless all of them will go. */
const PARTNER_SCORE_SHARE = 0.95;
/** And their ages differ by no more than this factor, so that hot and cold stay apart. */
const PARTNER_AGE_RATIO = 3;
/** A segment that is not worth it goes along only below this share of a full one, */
const FILLER_SHARE = 0.25;
/** and only while there are so many segments more than twice what full ones would be. */
const SPARE_SEGMENTS = 8;

/** Chooses the victims of the next step. */
export function chooseVictims(input: PolicyInput): Choice {
  const empty = input.candidates.filter((each) => neededBytes(each) === 0);
  if (empty.length > 0) return { kind: "victims", ids: empty.map(({ id }) => id) };
  if (input.extent === "due" && !isOverDead(input)) return { kind: "nothing" };
  const ages = agesOf(input);
  const scores = scoresOf(input, ages);
  const best = bestFitting(input, scores);
  if (best !== undefined) return { kind: "victims", ids: gather(input, ages, scores, best) };
  const cheapest = cheapestWorth(input, scores);
  return cheapest === undefined ? { kind: "nothing" } : { kind: "no-room", neededBytes: cheapest };
}

/** Whether more of the store is dead than may be. */
export function isOverDead({
  storeBytes,
  storeLiveBytes,
  deadPercent,
}: Pick<PolicyInput, "storeBytes" | "storeLiveBytes" | "deadPercent">): boolean {
  return (storeBytes - storeLiveBytes) * 100 > storeBytes * deadPercent;
}

/**
 * Whether compaction has fallen behind those who write: of what it has to copy from,
 * more is dead than half way from the share that may be to all of it.
 */
export function isBehind({
  candidates,
  deadPercent,
}: Pick<PolicyInput, "candidates" | "deadPercent">): boolean {
  let bytes = 0;
  let needed = 0;
  for (const each of candidates) {
    if (neededBytes(each) === 0) continue;
    bytes += each.bytes;
    needed += neededBytes(each);
  }
  return (bytes - needed) * 200 > bytes * (100 + deadPercent);
}

/** What a copy of the segment takes. */
function neededBytes({ liveBytes, keptBytes }: Candidate): number {
  return liveBytes + keptBytes;
}

/**
 * Versions since each segment was made. A piece of the log was full when its
 * highest version was written. An output carries versions from long before; but
 * it was made after every segment that stands before it.
 */
function agesOf({ candidates, storeVersion }: PolicyInput): Float64Array {
  let madeAtVersion = 0;
  return Float64Array.from(candidates, ({ highestVersion }) => {
    madeAtVersion = Math.max(madeAtVersion, highestVersion);
    return Math.max(1, storeVersion - madeAtVersion + 1);
  });
}

/** What each segment scores; 0: it is not worth it. */
function scoresOf(input: PolicyInput, ages: Float64Array): Float64Array {
  // Where the dead bytes lie in segments that are no candidates, rewriting the others
  // for the last percent would bring the share no nearer and cost a multiple.
  const share = input.extent === "due" ? input.deadPercent / 200 : WORTH_DEAD_SHARE;
  return Float64Array.from(input.candidates, (each, at) => {
    const needed = neededBytes(each);
    const dead = each.bytes - needed;
    if (dead <= 0 || dead < each.bytes * share) return 0;
    return (dead / needed) * Math.sqrt(ages[at]!);
  });
}

/**
 * The best victim. If the disk has no room for it, the one that has room and
 * frees the most for each byte it takes: space comes first then.
 */
function bestFitting(
  { candidates, roomBytes }: PolicyInput,
  scores: Float64Array,
): number | undefined {
  let best: number | undefined;
  for (let at = 0; at < scores.length; at++) {
    if (scores[at]! > (best === undefined ? 0 : scores[best]!)) best = at;
  }
  if (best === undefined || neededBytes(candidates[best]!) <= roomBytes) return best;
  let fitting: number | undefined;
  let most = 0;
  for (const [at, each] of candidates.entries()) {
    const needed = neededBytes(each);
    if (scores[at] === 0 || needed > roomBytes || each.bytes / needed <= most) continue;
    most = each.bytes / needed;
    fitting = at;
  }
  return fitting;
}

/** The least room that a victim needs; undefined: there is none. */
function cheapestWorth({ candidates }: PolicyInput, scores: Float64Array): number | undefined {
  let cheapest: number | undefined;
  for (const [at, each] of candidates.entries()) {
    if (scores[at] === 0) continue;
    const needed = neededBytes(each);
    if (cheapest === undefined || needed < cheapest) cheapest = needed;
  }
  return cheapest;
}

/**
 * The victim and what goes with it into one output, so that outputs do not get
 * smaller and more numerous: first others that are nearly as good and about as
 * old; then, if there are many, small segments. One of those is no larger than what
 * has been gathered before, so a record that is copied only to go along lies in a
 * segment of twice the size afterwards, and that happens to it a few times at most.
 */
function gather(
  input: PolicyInput,
  ages: Float64Array,
  scores: Float64Array,
  first: number,
): number[] {
  const { candidates, storeBytes, segmentBytesMax, roomBytes } = input;
  const isTaken = new Uint8Array(candidates.length);
  isTaken[first] = 1;
  const ids = [candidates[first]!.id];
  let gathered = neededBytes(candidates[first]!);
  const room = Math.min(segmentBytesMax, roomBytes);
  const take = (at: number): void => {
    isTaken[at] = 1;
    ids.push(candidates[at]!.id);
    gathered += neededBytes(candidates[at]!);
  };
  const leastScore = input.extent === "due" ? scores[first]! * PARTNER_SCORE_SHARE : 0;
  for (const at of neighbours(ages, first)) {
    if (ids.length >= VICTIMS_MAX || ageRatio(ages, at, first) > PARTNER_AGE_RATIO) break;
    if (scores[at] === 0 || scores[at]! < leastScore) continue;
    if (gathered + neededBytes(candidates[at]!) <= room) take(at);
  }
  if (candidates.length <= (2 * storeBytes) / segmentBytesMax + SPARE_SEGMENTS) return ids;
  const fillerMax = segmentBytesMax * FILLER_SHARE;
  for (const at of neighbours(ages, first)) {
    if (ids.length >= VICTIMS_MAX) break;
    const needed = neededBytes(candidates[at]!);
    if (isTaken[at] === 1 || needed > gathered || needed > fillerMax) continue;
    if (gathered + needed <= room) take(at);
  }
  return ids;
}

/** All others, the nearest in age first. Ages fall along the list, so they lie on both sides. */
function* neighbours(ages: Float64Array, of: number): Generator<number> {
  let older = of - 1;
  let younger = of + 1;
  while (older >= 0 || younger < ages.length) {
    const isOlder =
      younger >= ages.length ||
      (older >= 0 && ageRatio(ages, older, of) <= ageRatio(ages, younger, of));
    yield isOlder ? older-- : younger++;
  }
}

/** By which factor two ages differ: 1 or more. */
function ageRatio(ages: Float64Array, one: number, other: number): number {
  const ratio = ages[one]! / ages[other]!;
  return ratio < 1 ? 1 / ratio : ratio;
}
