/**
 * Files in a store's directories that are not its own: a segment and a hint of another
 * store under names like its own, and somebody's notes. They neither stop an opening nor
 * are they changed (R9, V9).
 */
import { hintFileName, segmentFileName } from "../../../src/format/segment-name.js";
import type { SimHost } from "../../support/sim-host.js";
import { dataDir, imageOf, type StoreImage, segmentDir } from "../../support/store-image.js";
import { RotFinding } from "./rot-finding.js";

/** No store of this instrument comes to them: an id, and a time in 2026. */
const strangeId = 40_000;
const strangeTimestampNs = BigInt(Date.UTC(2026, 6, 1)) * 1_000_000n;

/** The files, by path; `stranger` is the other store. */
export function strangeFiles(stranger: StoreImage): StoreImage {
  const bytesOf = (suffix: string): Uint8Array =>
    [...stranger].find(([path]) => path.endsWith(suffix))?.[1] ?? new Uint8Array(30).fill(5);
  return new Map([
    [`${segmentDir}/${segmentFileName("segment", strangeId, strangeTimestampNs)}`, bytesOf(".seg")],
    [`${segmentDir}/${hintFileName("segment", strangeId, strangeTimestampNs)}`, bytesOf(".hint")],
    [`${dataDir}/notes.txt`, new TextEncoder().encode("not the store's\n")],
  ]);
}

/** Throws RotFinding if one of the files at `paths` is not what it was in `before`. */
export function requireKept(
  paths: Iterable<string>,
  before: StoreImage,
  host: SimHost,
  why: string,
): void {
  const after = imageOf(host.files);
  for (const path of paths) {
    const bytes = before.get(path);
    const now = after.get(path);
    const isSame =
      bytes === undefined || now === undefined ? bytes === now : Buffer.compare(bytes, now) === 0;
    if (!isSame) throw new RotFinding(`${path} was changed: ${why}`);
  }
}
