/** What happens to the files of a store between two lives: some are lost or spoilt, one is damaged. */
import { SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import { decodeManifest } from "../../../src/format/manifest.js";
import { flipBitAtRest } from "../../support/faulty-file-system.js";
import { fileOf, imageOf } from "../../support/store-image.js";
import { dataDir } from "./plan.js";
import type { World } from "./world.js";

/** Loses or spoils what a store can do without: hints, the checkpoint, the manifest before. */
export async function loseFiles({ files, random }: World, segmentDir: string): Promise<void> {
  for (const directory of new Set([dataDir, segmentDir])) {
    for (const { name } of await files.list(directory).catch(() => [])) {
      const isSpare = name.endsWith(".hint") || name === "CHECKPOINT" || name === "MANIFEST.prev";
      if (!isSpare || random.chance(0.5)) continue;
      const path = `${directory}/${name}`;
      const bytes = await sizeOf(files, path);
      if (bytes === 0 || random.chance(0.5)) await files.remove(path);
      else await flipBitAtRest(files, path, random.below(8 * bytes));
    }
  }
}

async function sizeOf(files: World["files"], path: string): Promise<number> {
  const file = await files.open(path, "read");
  const bytes = await file.size();
  await file.close();
  return bytes;
}

/**
 * Flips one bit of a segment, a hint or the checkpoint; false: there is none. After
 * anything but a clean close the active segment is spared: there damage and what a
 * power cut tore look the same. It need not be the newest; a compaction's output may be.
 */
export async function damageFile(
  { files, random }: World,
  segmentDir: string,
  isClean: boolean,
): Promise<boolean> {
  const names = (await files.list(segmentDir).catch(() => [])).map(({ name }) => name);
  const sealed = sealedTimestamps(files);
  const segments = names.filter(
    (name) => name.endsWith(".seg") && (isClean || sealed.has(timestampOf(name))),
  );
  const paths = [...segments, ...names.filter((name) => name.endsWith(".hint"))].map(
    (name) => `${segmentDir}/${name}`,
  );
  if (paths.length === 0) return false;
  const path = random.pick(paths);
  const bytes = await sizeOf(files, path);
  if (bytes === 0) return false;
  await flipBitAtRest(files, path, random.below(8 * bytes));
  return true;
}

/** segment_00001_TIMESTAMP.seg */
function timestampOf(name: string): string {
  return name.slice(name.lastIndexOf("_") + 1, name.lastIndexOf("."));
}

/** Of the segments that the manifest lists as sealed, or as outputs. */
function sealedTimestamps(files: World["files"]): ReadonlySet<string> {
  const image = imageOf(files);
  if (!image.has(`${dataDir}/MANIFEST`)) return new Set();
  const verdict = decodeManifest(fileOf(image, `${dataDir}/MANIFEST`));
  const listed = verdict.kind === "manifest" ? verdict.manifest.segments : [];
  const sealed = listed.filter(
    ({ state }) => state === SegmentState.SEALED || state === SegmentState.COMPACTED,
  );
  return new Set(sealed.map(({ timestamp }) => `${timestamp}`));
}
