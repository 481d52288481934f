/** What happens to the files of a store between two lives: some are lost or spoilt. */
import { flipBitAtRest } from "../../support/faulty-file-system.js";
import type { SimInode } from "../../support/sim-disk.js";
import { directoryAt } from "./disk-places.js";
import { dataDir } from "./plan.js";
import type { World } from "./world.js";

/** Loses what a store can do without: hints, the checkpoint, the manifest before; or spoils it. */
export async function loseFiles({ files, random }: World, segmentDir: string): Promise<void> {
  for (const directory of new Set([dataDir, segmentDir])) {
    for (const { name } of await files.list(directory).catch(() => [])) {
      const isSpare = name.endsWith(".hint") || name === "CHECKPOINT" || name === "MANIFEST.prev";
      if (!isSpare || random.chance(0.5)) continue;
      const path = `${directory}/${name}`;
      const bytes = await sizeOf(files, path);
      // The manifest before may be the manifest itself, under a second name.
      const isShared = name === "MANIFEST.prev";
      if (isShared || bytes === 0 || random.chance(0.5)) await files.remove(path);
      else await flipBitAtRest(files, path, random.below(8 * bytes));
    }
  }
}

/** Spoils a hint under a store that is open: at once, and for good. */
export function spoilHint({ files, random }: World, segmentDir: string): void {
  const directory = directoryAt(files.disk, segmentDir, "current");
  const hints: SimInode[] = [];
  for (const [name, node] of directory?.current ?? []) {
    const isAtRest = node.kind === "file" && node.pending.length === 0 && node.durable.length > 0;
    if (isAtRest && name.endsWith(".hint")) hints.push(node);
  }
  if (hints.length === 0) return;
  const { current, durable } = random.pick(hints);
  const position = random.below(durable.length);
  const byte = new Uint8Array(1);
  durable.read(byte, position);
  byte[0] = (byte[0] as number) ^ (1 << random.below(8));
  durable.write(byte, position);
  current.write(byte, position);
}

async function sizeOf(files: World["files"], path: string): Promise<number> {
  const file = await files.open(path, "read");
  const bytes = await file.size();
  await file.close();
  return bytes;
}
