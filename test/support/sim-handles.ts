/** How many handles a simulated machine has open: what its process would need of descriptors. */
import type { SimDirectory, SimDisk } from "./sim-disk.js";

/** Handles of the files whose names match; of all, if nothing is said. */
export function openHandles(disk: SimDisk, names = /^/): number {
  return handlesIn(disk.root, names);
}

function handlesIn(directory: SimDirectory, names: RegExp): number {
  let handles = 0;
  for (const [name, node] of directory.current) {
    if (node.kind === "directory") handles += handlesIn(node, names);
    else if (names.test(name)) handles += node.handles;
  }
  return handles;
}
