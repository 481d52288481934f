/**
 * What is known to be damaged. Remembered in the manifest and in hints until an
 * operator decides, so that a degraded store never looks sound again by being
 * restarted.
 */
import { create } from "@bufbuild/protobuf";
import {
  type DamagedRange,
  DamagedRangeSchema,
  VersionRangeSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { SegmentName } from "../storage/segment.js";
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

/** The damaged ranges of a store, each once. */
export class DamageRegister {
  readonly #ranges = new Map<string, Damage>();
  #unsaved = false;

  get count(): number {
    return this.#ranges.size;
  }

  /** Whether there are ranges that the manifest does not have yet. */
  get hasUnsaved(): boolean {
    return this.#unsaved;
  }

  /** Takes note of a range; answers whether it is news. */
  add(damage: Damage, isSaved = false): boolean {
    const { id, timestampNs } = damage.segment;
    const place = `${id}/${timestampNs}/${damage.offset}`;
    const known = this.#ranges.get(place);
    if (known !== undefined && known.length >= damage.length) return false;
    if (this.#isInside(damage)) return false;
    if (known === undefined && this.#ranges.size >= RANGES_MAX) return this.#widen(damage);
    this.#ranges.set(place, damage);
    if (!isSaved) this.#unsaved = true;
    return true;
  }

  /** Whether a known range has all of these bytes: a member of a batch, say, that was read. */
  #isInside({ segment, offset, length }: Damage): boolean {
    for (const known of this.#ranges.values()) {
      if (known.segment.timestampNs !== segment.timestampNs) continue;
      if (known.offset <= offset && known.offset + known.length >= offset + length) return true;
    }
    return false;
  }

  /** Past the bound, a range swallows the last one of the same segment. */
  #widen(damage: Damage): boolean {
    for (const [place, known] of this.#ranges) {
      if (known.segment.timestampNs !== damage.segment.timestampNs) continue;
      const offset = Math.min(known.offset, damage.offset);
      const end = Math.max(known.offset + known.length, damage.offset + damage.length);
      this.#ranges.set(place, {
        segment: known.segment,
        offset,
        length: end - offset,
        firstVersion: Math.min(known.firstVersion, damage.firstVersion),
        lastVersion: Math.max(known.lastVersion, damage.lastVersion),
        keysUnknown: known.keysUnknown || damage.keysUnknown,
      });
      this.#unsaved = true;
      return true;
    }
    return false;
  }

  /** The ranges as the manifest keeps them. */
  toMessages(): DamagedRange[] {
    return Array.from(this.#ranges.values(), damageMessage);
  }

  /** To be called when the manifest has them. */
  markSaved(): void {
    this.#unsaved = false;
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
