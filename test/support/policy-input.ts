/** What the policy of compaction is asked in tests: segments of a thousand bytes, and stores of them. */
import type { Candidate, PolicyInput } from "../../src/engine/compaction/policy.js";

/** The length of a full segment. */
export const full = 1000;
/** More room than anything needs. */
export const plenty = Number.MAX_SAFE_INTEGER;

/** Segments in the order in which they were made, each of the hundred versions after the last. */
export function segments(...rows: readonly Partial<Candidate>[]): Candidate[] {
  return rows.map((row, at) => ({
    id: at,
    bytes: full,
    liveBytes: full,
    keptBytes: 0,
    lowestVersion: at * 100 + 1,
    highestVersion: at * 100 + 100,
    isCompacted: false,
    ...row,
  }));
}

/** A store that is nothing but its candidates. */
export function store(
  candidates: readonly Candidate[],
  more: Partial<PolicyInput> = {},
): PolicyInput {
  const sum = (of: (each: Candidate) => number) =>
    candidates.reduce((total, each) => total + of(each), 0);
  return {
    candidates,
    storeBytes: sum(({ bytes }) => bytes),
    storeLiveBytes: sum(needed),
    storeVersion: Math.max(0, ...candidates.map(({ highestVersion }) => highestVersion)),
    segmentBytesMax: full,
    deadPercent: 31,
    roomBytes: plenty,
    extent: "thorough",
    ...more,
  };
}

/** What a copy of the segment takes. */
export const needed = ({ liveBytes, keptBytes }: Candidate): number => liveBytes + keptBytes;
