/** What a refusal must leave alone: everything. */
import { KvixError } from "../../../src/base/kvix-error.js";
import { repairStore } from "../../../src/engine/repair.js";
import type { SimHost } from "../../support/sim-host.js";
import { imageOf, type StoreImage } from "../../support/store-image.js";
import { require } from "./rot-finding.js";
import type { RotStore } from "./rot-store.js";

/** A repair does not touch what a later kvix has written. */
export async function requireUnrepaired(
  store: RotStore,
  image: StoreImage,
  host: SimHost,
): Promise<void> {
  try {
    const { isRepaired } = await repairStore(store.options, host);
    require(!isRepaired, "kvix repair repairs what a later kvix has written");
  } catch (error) {
    const isRefused = error instanceof KvixError && error.reason === "FORMAT_TOO_NEW";
    require(isRefused, `kvix repair: ${String(error)}`);
  }
  requireSame(image, imageOf(host.files), "kvix repair");
}

/** The files are what they were, but for lock files. */
export function requireSame(before: StoreImage, after: StoreImage, who: string): void {
  for (const [path, bytes] of before) {
    const now = after.get(path);
    // A lock file that was missing is made before anything else.
    const isSame = now !== undefined && Buffer.compare(bytes, now) === 0;
    require(isSame || path.endsWith("/"), `${who} changed ${path}`);
  }
  for (const path of after.keys()) {
    require(before.has(path) || path.endsWith("/LOCK"), `${who} made ${path}`);
  }
}
