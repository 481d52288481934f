/**
 * Files as a later kvix could have written them: sound by every checksum, and of a
 * version, or with flags, that this one does not know (R10, V9).
 */
import { crc32 } from "../../../src/format/checksum.js";
import { FrameFlag } from "../../../src/format/frame.js";
import { fileOf, saltOf, segmentPathOf } from "../../support/store-image.js";
import type { FileKind } from "./damage.js";
import type { RotStore } from "./rot-store.js";

/** The same file, later. */
export interface LaterFile {
  readonly where: string;
  readonly bytes: Uint8Array;
}

/** Where the kinds of files with a version of their own keep it, and the checksum over it. */
const versionAt = 8;
const checksumAt: Readonly<Partial<Record<FileKind, number>>> = {
  manifest: 16,
  "manifest before": 16,
  hint: 44,
  checkpoint: 52,
};
/** A manifest's checksum covers all but itself; the others' what is before them. */
const manifestHeadBytes = 20;
const knownVersion = 1;
const frameVersionAt = 8;
/** A later schema, and flags that do not go together. */
const laterFrames: readonly number[] = [2, 0x0f, FrameFlag.EXPIRED | knownVersion];

/** All of them for one file; none, if it has no version. */
export function laterFiles(store: RotStore, path: string, kind: FileKind): LaterFile[] {
  if (kind.endsWith("segment")) return laterSegments(store, path);
  const at = checksumAt[kind];
  if (at === undefined) return [];
  const bytes = fileOf(store.image, path).slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(versionAt, knownVersion + 1, true);
  const head = crc32(bytes.subarray(0, at));
  const isManifest = kind.startsWith("manifest");
  const checksum = isManifest ? crc32(bytes.subarray(manifestHeadBytes), head) : head;
  view.setUint32(at, checksum, true);
  return [{ where: `format ${knownVersion + 1}`, bytes }];
}

function laterSegments(store: RotStore, path: string): LaterFile[] {
  const listed = store.live.find((each) => segmentPathOf(each) === path);
  if (listed === undefined) return [];
  const salt = saltOf(store.image, listed);
  const frames = store.frames.get(listed) ?? [];
  return [frames[0], frames.at(-1)].flatMap((frame) => {
    if (frame === undefined) return [];
    const { offset, length } = frame;
    return laterFrames.map((version) => {
      const bytes = fileOf(store.image, path).slice();
      bytes[offset + frameVersionAt] = version;
      const checksum = crc32(bytes.subarray(offset + 4, offset + length), salt);
      new DataView(bytes.buffer).setUint32(offset, checksum, true);
      return { where: `version byte ${version} at ${offset}`, bytes };
    });
  });
}
