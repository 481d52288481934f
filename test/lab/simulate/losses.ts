/** What happens to the files of a store between two lives: some are lost, one is damaged. */
import { flipBitAtRest } from "../../support/faulty-file-system.js";
import { dataDir } from "./plan.js";
import type { World } from "./world.js";

/** Loses what a store can do without: hints, the checkpoint, the manifest before. */
export async function loseFiles({ files, random }: World, segmentDir: string): Promise<void> {
  for (const directory of new Set([dataDir, segmentDir])) {
    for (const { name } of await files.list(directory).catch(() => [])) {
      const isSpare = name.endsWith(".hint") || name === "CHECKPOINT" || name === "MANIFEST.prev";
      if (isSpare && random.chance(0.5)) await files.remove(`${directory}/${name}`);
    }
  }
}

/**
 * Flips one bit of a segment, a hint or the checkpoint; false: there is none. After
 * anything but a clean close the newest segment is spared: there damage and what a
 * power cut tore look the same.
 */
export async function damageFile(
  { files, random }: World,
  segmentDir: string,
  isClean: boolean,
): Promise<boolean> {
  const names = (await files.list(segmentDir).catch(() => [])).map(({ name }) => name);
  const segments = names.filter((name) => name.endsWith(".seg")).sort(byTimestamp);
  if (!isClean) segments.splice(-2);
  const paths = [...segments, ...names.filter((name) => name.endsWith(".hint"))].map(
    (name) => `${segmentDir}/${name}`,
  );
  if (paths.length === 0) return false;
  const path = random.pick(paths);
  const file = await files.open(path, "read");
  const bytes = await file.size();
  await file.close();
  if (bytes === 0) return false;
  await flipBitAtRest(files, path, random.below(8 * bytes));
  return true;
}

/** segment_00001_TIMESTAMP.seg */
function byTimestamp(one: string, other: string): number {
  const at = (name: string): string => name.slice(name.lastIndexOf("_")).padStart(40, "0");
  return at(one) < at(other) ? -1 : 1;
}
