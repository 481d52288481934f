/**
 * Where the files of a store lie, and whose they are.
 *
 *   data directory (0700)                segment directory (0700; by default
 *                                         "segments" in the data directory)
 *     LOCK              held while open     LOCK     held while open
 *     MANIFEST          the root of all     STORE    which store this belongs to
 *     MANIFEST.prev     the one before      RESERVE  zeros, for a full disk
 *     MANIFEST.damaged  kept by a repair    {prefix}_{id:05}_{timestamp}.seg
 *     MANIFEST.tmp      being written       {prefix}_{id:05}_{timestamp}.hint
 *     CHECKPOINT        the index           *.tmp    being written
 *     CHECKPOINT.tmp    being written         upload_{store id}_{16 hex}.tmp   values on their way
 *
 * kvix removes only what the manifest calls pending or removed, a checkpoint
 * that it does not name, and its own *.tmp; every other file is reported and kept (V9).
 */
import { join } from "node:path";
import { parseSegmentFileName } from "../format/segment-name.js";
import type { DirectoryEntry } from "../host/file-system.js";

/** The names of the files that are not segments. */
export const FileName = {
  checkpoint: "CHECKPOINT",
  checkpointTemporary: "CHECKPOINT.tmp",
  lock: "LOCK",
  manifest: "MANIFEST",
  manifestPrevious: "MANIFEST.prev",
  manifestTemporary: "MANIFEST.tmp",
  manifestDamaged: "MANIFEST.damaged",
  reserve: "RESERVE",
  store: "STORE",
  storeTemporary: "STORE.tmp",
} as const;

/** What a file name ends with while it is being written. */
export const TEMPORARY_SUFFIX = ".tmp";

/** What the name of a file begins with that an upload is staged in; the store's id follows. */
const UPLOAD_PREFIX = "upload_";

/** The name of a staging file: the store's id and some bytes, both in hex. */
export function uploadFileName(storeId: Uint8Array, unique: Uint8Array): string {
  return `${UPLOAD_PREFIX}${hex(storeId)}_${hex(unique)}${TEMPORARY_SUFFIX}`;
}

/** Whether a name is one that this very store gives to a staging file. */
export function isUploadFileName(storeId: Uint8Array, name: string): boolean {
  const start = `${UPLOAD_PREFIX}${hex(storeId)}_`;
  return name.startsWith(start) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(start.length));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** The two directories of a store; absolute paths. */
export interface StoreDirectories {
  readonly data: string;
  readonly segments: string;
}

/** The path of a file of the data directory. */
export function dataPath(directories: StoreDirectories, name: string): string {
  return join(directories.data, name);
}

/** The path of a file of the segment directory. */
export function segmentPath(directories: StoreDirectories, name: string): string {
  return join(directories.segments, name);
}

/** Whether a name is one that kvix gives to a file of the data directory, the lock apart. */
export function isStoreFileName(name: string): boolean {
  return name === FileName.manifest || name === FileName.manifestPrevious;
}

/** Whether entries of a segment directory show that a store lives or lived there. */
export function holdsSegments(entries: readonly DirectoryEntry[]): boolean {
  return entries.some(
    (entry) => entry.name === FileName.store || parseSegmentFileName(entry.name) !== undefined,
  );
}
