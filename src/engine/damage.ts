/**
 * What is known to be damaged. Remembered in the manifest and in hints until an
 * operator decides, so that a degraded store never looks sound again by being
 * restarted.
 */
import { create } from "@bufbuild/protobuf";
import {
  type DamagedRange,
  DamagedRangeSchema,
  type Manifest,
  VersionRangeSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { Segment, SegmentName } from "../storage/segment.js";
import type { DamageStats } from "./store-stats.js";

/** How many ranges are told apart; beyond it neighbours of one segment are joined. */
const RANGES_MAX = 4096;

/** A run of damaged bytes of one segment. */
export interface Damage {
  readonly segment: SegmentName;
  readonly offset: number;
  readonly length: number;
  readonly firstVersion: number;
  readonly lastVersion: number;
  /** Whether nobody can say which keys were written there. */
  readonly keysUnknown: boolean;
}

/** What stands around damaged bytes. */
export interface Neighbours {
  /** The highest version in front of it. */
  readonly versionBefore: number;
  /** That of the frame behind it; where none is, the ceiling. */
  readonly versionAfter: number;
  /** The first version that the segment cannot have; Infinity if that is not known. */
  readonly versionCeiling: number;
}

/** A run of damaged bytes between two frames. */
export type DamagedRun = Omit<Damage, "firstVersion" | "lastVersion"> & Neighbours;

/** The damaged ranges of a store, each once. */
export class DamageRegister {
  readonly #ranges = new Map<string, Damage>();
  /** Counts the changes; how many of them the manifest has. */
  #changes = 0;
  #savedChanges = 0;
  /** Is called when something new is found. */
  onNews: () => void = () => undefined;

  get count(): number {
    return this.#ranges.size;
  }

  /** Whether there are ranges that the manifest does not have yet. */
  get hasUnsaved(): boolean {
    return this.#changes > this.#savedChanges;
  }

  /** What to tell `markSaved` once the manifest has what `toMessages` answers now. */
  get changes(): number {
    return this.#changes;
  }

  /** Takes note of a range; answers whether it is news. */
  add(damage: Damage, isSaved = false): boolean {
    const known = this.#covering(damage);
    const joined = known === undefined ? damage : join(known, damage);
    if (known !== undefined && isSame(known, joined)) return false;
    if (known !== undefined) this.#ranges.delete(placeOf(known));
    this.#ranges.set(placeOf(joined), joined);
    if (isSaved) return true;
    this.#changes += 1;
    this.onNews();
    return true;
  }

  /** Takes note of a run; what it was said to have had when it was found stays. */
  addRun({ segment, offset, length, keysUnknown, ...run }: DamagedRun): void {
    const known = this.of(segment).find((range) => {
      return range.offset <= offset && range.offset + range.length >= offset + length;
    });
    const { firstVersion, lastVersion } = known ?? versionsOf(run);
    this.add({ segment, offset, length, firstVersion, lastVersion, keysUnknown });
  }

  /**
   * The range that this one is joined with: one that has all of its bytes (a
   * member of a batch, say, that was read) or starts where it does; past the
   * bound, any of the same segment.
   */
  #covering({ segment, offset, length }: Damage): Damage | undefined {
    const isFull = this.#ranges.size >= RANGES_MAX;
    for (const known of this.#ranges.values()) {
      if (known.segment.timestampNs !== segment.timestampNs) continue;
      const hasAll = known.offset <= offset && known.offset + known.length >= offset + length;
      if (hasAll || known.offset === offset || isFull) return known;
    }
    return undefined;
  }

  /** The ranges as the manifest keeps them. */
  toMessages(): DamagedRange[] {
    return Array.from(this.#ranges.values(), damageMessage);
  }

  /** To be called when the manifest has what there was at that count of changes. */
  markSaved(changes: number): void {
    this.#savedChanges = Math.max(this.#savedChanges, changes);
  }

  /** The ranges of one segment. */
  of(segment: SegmentName): Damage[] {
    return Array.from(this.#ranges.values()).filter(
      (damage) => damage.segment.timestampNs === segment.timestampNs,
    );
  }

  /** The ranges as the store's figures show them. */
  toStats(): DamageStats[] {
    return Array.from(this.#ranges.values(), (damage) => ({
      file: damage.segment.fileName,
      offset: damage.offset,
      length: damage.length,
      firstVersion: damage.firstVersion,
      lastVersion: damage.lastVersion,
      keysUnknown: damage.keysUnknown,
    }));
  }
}

/** The versions that a run may have had. */
export function versionsOf({ versionBefore, versionAfter, versionCeiling }: Neighbours) {
  // Frames have changed places: what lay here is of about their time.
  if (versionAfter <= versionBefore) {
    return { firstVersion: versionAfter, lastVersion: versionBefore };
  }
  // The head of a batch lies between neighbours and has no version of its own.
  const firstVersion = Math.max(1, Math.min(versionBefore + 1, versionCeiling - 1));
  const lastVersion = Number.isFinite(versionAfter) ? versionAfter - 1 : firstVersion;
  return { firstVersion, lastVersion: Math.max(firstVersion, lastVersion) };
}

function placeOf({ segment, offset }: Damage): string {
  return `${segment.timestampNs}/${offset}`;
}

/** Nothing that either range knew is lost: least of all that keys are unknown. */
function join(one: Damage, other: Damage): Damage {
  const offset = Math.min(one.offset, other.offset);
  const end = Math.max(one.offset + one.length, other.offset + other.length);
  return {
    segment: one.segment,
    offset,
    length: end - offset,
    firstVersion: Math.min(one.firstVersion, other.firstVersion),
    lastVersion: Math.max(one.lastVersion, other.lastVersion),
    keysUnknown: one.keysUnknown || other.keysUnknown,
  };
}

function isSame(one: Damage, other: Damage): boolean {
  return (
    one.offset === other.offset &&
    one.length === other.length &&
    one.firstVersion === other.firstVersion &&
    one.lastVersion === other.lastVersion &&
    one.keysUnknown === other.keysUnknown
  );
}

/** A range in the form of the manifest and the hint. */
export function damageMessage(damage: Damage): DamagedRange {
  return create(DamagedRangeSchema, {
    segmentId: damage.segment.id,
    segmentTimestamp: damage.segment.timestampNs,
    offset: BigInt(damage.offset),
    length: BigInt(damage.length),
    versions: create(VersionRangeSchema, {
      first: BigInt(damage.firstVersion),
      last: BigInt(damage.lastVersion),
    }),
    keysUnknown: damage.keysUnknown,
  });
}

/** A range as the manifest or a hint has it; `segment` is the one it names. */
export function damageFromMessage(range: DamagedRange, segment: SegmentName): Damage {
  return {
    segment,
    offset: Number(range.offset),
    length: Number(range.length),
    firstVersion: Number(range.versions?.first ?? 0n),
    lastVersion: Number(range.versions?.last ?? 0n),
    keysUnknown: range.keysUnknown,
  };
}

/**
 * Where the last damage ends that a manifest knows of a segment; 0: it knows of none. What
 * lies below is no torn tail, though nothing sound may follow it any more.
 */
export function knownDamageEnd({ damagedRanges }: Manifest, segmentTimestamp: bigint): number {
  let end = 0;
  for (const range of damagedRanges) {
    if (range.segmentTimestamp !== segmentTimestamp) continue;
    end = Math.max(end, Number(range.offset + range.length));
  }
  return end;
}

/**
 * Where the end of a sealed segment begins that nobody has judged: it was sealed by an
 * opening that could not read it, so a write that was cut short may lie there. Its versions
 * are above those that the segment is listed with, as those of an end that was synced for
 * certain are not (segment-recovery.ts). Without such an end: the length.
 */
export function unjudgedFrom({ name, length, highestVersion }: Segment, damage: DamageRegister) {
  let from = length;
  for (const range of damage.of(name)) {
    const isEnd = range.offset + range.length >= length;
    if (!isEnd || !range.keysUnknown || range.firstVersion <= highestVersion) continue;
    from = Math.min(from, range.offset);
  }
  return from;
}
