/**
 * The index written at a clean close, and taken up again at the next opening.
 *
 *     close:  everything synced -> CHECKPOINT written -> clean mark names it
 *     open:   clean mark -> CHECKPOINT read -> segments compared -> index
 *
 * Opening with a checkpoint equals opening without one (I8): it counts only if
 * the segments of the manifest, and the lengths of their files, are those that
 * it was made of. Damage is remembered by the manifest, which the same change
 * brought up to date. Any doubt, and the hints and frames are read instead.
 *
 * Like a hint, it stands for what it was made of: rot in a segment that came
 * later is noticed by the read that meets it, or by `kvix verify`.
 */
import type { CleanMark } from "../../gen/kvix/v1/kvix_pb.js";
import {
  type CheckpointDescription,
  type CheckpointSegment,
  encodeCheckpointFront,
} from "../format/checkpoint.js";
import type { Host } from "../host/host.js";
import { loadCheckpoint, writeCheckpoint } from "../storage/checkpoint-file.js";
import { removeIfThere } from "../storage/file-tools.js";
import { dataPath, type StoreDirectories } from "../storage/layout.js";
import type { Segment } from "../storage/segment.js";
import type { SegmentSet } from "../storage/segment-set.js";
import { Keydir, type KeydirImage } from "./keydir/keydir.js";
import type { RequestImage, RequestMemory } from "./requests/request-memory.js";
import { REQUEST_SLOT_BYTES } from "./requests/request-table.js";

/** A store of fewer keys is opened from its hints in no time, and closed sooner without. */
export const CHECKPOINT_KEYS_MIN = 4096;

/** Writes the checkpoint of a store that changes no more, if it is worth it; answers its checksum. */
export type CheckpointSaver = () => Promise<number | undefined>;

/** What a checkpoint is made of, or for. */
export interface CheckpointContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  /** 16 bytes. */
  readonly storeId: Uint8Array;
  readonly segments: SegmentSet;
  readonly requests: RequestMemory;
}

/**
 * Writes the checkpoint of a store in which nothing changes any more, and leaves so
 * many bytes of the disk free: the next opening must not find it full. Answers its
 * checksum; undefined: it could not be written, and the next opening does without.
 */
export async function saveCheckpoint(
  context: CheckpointContext,
  keydir: Keydir,
  keptFreeBytes: number,
): Promise<number | undefined> {
  const { host, directories, storeId, segments, requests } = context;
  try {
    const { parts, pages: indexPages } = keydir.save();
    const { image, page } = requests.save();
    const pages = page.length === 0 ? indexPages : [...indexPages, page];
    let pageBytes = 0;
    for (const page of pages) pageBytes += page.length;
    const free = host.files.freeBytes(directories.data);
    if (pageBytes + keptFreeBytes > free) {
      throw new Error(`it has ${pageBytes} bytes, the disk has ${free} left`);
    }
    const facts = Array.from(segments, describe);
    const description = { segments: facts, index: parts, requests: image };
    const front = encodeCheckpointFront(storeId, description, pageBytes);
    return await writeCheckpoint(host.files, directories, front, pages);
  } catch (err) {
    host.log.warn({ err }, "no checkpoint could be written: the next opening reads the hints");
    return undefined;
  }
}

/**
 * The index of the checkpoint that `clean` names, with the figures of all
 * segments set; undefined, and nothing set, if there is none beyond doubt or it
 * has more than `bytesMax`.
 */
export async function openCheckpoint(
  context: CheckpointContext,
  clean: CleanMark,
  bytesMax: number,
): Promise<Keydir | undefined> {
  const { host, directories, storeId, segments, requests } = context;
  if (clean.checkpointChecksum === undefined) return undefined;
  const doubt = await findFileDoubt(segments, clean);
  let keydir: Keydir | undefined;
  let facts: readonly CheckpointSegment[] = [];
  let image: RequestImage | undefined;
  let page = new Uint8Array(0);
  const place = (description: CheckpointDescription): readonly Uint8Array[] | string => {
    if (!areTheSame(description.segments, segments, clean)) return "of other segments";
    const restored = Keydir.restored(description.index as KeydirImage);
    if (restored.keydir.bytes > bytesMax) return "more than the index may have";
    keydir = restored.keydir;
    facts = description.segments;
    image = description.requests as RequestImage;
    page = new Uint8Array(image.count * REQUEST_SLOT_BYTES);
    return page.length === 0 ? restored.pages : [...restored.pages, page];
  };
  const binding = { storeId, checksum: clean.checkpointChecksum };
  const load =
    doubt === undefined
      ? await loadCheckpoint(host.files, directories, binding, place)
      : ({ kind: "doubtful", why: doubt } as const);
  if (load.kind === "doubtful") {
    host.log.warn({ why: load.why }, "the checkpoint is ignored: hints are read");
    return undefined;
  }
  for (const fact of facts) applyTo(segments.at(fact.id), fact);
  if (image !== undefined) requests.restore(image, page, segments);
  return keydir;
}

/** Removes checkpoints of these names: nothing names them any more, and the next close makes another. */
export async function dropCheckpoints(
  { host, directories }: Pick<CheckpointContext, "host" | "directories">,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    await removeIfThere(host.files, dataPath(directories, name)).catch((err: unknown) => {
      host.log.warn({ err }, "an outdated checkpoint could not be removed");
    });
  }
}

/** The segment whose file has not the length that it had at the close, in words. */
async function findFileDoubt(segments: SegmentSet, clean: CleanMark): Promise<string | undefined> {
  for (const segment of segments) {
    const { lengthBytes } = endOf(segment, clean);
    const fileBytes = (await segment.file?.size()) ?? -1;
    // Bytes behind the end of a sealed segment do not count; in the active one they would.
    const isRight = segment.isSealed ? fileBytes >= lengthBytes : fileBytes === lengthBytes;
    if (!isRight) return `${segment.name.fileName} has not the length that it had`;
  }
  return undefined;
}

/** Length and checksum of a segment as the manifest has them. */
function endOf(segment: Segment, clean: CleanMark): { lengthBytes: number; checksum: number } {
  return segment.isSealed
    ? { lengthBytes: segment.length, checksum: segment.checksum }
    : { lengthBytes: Number(clean.syncedLength), checksum: clean.syncedChecksum };
}

function describe(segment: Segment): CheckpointSegment {
  const { name, isSealed, length, checksum, liveBytes, tombstoneBytes, highestTombstone } = segment;
  return {
    id: name.id,
    timestampNs: name.timestampNs.toString(),
    isSealed,
    lengthBytes: length,
    checksum,
    liveBytes,
    tombstoneBytes,
    highestTombstone,
    lowestVersion: segment.lowestVersion,
    highestVersion: segment.highestVersion,
    newestTimestampMs: segment.newestTimestampMs,
  };
}

function areTheSame(
  facts: readonly CheckpointSegment[],
  segments: SegmentSet,
  clean: CleanMark,
): boolean {
  return (
    facts.length === segments.count &&
    facts.every(({ id, timestampNs, isSealed, lengthBytes, checksum }) => {
      const segment = segments.find(id);
      if (segment?.name.timestampNs.toString() !== timestampNs) return false;
      const end = endOf(segment, clean);
      return (
        segment.isSealed === isSealed &&
        end.lengthBytes === lengthBytes &&
        end.checksum === checksum
      );
    })
  );
}

function applyTo(segment: Segment, fact: CheckpointSegment): void {
  segment.length = fact.lengthBytes;
  segment.checksum = fact.checksum;
  segment.liveBytes = fact.liveBytes;
  segment.tombstoneBytes = fact.tombstoneBytes;
  segment.highestTombstone = fact.highestTombstone;
  segment.lowestVersion = fact.lowestVersion;
  segment.highestVersion = fact.highestVersion;
  segment.newestTimestampMs = fact.newestTimestampMs;
}
