/**
 * Which segments may be compacted, and what is known of their tombstones.
 *
 * No victim is: the active segment (M9); one that is damaged, or whose file is
 * missing (M12); one whose hint is being written; one in the retention window; one
 * with records that are not published yet; one that an earlier attempt could not
 * read.
 *
 * The elders of some segments are all others that hold bytes the index does not
 * point at: only there can an older record of a key lie. The horizon is the lowest
 * version of all elders: a tombstone below it hides nothing. One of which nothing could
 * be read, so that no version of it is known, may be read another time: it is an elder
 * from the first version that its damage may have had.
 */
import type { Segment } from "../../storage/segment.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import type { DamageRegister } from "../damage.js";
import type { HintKeeper } from "../hint-keeper.js";
import type { Publisher } from "../publisher.js";
import { refOf, type SegmentRef } from "./copier-orders.js";
import type { Candidate } from "./policy.js";

/** What decides. */
export interface CandidateContext {
  readonly segments: SegmentSet;
  readonly damage: DamageRegister;
  readonly hints: HintKeeper;
  readonly publisher: Publisher;
  /** Segments of the log that are kept for watchers. */
  readonly retained: () => ReadonlySet<Segment>;
}

/** What of the tombstones of a group of victims may go. */
export interface TombstoneFacts {
  readonly horizon: number;
  readonly elders: readonly SegmentRef[];
  readonly unknownFrom: number;
}

/** Where no elder is left, every tombstone is below the horizon. */
const NO_HORIZON = Number.MAX_SAFE_INTEGER;

/** Looks at the segments of a store. */
export class Candidates {
  readonly #context: CandidateContext;
  /** Segments that could not be read whole. */
  readonly #unfit = new WeakSet<Segment>();
  /** How many bytes of tombstones may go though they are above the horizon. */
  readonly #droppable = new WeakMap<Segment, number>();

  constructor(context: CandidateContext) {
    this.#context = context;
  }

  /** Never again a victim in this session. */
  markUnfit(segment: Segment): void {
    this.#unfit.add(segment);
  }

  /** Elders only become fewer, so what was found stays true. */
  markExamined(segment: Segment, droppableBytes: number): void {
    this.#droppable.set(segment, droppableBytes);
  }

  /** The segments that may be victims now, in the order in which they were made. */
  segments(): Segment[] {
    const { segments, damage, hints, publisher, retained } = this.#context;
    const kept = retained();
    const damaged = new Set(damage.toStats().map(({ file }) => file));
    return Array.from(segments)
      .filter(
        (segment) =>
          segment.isSealed &&
          segment.file !== undefined &&
          segment.highestVersion <= publisher.version &&
          !damaged.has(segment.name.fileName) &&
          !this.#unfit.has(segment) &&
          !kept.has(segment) &&
          !hints.isPending(segment),
      )
      .sort((one, other) => (one.name.timestampNs < other.name.timestampNs ? -1 : 1));
  }

  /** The same as the policy sees them. */
  candidates(): Candidate[] {
    const horizons = this.#horizons();
    return this.segments().map((segment) => ({
      id: segment.name.id,
      bytes: segment.length,
      liveBytes: segment.liveBytes,
      keptBytes: this.keptBytes(segment, horizons(segment)),
      lowestVersion: segment.lowestVersion,
      highestVersion: segment.highestVersion,
      isCompacted: !segment.isLog,
    }));
  }

  /** Bytes of tombstones that a compaction of this segment alone would have to copy. */
  keptBytes(segment: Segment, horizon: number): number {
    if (segment.highestTombstone < horizon) return 0;
    return Math.max(0, segment.tombstoneBytes - (this.#droppable.get(segment) ?? 0));
  }

  /**
   * Tombstones worth an examination: they are much of their segment, lie above the
   * horizon, and nobody has asked about them; the largest first.
   */
  unexamined(): Segment[] {
    const horizons = this.#horizons();
    return this.segments()
      .filter(
        (segment) =>
          segment.tombstoneBytes * 8 >= segment.length &&
          !this.#droppable.has(segment) &&
          segment.highestTombstone >= horizons(segment),
      )
      .sort((one, other) => other.tombstoneBytes - one.tombstoneBytes);
  }

  /** What was found of tombstones may have become more: some elder is gone. */
  forgetExaminations(): void {
    for (const segment of this.#context.segments) {
      const found = this.#droppable.get(segment);
      if (found !== undefined && found < segment.tombstoneBytes) this.#droppable.delete(segment);
    }
  }

  /** What a compaction of `victims` may do with their tombstones. */
  tombstoneFacts(victims: readonly Segment[], isCheckWorthIt: boolean): TombstoneFacts {
    const { damage } = this.#context;
    const chosen = new Set(victims);
    const newest = Math.max(0, ...victims.map(({ highestTombstone }) => highestTombstone));
    let horizon = NO_HORIZON;
    let unknownFrom = NO_HORIZON;
    const elders: SegmentRef[] = [];
    for (const segment of this.#context.segments) {
      const { name, file, isSealed } = segment;
      const lowestVersion = chosen.has(segment) ? undefined : this.#elderFrom(segment);
      if (lowestVersion === undefined) continue;
      horizon = Math.min(horizon, lowestVersion);
      if (lowestVersion > newest) continue;
      const isObscure =
        file === undefined || !isSealed || damage.of(name).some(({ keysUnknown }) => keysUnknown);
      if (isObscure) unknownFrom = Math.min(unknownFrom, lowestVersion);
      else elders.push(refOf(segment));
    }
    return isCheckWorthIt
      ? { horizon, elders, unknownFrom }
      : { horizon, elders: [], unknownFrom: horizon };
  }

  /** The horizon of each segment alone. */
  #horizons(): (segment: Segment) => number {
    let lowest = NO_HORIZON;
    let second = NO_HORIZON;
    let lowestOf: Segment | undefined;
    for (const segment of this.#context.segments) {
      const lowestVersion = this.#elderFrom(segment);
      if (lowestVersion === undefined) continue;
      if (lowestVersion < lowest) {
        second = lowest;
        lowest = lowestVersion;
        lowestOf = segment;
      } else {
        second = Math.min(second, lowestVersion);
      }
    }
    return (segment) => (segment === lowestOf ? second : lowest);
  }

  /** The lowest version of the records in it that something may hide; undefined: there are none. */
  #elderFrom({ name, length, liveBytes, lowestVersion }: Segment): number | undefined {
    if (length <= liveBytes) return undefined;
    if (lowestVersion > 0) return lowestVersion;
    const unread = this.#context.damage.of(name).map(({ firstVersion }) => firstVersion);
    return unread.length === 0 ? undefined : Math.min(...unread);
  }
}
