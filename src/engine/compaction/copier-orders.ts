/**
 * What the engine and the copier, which works in a thread of its own, tell each
 * other. One order at a time:
 *
 *     engine                     copier
 *     CopyOrder        ------>
 *                      <------   JudgeRequest       as often as there are slices
 *     Verdict          ------>
 *                      <------   Copied | Damaged | Failed
 *
 *     ExamineOrder     ------>
 *                      <------   Examined | Failed
 */
import type { StoreDirectories } from "../../storage/layout.js";
import { Segment, SegmentName } from "../../storage/segment.js";

/** A segment, as the copier needs to know it. */
export interface SegmentRef {
  readonly prefix: string;
  readonly id: number;
  readonly timestampNs: bigint;
  readonly length: number;
  readonly checksum: number;
  readonly lowestVersion: number;
  readonly highestVersion: number;
}

/** Whose segments they are, and where. */
export interface StoreRef {
  readonly storeId: Uint8Array;
  readonly directories: StoreDirectories;
}

/** Which tombstones may go: those that hide nothing in any segment that stays. */
export interface TombstoneRule extends StoreRef {
  /** A tombstone below this version hides nothing: no older record is left anywhere. */
  readonly horizon: number;
  /** Segments that stay, and may hold what a tombstone above the horizon hides; their hints tell. */
  readonly elders: readonly SegmentRef[];
  /** Tombstones from this version on stay: nobody can say what they hide. */
  readonly unknownFrom: number;
}

/** Copy what lives in the victims to the output, in the order of versions. */
export interface CopyOrder extends TombstoneRule {
  readonly kind: "copy";
  readonly victims: readonly SegmentRef[];
  readonly output: SegmentRef;
}

/** Say how many bytes of tombstones in the subject might go. */
export interface ExamineOrder extends TombstoneRule {
  readonly kind: "examine";
  readonly subject: SegmentRef;
}

/** Records of a victim, in the order in which they lie there. Which of them live? */
export interface JudgeRequest {
  readonly kind: "judge";
  /** Which victim of the order. */
  readonly victim: number;
  /** Where the next slice of the victim begins. */
  readonly upTo: number;
  /** Bytes read for this slice. */
  readonly bytesRead: number;
  readonly count: number;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly versions: Float64Array;
  /** 1: a tombstone. */
  readonly tombstones: Uint8Array;
  /** The keys, one after the other, and where each ends. */
  readonly keys: Uint8Array;
  readonly keyEnds: Uint32Array;
}

/** 1: the record lives; of a tombstone: nothing newer is known of its key. */
export interface Verdict {
  readonly kind: "verdict";
  readonly keep: Uint8Array;
}

/** The output is written and synced, and so is its hint. */
export interface Copied {
  readonly kind: "copied";
  readonly length: number;
  readonly checksum: number;
  readonly lowestVersion: number;
  readonly highestVersion: number;
  readonly newestTimestampMs: number;
  readonly tombstoneBytes: number;
  readonly highestTombstone: number;
  readonly hintBytes: number;
}

/** A victim could not be read whole. */
export interface Damaged {
  readonly kind: "damaged";
  readonly victim: number;
  readonly offset: number;
}

/** What the examination found. */
export interface Examined {
  readonly kind: "examined";
  readonly droppableBytes: number;
}

/** The system refused something. */
export interface Failed {
  readonly kind: "failed";
  readonly message: string;
  readonly code: string | undefined;
}

/** A segment by its reference; it has no file. */
export function segmentOf(ref: SegmentRef, store: StoreRef): Segment {
  const { prefix, id, timestampNs } = ref;
  const name = new SegmentName(store.directories, store.storeId, prefix, id, timestampNs);
  const segment = new Segment(name, undefined, true);
  segment.length = ref.length;
  segment.checksum = ref.checksum;
  segment.lowestVersion = ref.lowestVersion;
  segment.highestVersion = ref.highestVersion;
  return segment;
}

/** The reference of a segment. */
export function refOf(segment: Segment): SegmentRef {
  const { name, length, checksum, lowestVersion, highestVersion } = segment;
  const { prefix, id, timestampNs } = name;
  return { prefix, id, timestampNs, length, checksum, lowestVersion, highestVersion };
}
