/**
 * Rebuilding a lost, damaged or outdated manifest from what else there is: the mark of
 * the segment directory, the manifest before, and the segments themselves.
 *
 * This is for an operator who has no backup. The manifest alone knows which
 * files no longer belong to the store; without it every file that holds frames
 * of the store is taken in again, so a record that a compaction had dropped for
 * good may return if its file was still there. Nothing is removed: a damaged
 * MANIFEST is kept as MANIFEST.damaged.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Segment as ListedSegment,
  type Manifest,
  ManifestSchema,
  SegmentSchema,
  SegmentState,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { FrameFlag } from "../format/frame.js";
import { decodeManifest } from "../format/manifest.js";
import { parseSegmentFileName } from "../format/segment-name.js";
import { errorCode } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import { readWholeFile } from "../storage/file-tools.js";
import { dataPath, FileName, type StoreDirectories } from "../storage/layout.js";
import { loadManifest, ManifestFile } from "../storage/manifest-file.js";
import { Segment, SegmentName } from "../storage/segment.js";
import { checksumOf, findFrame, type ScanRange, scanFrames } from "../storage/segment-scan.js";
import { readStoreMark } from "../storage/store-mark.js";
import { holdDirectories, openFailed } from "./directories.js";
import { visitFrame } from "./frame-loader.js";
import { letGo } from "./let-go.js";
import { resolveStoreOptions, type StoreOptionsInput } from "./options.js";
import { findYoungerSegment } from "./outdated-manifest.js";
import { VERSION_BLOCK } from "./versions.js";

/** Blocks of versions that are skipped, for those that were reserved and are not in any file. */
const SKIPPED_BLOCKS = 4;

/** What a repair did. */
export interface RepairReport {
  /** False: the manifest was sound, and nothing was done. */
  readonly isRepaired: boolean;
  /** The segments of the store, oldest first. */
  readonly segments: readonly string[];
  /** Files named like segments that hold no frame of this store. */
  readonly leftOut: readonly string[];
  readonly highestVersion: number;
}

/** Rebuilds the manifest of a store that nobody has open. Throws what opening would, and MANIFEST_DAMAGED. */
export async function repairStore(
  input: Pick<StoreOptionsInput, "dataDir" | "segmentDir">,
  host: Host,
): Promise<RepairReport> {
  const options = resolveStoreOptions(input);
  const { directories, locks } = await holdDirectories(host, options);
  try {
    const verdict = await loadManifest(host.files, directories);
    if (verdict?.kind === "too-new") throw new KvixError("FORMAT_TOO_NEW");
    const standing = verdict?.kind === "manifest" ? verdict.manifest : undefined;
    if (standing !== undefined) {
      const younger = await findYoungerSegment(host, directories, standing);
      if (younger === undefined) {
        return { isRepaired: false, segments: [], leftOut: [], highestVersion: 0 };
      }
    }
    return await rebuild(host, directories, standing);
  } catch (error) {
    throw openFailed(error);
  } finally {
    await letGo(
      host.log,
      locks.map((lock) => () => lock.release()),
    );
  }
}

/** `outdated`: the manifest that is there, sound, but older than some of the segments. */
async function rebuild(
  host: Host,
  directories: StoreDirectories,
  outdated: Manifest | undefined,
): Promise<RepairReport> {
  const kept = await previousManifest(host, directories);
  const isNewer = (outdated?.generation ?? 0n) > (kept?.generation ?? 0n);
  const previous = isNewer ? outdated : kept;
  const storeId = (await readStoreMark(host.files, directories)) ?? previous?.storeId;
  if (storeId === undefined) {
    throw new KvixError(
      "MANIFEST_DAMAGED",
      `neither ${FileName.store} nor ${FileName.manifestPrevious} says which store this is`,
    );
  }
  const { found, leftOut } = await findSegments(host, directories, storeId, previous);
  const highestVersion = found.reduce((max, each) => Math.max(max, each.highestVersion), 0);
  // Not the newest of them: that may be the output of a compaction. Nor one that was sealed,
  // or an output whose frames do not say so: a damaged end of it would be cut as torn.
  const active = found.findLast(({ isLog, wasSealed }) => isLog && !wasSealed);
  const newest = latestName(found.at(-1), previous);
  // What is removed already leaves with the store's own leftovers, and is never taken in again.
  const removed = (previous?.segments ?? []).filter(({ state }) => state === SegmentState.REMOVED);
  const mark = Math.max(highestVersion + 1, Number(previous?.versionMark ?? 1n));
  const manifest = create(ManifestSchema, {
    storeId,
    generation: previous?.generation ?? 0n,
    segments: [...found.map((segment) => listedAs(segment, segment === active)), ...removed],
    versionMark: BigInt(mark + SKIPPED_BLOCKS * VERSION_BLOCK),
    lostRanges: previous?.lostRanges ?? [],
    // What was compacted away is unknown: no history below this can be vouched for.
    historyFloor: BigInt(highestVersion),
    damagedRanges: previous?.damagedRanges ?? [],
    segmentTimestamp: newest.timestampNs,
    segmentId: newest.id,
    segmentPrefix: previous?.segmentPrefix ?? newest.prefix,
  });
  await keepDamaged(host, directories);
  await new ManifestFile(host.files, directories, manifest, false).change(() => undefined);
  const segments = found.map((segment) => segment.name.fileName);
  return { isRepaired: true, segments, leftOut, highestVersion };
}

/** The newest name ever given, as far as is known: files that are left out have such names, too. */
function latestName(
  newest: Segment | undefined,
  previous: Manifest | undefined,
): Pick<SegmentName, "timestampNs" | "id" | "prefix"> {
  const given = {
    timestampNs: previous?.segmentTimestamp ?? 0n,
    id: previous?.segmentId ?? 0,
    prefix: previous?.segmentPrefix ?? "segment",
  };
  return newest !== undefined && newest.name.timestampNs > given.timestampNs ? newest.name : given;
}

async function previousManifest(
  host: Host,
  directories: StoreDirectories,
): Promise<Manifest | undefined> {
  const path = dataPath(directories, FileName.manifestPrevious);
  const bytes = await readWholeFile(host.files, path);
  const verdict = bytes === undefined ? undefined : decodeManifest(bytes);
  return verdict?.kind === "manifest" ? verdict.manifest : undefined;
}

/**
 * Every file with frames of this store, oldest first; all but the newest of the log
 * are sealed. What the manifest before calls removed is left out: the outputs that
 * replaced it are in there too. What it calls pending may have become part of the
 * store since, and its victims may be gone: it is taken in if it is whole. Beside its
 * victims it only repeats them.
 */
async function findSegments(
  host: Host,
  directories: StoreDirectories,
  storeId: Uint8Array,
  previous: Manifest | undefined,
): Promise<{ found: ReadSegment[]; leftOut: string[] }> {
  const stateBefore = new Map<bigint, SegmentState>();
  for (const { state, timestamp } of previous?.segments ?? []) stateBefore.set(timestamp, state);
  const found: ReadSegment[] = [];
  const leftOut: string[] = [];
  for (const { name } of await host.files.list(directories.segments)) {
    const parsed = parseSegmentFileName(name);
    if (parsed?.kind !== "segment") continue;
    const { prefix, id, timestampNs } = parsed;
    const segmentName = new SegmentName(directories, storeId, prefix, id, timestampNs);
    const state = stateBefore.get(timestampNs);
    const isRemoved = state === SegmentState.REMOVED;
    const segment = isRemoved ? undefined : await readSegment(host, segmentName, state);
    const isHalf = state === SegmentState.PENDING && segment?.isWhole === false;
    if (segment === undefined || isHalf) leftOut.push(name);
    else found.push(segment);
  }
  found.sort((a, b) => (a.name.timestampNs < b.name.timestampNs ? -1 : 1));
  return { found, leftOut };
}

/** A segment that was read from its first byte to its last. */
type ReadSegment = Segment & { readonly wasSealed: boolean; isWhole: boolean };

/**
 * Length, checksum and versions of a segment; undefined if no frame in it is of this store.
 * What the manifest before says it is, it is; else its frames tell.
 */
async function readSegment(
  host: Host,
  name: SegmentName,
  before: SegmentState | undefined,
): Promise<ReadSegment | undefined> {
  const file = await host.files.open(name.path, "read");
  try {
    const length = await file.size();
    const whole = { file, salt: name.salt, from: 0, to: length };
    const isOutput = before === SegmentState.COMPACTED || before === SegmentState.PENDING;
    const isLog = !isOutput && (before !== undefined || (await hasBarrier(whole)));
    const wasSealed = isLog && before === SegmentState.SEALED;
    const segment = Object.assign(new Segment(name, file, true, isLog), {
      wasSealed,
      isWhole: true,
    });
    segment.length = length;
    segment.isWhole = await scanAround(whole, (scanned) =>
      visitFrame(scanned, segment, { entry: (entry) => segment.coverVersion(entry.version) }),
    );
    if (segment.highestVersion === 0) return undefined;
    segment.checksum = await checksumOf(file, segment.length);
    return segment;
  } finally {
    await file.close();
  }
}

/** Whether any frame has BARRIER: the log begins every segment with it, a compaction never writes it. */
async function hasBarrier(whole: ScanRange): Promise<boolean> {
  let isFound = false;
  await scanAround(whole, ({ frame }) => {
    isFound ||= (frame.flags & FrameFlag.BARRIER) !== 0;
    return !isFound;
  });
  return isFound;
}

/** Scans all frames that are sound, around what is damaged; answers whether nothing was. */
async function scanAround(
  whole: ScanRange,
  onFrame: Parameters<typeof scanFrames>[1],
): Promise<boolean> {
  let isWhole = true;
  for (let from = whole.from; from < whole.to; ) {
    const stop = await scanFrames({ ...whole, from }, onFrame);
    if (stop.kind === "end") break;
    isWhole = false;
    const next = await findFrame({ ...whole, from: stop.offset + 1 });
    if (next.kind !== "frame") break;
    from = next.offset;
  }
  return isWhole;
}

function listedAs(segment: Segment, isActive: boolean): ListedSegment {
  const { id, timestampNs: timestamp, prefix } = segment.name;
  if (isActive) {
    return create(SegmentSchema, { id, timestamp, prefix, state: SegmentState.ACTIVE });
  }
  return create(SegmentSchema, {
    id,
    timestamp,
    prefix,
    state: segment.isLog ? SegmentState.SEALED : SegmentState.COMPACTED,
    length: BigInt(segment.length),
    checksum: segment.checksum,
    lowestVersion: BigInt(segment.lowestVersion),
    highestVersion: BigInt(segment.highestVersion),
  });
}

async function keepDamaged(host: Host, directories: StoreDirectories): Promise<void> {
  const manifest = dataPath(directories, FileName.manifest);
  try {
    await host.files.link(manifest, dataPath(directories, FileName.manifestDamaged));
  } catch (error) {
    // None there, or one kept by an earlier attempt.
    if (errorCode(error) !== "ENOENT" && errorCode(error) !== "EEXIST") throw error;
  }
}
