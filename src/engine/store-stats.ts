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
  /** Whether the index was taken from the checkpoint of a clean close. */
  readonly fromCheckpoint: boolean;
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
export type SegmentRole = "active" | "sealed" | "compacted";

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
  /** When its newest frame was accepted, in Unix milliseconds; 0: it has none. */
  readonly newestTimestampMs: number;
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

/** What a compaction is doing. */
export type CompactionPhase =
  /** It waits for its turn in the write queue, or for the disk. */
  | "preparing"
  /** It reads victims, asks which records live, and writes those anew. */
  | "copying"
  /** The outputs are made durable and take the place of the victims. */
  | "committing"
  /** The index is pointed at the outputs, and the victims' files go. */
  | "removing"
  /** The run is over. */
  | "done";

/** How a run of compaction ended. */
export type CompactionOutcome =
  /** All that was worth it was compacted. */
  | "completed"
  /** There was nothing worth it. */
  | "nothing-to-do"
  /** There was, but it could not be: `why` says so. */
  | "declined"
  /** Who asked for it gave up, or the store was closed. */
  | "cancelled"
  /** Something failed: `why` says what. What was committed before stays. */
  | "failed";

/** How far a run of compaction is. Counts are of the run. */
export interface CompactionProgress {
  readonly phase: CompactionPhase;
  /** Segments that are gone, or whose records are copied. */
  readonly segmentsDone: number;
  /** Segments that the run has chosen so far, those done included. */
  readonly segmentsChosen: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes of segments that were replaced or removed, less those of what took their place. */
  readonly bytesReclaimed: number;
  /** How much of the work that is known of is done: 0 to 1. */
  readonly share: number;
  /** Undefined until the run is over. */
  readonly outcome: CompactionOutcome | undefined;
  /** Why it was declined, cancelled or failed; empty otherwise. */
  readonly why: string;
}

/** What compaction does and has done, since the store was opened. */
export interface CompactionStats {
  /** "off": it is not scheduled, and none runs. */
  readonly state: "off" | "idle" | "running";
  /** The run under way; undefined: none is. */
  readonly current: CompactionProgress | undefined;
  /** Runs that are over. */
  readonly runs: number;
  /** The last of them; undefined: there was none. */
  readonly last:
    | {
        readonly startedAtMs: number;
        readonly endedAtMs: number;
        readonly progress: CompactionProgress;
      }
    | undefined;
  /** When the next one begins by itself, in Unix ms, unless dead bytes begin it earlier; 0: never. */
  readonly nextAtMs: number;
  /** Over all runs. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly bytesReclaimed: number;
  readonly segmentsRemoved: number;
  /** Bytes of files that are no longer part of the store, and wait for their readers. */
  readonly pinnedBytes: number;
  /** The history of changes is complete only above this version; 0: all of it is. */
  readonly historyFloor: number;
}

/** What a store tells of itself at one moment. */
export interface StoreStats {
  readonly version: number;
  readonly durableVersion: number;
  readonly keys: number;
  readonly liveBytes: number;
  readonly deadBytes: number;
  readonly segments: number;
  /** How many of their files are open. */
  readonly openFiles: number;
  readonly indexBytes: number;
  readonly freeBytes: number;
  readonly inFlightBytes: number;
  readonly waitingCalls: number;
  /** Uploads under way. */
  readonly uploads: number;
  /** Bytes in their staging files. */
  readonly stagedBytes: number;
  /** Bytes of pages that are being listed. */
  readonly pageBytes: number;
  /** Readers that the removal of a segment would wait for. */
  readonly pins: number;
  readonly syncs: number;
  readonly groups: number;
  readonly bytesAppended: number;
  readonly expired: number;
  readonly sweepPausedBecause: string | undefined;
  readonly hintsMissing: number;
  readonly compaction: CompactionStats;
  readonly condition: StoreCondition;
  readonly damage: readonly DamageStats[];
  readonly open: OpenStats;
}
