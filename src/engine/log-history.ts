/**
 * What is left of the log's history: which segments have it, from which version
 * on it is complete, and what a reader is told that asks for more.
 *
 *     0 ........ floor ................ newest
 *       compacted,      complete, but for ranges that a crash has lost
 *       or damaged
 */
import { KvixError } from "../base/kvix-error.js";
import type { Segment } from "../storage/segment.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { Damage, DamageRegister } from "./damage.js";
import type { Leases } from "./leases.js";
import { type LogPlace, LogPlaces } from "./log-places.js";
import type { Pins } from "./pins.js";

/** What readers of the log work with. */
export interface LogHistoryContext {
  readonly segments: SegmentSet;
  readonly pins: Pins;
  readonly leases: Leases;
  readonly damage: DamageRegister;
  /** The newest version that is published; that is durable; that was given at all. */
  readonly publishedVersion: () => number;
  readonly durableVersion: () => number;
  readonly givenVersion: () => number;
  /** The highest version of any log segment that was compacted or damaged, as the manifest has it. */
  readonly floor: () => number;
  /** Versions that may have been seen before a crash and are not in the log. */
  readonly lostRanges: () => readonly { readonly first: number; readonly last: number }[];
}

/** The history of a store. */
export class LogHistory {
  readonly #context: LogHistoryContext;
  /** Where readers were: another one need not read up to there. */
  readonly #places = new LogPlaces();
  #damageFloor = 0;
  #damageChanges = -1;

  constructor(context: LogHistoryContext) {
    this.#context = context;
  }

  get pins(): Pins {
    return this.#context.pins;
  }

  get leases(): Leases {
    return this.#context.leases;
  }

  /** The newest version that may be told. */
  get readableVersion(): number {
    return Math.min(this.#context.publishedVersion(), this.#context.durableVersion());
  }

  /** The history is complete above this version. */
  get floor(): number {
    return Math.max(this.#context.floor(), this.#floorOfDamage());
  }

  /**
   * Throws HISTORY_LOST if the changes after a version are not all there, or it
   * is none that this store has given.
   */
  requireComplete(afterVersion: number): void {
    if (afterVersion < this.floor || afterVersion > this.#context.publishedVersion()) {
      throw this.lost(afterVersion);
    }
    for (const { first, last } of this.#context.lostRanges()) {
      // Its last version is that which a store has when it is opened after the
      // crash: nothing was lost after it.
      if (afterVersion >= first && afterVersion < last) throw this.lost(afterVersion);
    }
  }

  /** The error for a reader that is, or would be, at a version. */
  lost(afterVersion: number): KvixError {
    const { floor } = this;
    const newest = this.#context.publishedVersion();
    const detail = `after version ${afterVersion}; it is complete from ${floor}, the newest is ${newest}`;
    return new KvixError("HISTORY_LOST", detail, {
      metadata: { after_version: afterVersion, floor, version: newest },
    });
  }

  /** Remembers damage, and answers the error for the reader that met it. */
  damaged(segment: Segment, damage: Omit<Damage, "segment">): KvixError {
    this.#context.damage.add({ segment: segment.name, ...damage });
    const file = segment.name.fileName;
    const { offset, length, firstVersion, lastVersion } = damage;
    const detail = `${file} at ${offset}, ${length} bytes, versions ${firstVersion} to ${lastVersion}`;
    return new KvixError("RECORD_CORRUPT", detail, {
      metadata: {
        file,
        offset,
        length,
        first_version: firstVersion,
        last_version: lastVersion,
      },
    });
  }

  /** Whether these bytes are known to be damaged, and to hold no newer version than this. */
  isKnownUpTo(version: number, { name }: Segment, offset: number, length: number): boolean {
    return this.#context.damage.of(name).some((range) => {
      const hasAll = range.offset <= offset && range.offset + range.length >= offset + length;
      return hasAll && range.lastVersion <= version;
    });
  }

  /** Whether a segment is still part of the store. */
  has(segment: Segment): boolean {
    return this.#context.segments.find(segment.name.id) === segment;
  }

  /**
   * Where reading begins for what comes after a version; undefined: the log has
   * no segment that may have it. Throws HISTORY_LOST.
   */
  locate(
    afterVersion: number,
  ): { segment: Segment; offset: number; seenVersion: number } | undefined {
    if (afterVersion < this.floor) throw this.lost(afterVersion);
    let segment: Segment | undefined;
    for (const each of this.#context.segments) {
      if (!each.isLog || (each.isSealed && each.highestVersion <= afterVersion)) continue;
      if (segment === undefined || each.name.timestampNs < segment.name.timestampNs) segment = each;
    }
    if (segment === undefined) return undefined;
    // Who begins with what comes next reads nothing of what was before.
    if (!segment.isSealed && afterVersion >= this.#context.givenVersion()) {
      return { segment, offset: segment.length, seenVersion: afterVersion };
    }
    const known = this.#places.before(segment, afterVersion);
    if (known !== undefined) return { ...known };
    return { segment, offset: 0, seenVersion: Math.max(segment.lowestVersion - 1, 0) };
  }

  /** A place further on in its segment, all before which was written by `version`; undefined: none is known. */
  placeBeyond({ segment, offset }: LogPlace, version: number): LogPlace | undefined {
    const known = this.#places.before(segment, version);
    return known !== undefined && known.offset > offset ? known : undefined;
  }

  /** Takes note of how far a reader is. */
  remember(place: LogPlace): void {
    this.#places.add(place);
  }

  /** Also of damage that the manifest does not know of yet. */
  #floorOfDamage(): number {
    const { damage } = this.#context;
    if (damage.changes !== this.#damageChanges) {
      this.#damageChanges = damage.changes;
      this.#damageFloor = Math.max(0, ...damage.toStats().map(({ lastVersion }) => lastVersion));
    }
    return this.#damageFloor;
  }
}
