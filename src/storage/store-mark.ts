/**
 * The file STORE of a segment directory: which store its segments belong to,
 * so that a data directory is never opened over the segments of another.
 *
 *     0 "KVIXSTOR" 8 · 8 store id 16 · 24 crc32 of bytes 0..23
 */
import { STORE_ID_BYTES } from "../base/limits.js";
import { crc32 } from "../format/checksum.js";
import type { FileSystem } from "../host/file-system.js";
import { readWholeFile, writeDurableFile } from "./file-tools.js";
import { FileName, type StoreDirectories, segmentPath } from "./layout.js";

/** "KVIXSTOR". On disk. */
export const STORE_MARK_MAGIC = Uint8Array.of(0x4b, 0x56, 0x49, 0x58, 0x53, 0x54, 0x4f, 0x52);
const CHECKSUM_AT = STORE_MARK_MAGIC.length + STORE_ID_BYTES;
const MARK_BYTES = CHECKSUM_AT + 4;

/** The store id a segment directory bears; undefined if it bears none that is sound. */
export async function readStoreMark(
  files: FileSystem,
  directories: StoreDirectories,
): Promise<Uint8Array | undefined> {
  const bytes = await readWholeFile(files, segmentPath(directories, FileName.store));
  return bytes === undefined ? undefined : decodeStoreMark(bytes);
}

/** The store id in the bytes of a mark; undefined if they are none. */
export function decodeStoreMark(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length !== MARK_BYTES) return undefined;
  if (STORE_MARK_MAGIC.some((byte, index) => bytes[index] !== byte)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(CHECKSUM_AT, true) !== crc32(bytes.subarray(0, CHECKSUM_AT))) return undefined;
  return bytes.slice(STORE_MARK_MAGIC.length, CHECKSUM_AT);
}

/** Marks a segment directory as belonging to a store, durably. */
export async function writeStoreMark(
  files: FileSystem,
  directories: StoreDirectories,
  storeId: Uint8Array,
): Promise<void> {
  const bytes = new Uint8Array(MARK_BYTES);
  bytes.set(STORE_MARK_MAGIC);
  bytes.set(storeId, STORE_MARK_MAGIC.length);
  const checksum = crc32(bytes.subarray(0, CHECKSUM_AT));
  new DataView(bytes.buffer).setUint32(CHECKSUM_AT, checksum, true);
  const temporary = segmentPath(directories, FileName.storeTemporary);
  const sync = await writeDurableFile(files, temporary, bytes);
  await sync();
  await files.rename(temporary, segmentPath(directories, FileName.store));
  await files.syncDirectory(directories.segments);
}
