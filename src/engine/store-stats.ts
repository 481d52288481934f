/** The figures that a store gives of itself. Counts are of this process unless they say otherwise. */

/** Why a store does less than it could. */
export interface StoreCondition {
  /** Damage is known: some records may be unreadable. Reads and writes go on. */
  readonly degraded: boolean;
  /** A sync failed: no more writes until a restart. Reads go on. */
  readonly latched: boolean;
  /** Free space is below the watermark: only deletes are written. */
  readonly full: boolean;
  /** One sentence for each of the above that is true. */
  readonly reasons: readonly string[];
}

/** What opening the store took and found. */
export interface OpenStats {
  readonly milliseconds: number;
  readonly wasClean: boolean;
  readonly segments: number;
  readonly segmentsFromHints: number;
  readonly segmentsScanned: number;
  readonly entriesLoaded: number;
  readonly bytesScanned: number;
  readonly tornBytesCut: number;
  readonly bytesWrittenAgain: number;
  readonly strayFiles: readonly string[];
}

/** Bytes known to be damaged. */
export interface DamageStats {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  readonly firstVersion: number;
  readonly lastVersion: number;
  readonly keysUnknown: boolean;
}

/** What a segment is to its store. */
export type SegmentRole = "active" | "sealed";

/** One file of a store as it is now. */
export interface SegmentFacts {
  readonly id: number;
  /** Unix nanoseconds; with the id it names the segment for ever. */
  readonly timestampNs: bigint;
  readonly file: string;
  readonly role: SegmentRole;
  readonly bytes: number;
  /** Bytes of frames that the index points at. */
  readonly liveBytes: number;
  /** The lowest and the highest version in it; 0: it is empty. */
  readonly lowestVersion: number;
  readonly highestVersion: number;
  /** Whether damage is known in it. */
  readonly isDamaged: boolean;
}

/** The options of an open store that its users must know. */
export interface StoreSettings {
  /** What a write gets that does not say. */
  readonly durability: "sync" | "buffered";
  /** How long a buffered write may wait for its sync, in milliseconds. */
  readonly flushIntervalMs: number;
}

/** What a store tells of itself at one moment. */
export interface StoreStats {
  readonly version: number;
  readonly durableVersion: number;
  readonly keys: number;
  readonly liveBytes: number;
  readonly deadBytes: number;
  readonly segments: number;
  readonly indexBytes: number;
  readonly freeBytes: number;
  readonly inFlightBytes: number;
  readonly waitingCalls: number;
  /** Bytes of pages that are being listed. */
  readonly pageBytes: number;
  readonly syncs: number;
  readonly groups: number;
  readonly bytesAppended: number;
  readonly expired: number;
  readonly sweepPausedBecause: string | undefined;
  readonly hintsMissing: number;
  readonly condition: StoreCondition;
  readonly damage: readonly DamageStats[];
  readonly open: OpenStats;
}
