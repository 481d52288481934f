/**
 * Which segments a compaction takes next. Pure: the same segments give the same
 * choice. It is asked again after every step, until it chooses nothing.
 */

/** A segment that may be a victim. */
export interface Candidate {
  readonly id: number;
  /** The length of the segment. */
  readonly bytes: number;
  /** Bytes of frames that the index points at: they are copied. */
  readonly liveBytes: number;
  /** Bytes of tombstones that still hide something, as far as is known: they are copied too. */
  readonly keptBytes: number;
  readonly lowestVersion: number;
  readonly highestVersion: number;
  /** Whether a compaction wrote it; else it is a piece of the log. */
  readonly isCompacted: boolean;
}

/** What a choice is made of. */
export interface PolicyInput {
  readonly candidates: readonly Candidate[];
  /** Bytes of all segments of the store, candidates or not. */
  readonly storeBytes: number;
  /** Bytes of them that live or are kept. */
  readonly storeLiveBytes: number;
  /** The newest version of the store: the younger a segment's versions, the more of it will die by itself. */
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

/** Chooses the victims of the next step. */
export function chooseVictims(input: PolicyInput): Choice {
  const dead = input.candidates.filter((each) => each.liveBytes + each.keptBytes < each.bytes);
  return dead.length === 0
    ? { kind: "nothing" }
    : { kind: "victims", ids: dead.slice(0, 1).map((each) => each.id) };
}
