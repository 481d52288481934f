/** What happens to the files of a store between two lives: some are lost. */
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
