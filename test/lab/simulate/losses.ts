/** What happens to the files of a store between two lives: some are lost or spoilt. */
import { flipBitAtRest } from "../../support/faulty-file-system.js";
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
