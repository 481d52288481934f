/** Where things lie on a simulated disk. */
import type { SimDirectory, SimDisk } from "../../support/sim-disk.js";

/** As programs see it, or as a power cut would leave it. */
export type Names = "current" | "durable";

/** A directory by its absolute path; undefined: there is none. */
export function directoryAt(disk: SimDisk, path: string, names: Names): SimDirectory | undefined {
  let directory: SimDirectory = disk.root;
  for (const name of path.split("/")) {
    if (name === "") continue;
    const next = directory[names].get(name);
    if (next?.kind !== "directory") return undefined;
    directory = next;
  }
  return directory;
}
