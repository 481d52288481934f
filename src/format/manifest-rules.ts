/**
 * What must hold inside a manifest, beyond being a Manifest of the proto.
 * Reading refuses a manifest that breaks a rule, and so does writing.
 *
 *  1. The store id is 16 bytes; ids and prefixes are ones that name a file.
 *  2. (id, timestamp) names a segment once; an id belongs to one segment that
 *     is not removed; no timestamp is later than the newest one ever given.
 *  3. At most one segment is active, and its length, checksum and versions,
 *     which are still growing, are 0.
 *  4. Every version that occurs is at most 2^48-1 and, where it was used,
 *     below the version mark (V15); lowest is not above highest.
 *  5. Lost ranges ascend and do not touch each other's versions.
 *  6. Lengths and offsets are exact as numbers, below 2^53.
 */
import {
  type CleanMark,
  type DamagedRange,
  type Manifest,
  type Segment,
  SegmentState,
  type VersionRange,
} from "../../gen/kvix/v1/kvix_pb.js";
import { SEGMENT_ID_MAX, STORE_ID_BYTES, VERSION_MAX } from "../base/limits.js";
import { isValidPrefix } from "./segment-name.js";

const VERSION_MARK_MAX = BigInt(VERSION_MAX) + 1n;
const LENGTH_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** The first rule that the manifest breaks, as a noun phrase for a message; undefined: none. */
export function findManifestFault(manifest: Manifest): string | undefined {
  const mark = manifest.versionMark;
  if (manifest.storeId.length !== STORE_ID_BYTES) return "a store id that is not 16 bytes";
  if (mark > VERSION_MARK_MAX) return "a version mark past the last version";
  if (!isBelow(manifest.historyFloor, mark)) return "a history floor past the version mark";
  if (manifest.segmentTimestamp < 0n) return "a negative segment timestamp";
  if (manifest.segmentId > SEGMENT_ID_MAX) return "a segment id out of range";
  if (!isValidPrefix(manifest.segmentPrefix)) return "an invalid segment prefix";
  return (
    findSegmentsFault(manifest) ??
    findLostRangesFault(manifest.lostRanges, mark) ??
    (manifest.clean === undefined ? undefined : findCleanFault(manifest.clean, mark)) ??
    findDamageFault(manifest.damagedRanges)
  );
}

function findSegmentsFault(manifest: Manifest): string | undefined {
  const names = new Set<string>();
  const idsHeld = new Set<number>();
  let activeCount = 0;
  for (const segment of manifest.segments) {
    const fault = findSegmentFault(segment, manifest);
    if (fault !== undefined) return fault;
    if (segment.state === SegmentState.ACTIVE) activeCount++;
    const name = `${segment.id}_${segment.timestamp}`;
    if (names.has(name)) return "the same segment twice";
    names.add(name);
    if (segment.state === SegmentState.REMOVED) continue;
    if (idsHeld.has(segment.id)) return "two live segments with one id";
    idsHeld.add(segment.id);
  }
  return activeCount > 1 ? "more than one active segment" : undefined;
}

function findSegmentFault(segment: Segment, manifest: Manifest): string | undefined {
  if (segment.id > SEGMENT_ID_MAX) return "a segment's id out of range";
  if (!isValidPrefix(segment.prefix)) return "a segment's prefix that is invalid";
  if (segment.timestamp < 0n) return "a segment's timestamp that is negative";
  if (segment.timestamp > manifest.segmentTimestamp) return "a segment from the future";
  if (segment.length > LENGTH_MAX) return "a segment's length out of range";
  if (segment.lowestVersion > segment.highestVersion) return "a segment's versions out of order";
  if (!isBelow(segment.highestVersion, manifest.versionMark)) {
    return "a segment's version past the version mark";
  }
  switch (segment.state) {
    case SegmentState.ACTIVE: {
      const isBlank = segment.length === 0n && segment.checksum === 0;
      return isBlank && segment.highestVersion === 0n ? undefined : "an active segment with an end";
    }
    case SegmentState.SEALED:
    case SegmentState.COMPACTED:
    case SegmentState.PENDING:
    case SegmentState.REMOVED:
      return undefined;
    default:
      return "a segment in an unknown state";
  }
}

function findLostRangesFault(ranges: readonly VersionRange[], mark: bigint): string | undefined {
  let end = 0n;
  for (const range of ranges) {
    if (range.first <= end || range.last < range.first) return "lost ranges out of order";
    if (range.last >= mark) return "a lost range past the version mark";
    end = range.last;
  }
  return undefined;
}

function findCleanFault(clean: CleanMark, mark: bigint): string | undefined {
  if (clean.syncedLength > LENGTH_MAX) return "a synced length out of range";
  if (!isBelow(clean.lastVersion, mark)) return "a last version past the version mark";
  return clean.newestTimestamp < 0n ? "a negative frame timestamp" : undefined;
}

function findDamageFault(ranges: readonly DamagedRange[]): string | undefined {
  for (const range of ranges) {
    if (range.segmentId > SEGMENT_ID_MAX) return "a damaged range's segment id out of range";
    if (range.length < 1n || range.offset + range.length > LENGTH_MAX) {
      return "a damaged range's bytes out of range";
    }
    if (range.versions === undefined) continue;
    const { first, last } = range.versions;
    if (first > last || last > BigInt(VERSION_MAX))
      return "a damaged range's versions out of order";
  }
  return undefined;
}

/** Whether this version, 0 for none, is one that the mark allows to have been used. */
function isBelow(version: bigint, mark: bigint): boolean {
  return version === 0n || version < mark;
}
