/** What the log and compactions change in a draft of the manifest. */
import { create } from "@bufbuild/protobuf";
import {
  type Segment as ListedSegment,
  type Manifest,
  SegmentSchema,
  SegmentState,
  VersionRangeSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { Segment, SegmentName } from "../storage/segment.js";

/** Lost version ranges beyond this many are joined at the old end. */
const LOST_RANGES_MAX = 1024;

/** The active segment becomes a sealed one, with the sums that its hint must match. */
export function sealInManifest(draft: Manifest, segment: Segment): void {
  replaceListed(draft, segment.name, {
    state: SegmentState.SEALED,
    length: BigInt(segment.length),
    checksum: segment.checksum,
    lowestVersion: BigInt(segment.lowestVersion),
    highestVersion: BigInt(segment.highestVersion),
  });
}

/** A new segment becomes the active one. */
export function addToManifest(draft: Manifest, name: SegmentName): void {
  draft.segments.push(
    create(SegmentSchema, {
      id: name.id,
      timestamp: name.timestampNs,
      state: SegmentState.ACTIVE,
      prefix: name.prefix,
    }),
  );
  noteName(draft, name);
}

/** The newest name given: a compaction's may be newer than that of a log segment made after it. */
export function noteName(draft: Manifest, name: SegmentName): void {
  if (name.timestampNs <= draft.segmentTimestamp) return;
  draft.segmentId = name.id;
  draft.segmentTimestamp = name.timestampNs;
}

/**
 * Adds a range to the lost ones. Ranges that overlap become one; those that follow one
 * another stay apart, for the last version of one was that of the store in between: who
 * was told of it has missed nothing before it.
 */
export function addLostRange(draft: Manifest, range: { first: number; last: number }): void {
  let first = BigInt(range.first);
  let last = BigInt(range.last);
  for (let known = draft.lostRanges.at(-1); known !== undefined; known = draft.lostRanges.at(-1)) {
    if (known.last < first) break;
    draft.lostRanges.pop();
    if (known.first < first) first = known.first;
    if (known.last > last) last = known.last;
  }
  draft.lostRanges.push(create(VersionRangeSchema, { first, last }));
  while (draft.lostRanges.length > LOST_RANGES_MAX) {
    const [oldest, second] = draft.lostRanges.splice(0, 2);
    if (oldest === undefined || second === undefined) break;
    draft.lostRanges.unshift(
      create(VersionRangeSchema, { first: oldest.first, last: second.last }),
    );
  }
}

/** What a compaction is about to write: listed before its file is made, so that a crash leaves no stray. */
export function addPendingOutput(draft: Manifest, name: SegmentName): void {
  draft.segments.push(
    create(SegmentSchema, {
      id: name.id,
      timestamp: name.timestampNs,
      state: SegmentState.PENDING,
      prefix: name.prefix,
    }),
  );
  noteName(draft, name);
}

/**
 * The one change by which a compaction takes effect: the output becomes part of
 * the store and the victims leave it. The history is incomplete from then on as
 * far as a victim of the log reached.
 */
export function commitCompaction(
  draft: Manifest,
  output: Segment | undefined,
  victims: readonly Segment[],
): void {
  if (output !== undefined) {
    replaceListed(draft, output.name, {
      state: SegmentState.COMPACTED,
      length: BigInt(output.length),
      checksum: output.checksum,
      lowestVersion: BigInt(output.lowestVersion),
      highestVersion: BigInt(output.highestVersion),
    });
  }
  for (const victim of victims) {
    replaceListed(draft, victim.name, { state: SegmentState.REMOVED });
    const reached = BigInt(victim.highestVersion);
    if (victim.isLog && reached > draft.historyFloor) draft.historyFloor = reached;
  }
}

/** Segments whose files are gone, or never came. */
export function dropFromManifest(draft: Manifest, timestamps: ReadonlySet<bigint>): void {
  draft.segments = draft.segments.filter(({ timestamp }) => !timestamps.has(timestamp));
}

function replaceListed(draft: Manifest, name: SegmentName, change: Partial<ListedSegment>): void {
  const index = draft.segments.findIndex((each) => each.timestamp === name.timestampNs);
  const listed = draft.segments[index];
  if (listed === undefined) throw new Error(`${name.fileName} is not in the manifest`);
  draft.segments[index] = create(SegmentSchema, { ...listed, ...change });
}
