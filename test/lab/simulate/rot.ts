/**
 * A bit of the disk that is flipped between two lives, and the records that were in
 * the frame around it: of these, and of no others, the store may say that they cannot
 * be read. In a hint or in the checkpoint it hits none, nor in the head of a batch,
 * whose members have checksums of their own.
 *
 * A tombstone may be hit as well. Whether it was one is not to be known any more; so
 * its key is DATA_LOSS then, and what it deleted does not come back as a value.
 */
import type { Segment as ListedSegment, Manifest } from "../../../gen/kvix/v1/kvix_pb.js";
import { SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import { decodeManifest } from "../../../src/format/manifest.js";
import { segmentFileName } from "../../../src/format/segment-name.js";
import { flipBitAtRest } from "../../support/faulty-file-system.js";
import { soundFramesIn } from "../../support/store-image.js";
import type { Seen } from "./call.js";
import { dataDir } from "./plan.js";
import type { World } from "./world.js";

/** A record whose bytes were damaged, as it was before. */
export interface RottenRecord extends Seen {
  readonly key: string;
  readonly isTombstone: boolean;
}

/**
 * Flips one bit of a segment, a hint or the checkpoint, and answers which records are
 * damaged now; undefined: there is no such file. After anything but a clean close the
 * active segment is spared: there damage and what a power cut tore look the same. It
 * need not be the newest; a compaction's output may be.
 */
export async function rot(
  { files, random }: World,
  segmentDir: string,
  isClean: boolean,
): Promise<readonly RottenRecord[] | undefined> {
  const manifest = await readManifest(files);
  const listed = new Map<string, ListedSegment>();
  for (const segment of manifest?.segments ?? []) {
    if (!isOfStore(segment.state)) continue;
    const { prefix, id, timestamp } = segment;
    listed.set(segmentFileName(prefix, id, timestamp), segment);
  }
  const paths: string[] = [];
  for (const { name } of await files.list(segmentDir).catch(() => [])) {
    const isSealed = listed.has(name) && listed.get(name)?.state !== SegmentState.ACTIVE;
    const isMeant = name.endsWith(".hint") || (name.endsWith(".seg") && (isClean || isSealed));
    if (isMeant) paths.push(`${segmentDir}/${name}`);
  }
  for (const { name } of await files.list(dataDir).catch(() => [])) {
    if (name === "CHECKPOINT") paths.push(`${dataDir}/${name}`);
  }
  if (paths.length === 0) return undefined;
  const path = random.pick(paths);
  const bytes = await read(files, path);
  if (bytes.length === 0) return undefined;
  const segment = listed.get(path.slice(path.lastIndexOf("/") + 1));
  const bit = random.below(8 * bytes.length);
  await flipBitAtRest(files, path, bit);
  return manifest === undefined || segment === undefined
    ? []
    : recordsAt(bytes, manifest, segment, bit >> 3);
}

/** The records of a segment whose own frames have this byte. */
function recordsAt(
  bytes: Uint8Array,
  { storeId }: Manifest,
  { id, timestamp }: ListedSegment,
  position: number,
): RottenRecord[] {
  const frames = soundFramesIn(bytes, { storeId, id, timestamp });
  return frames
    .flatMap(({ records }) => records)
    .filter(({ offset, length }) => position >= offset && position < offset + length);
}

function isOfStore(state: SegmentState): boolean {
  return (
    state === SegmentState.ACTIVE ||
    state === SegmentState.SEALED ||
    state === SegmentState.COMPACTED
  );
}

async function readManifest(files: World["files"]): Promise<Manifest | undefined> {
  const bytes = await read(files, `${dataDir}/MANIFEST`).catch(() => undefined);
  const verdict = bytes && decodeManifest(bytes);
  return verdict?.kind === "manifest" ? verdict.manifest : undefined;
}

async function read(files: World["files"], path: string): Promise<Uint8Array> {
  const file = await files.open(path, "read");
  try {
    const bytes = new Uint8Array(await file.size());
    await file.read(bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}
