/**
 * The file CHECKPOINT: written whole under another name and then named; read
 * straight into the pages of an index.
 *
 *   write CHECKPOINT.tmp -> sync it -> rename it to CHECKPOINT
 *     -> the change of the manifest that names its checksum syncs the directory
 *
 * Until that change the file means nothing, and neither does it if the name
 * should not have reached the disk: then an older file, or none, bears it, and
 * its checksum is another. So the directory needs no sync of its own.
 */
import {
  CHECKPOINT_HEAD_BYTES,
  type CheckpointDescription,
  decodeCheckpointDescription,
  decodeCheckpointHead,
} from "../format/checkpoint.js";
import { crc32 } from "../format/checksum.js";
import { errorCode, type File, type FileSystem } from "../host/file-system.js";
import { removeIfThere } from "./file-tools.js";
import { dataPath, FileName, type StoreDirectories } from "./layout.js";

/** What became of the attempt to load a checkpoint. */
export type CheckpointLoad =
  | { readonly kind: "loaded" }
  | { readonly kind: "doubtful"; readonly why: string };

/** Which checkpoint is wanted. */
export interface CheckpointBinding {
  /** 16 bytes. */
  readonly storeId: Uint8Array;
  /** The CRC-32 of the whole file, as the clean mark names it. */
  readonly checksum: number;
}

/**
 * Makes room for what a checkpoint describes: answers the memory that its pages
 * belong in, or, as a string, why it does not count.
 */
export type CheckpointPlacing = (
  description: CheckpointDescription,
) => readonly Uint8Array[] | string;

/**
 * Reads the checkpoint into the memory that `place` answers. What lies there
 * means nothing unless the answer is "loaded".
 */
export async function loadCheckpoint(
  files: FileSystem,
  directories: StoreDirectories,
  binding: CheckpointBinding,
  place: CheckpointPlacing,
): Promise<CheckpointLoad> {
  let file: File;
  try {
    file = await files.open(dataPath(directories, FileName.checkpoint), "read");
  } catch (error) {
    return doubtful(String(errorCode(error) ?? "it cannot be opened"));
  }
  try {
    return await readCheckpoint(file, binding, place);
  } catch (error) {
    return doubtful(String(errorCode(error) ?? "it cannot be read"));
  } finally {
    await file.close();
  }
}

async function readCheckpoint(
  file: File,
  binding: CheckpointBinding,
  place: CheckpointPlacing,
): Promise<CheckpointLoad> {
  const front = new Uint8Array(CHECKPOINT_HEAD_BYTES);
  const frontBytes = await file.read(front, 0);
  const head = decodeCheckpointHead(front.subarray(0, frontBytes), await file.size());
  if (head.kind === "damaged") return doubtful(head.why);
  if (Buffer.compare(head.storeId, binding.storeId) !== 0) return doubtful("of another store");
  const text = new Uint8Array(head.descriptionBytes);
  const textBytes = await file.read(text, CHECKPOINT_HEAD_BYTES);
  const description = decodeCheckpointDescription(text.subarray(0, textBytes), head);
  if ("kind" in description) return doubtful(description.why);
  const pages = place(description);
  if (typeof pages === "string") return doubtful(pages);
  if (bytesOf(pages) !== head.pageBytes) return doubtful("other pages than it describes");
  const start = CHECKPOINT_HEAD_BYTES + head.descriptionBytes;
  const checksum = await readPages(file, start, pages, crc32(text, crc32(front)));
  return checksum === binding.checksum ? { kind: "loaded" } : doubtful("a wrong checksum");
}

/** Reads page after page; while one is read, the checksum of the one before is taken. */
async function readPages(
  file: File,
  start: number,
  pages: readonly Uint8Array[],
  seed: number,
): Promise<number | undefined> {
  let checksum = seed;
  let position = start;
  let before: Uint8Array | undefined;
  for (const page of pages) {
    const reading = file.read(page, position);
    if (before !== undefined) checksum = crc32(before, checksum);
    if ((await reading) < page.length) return undefined;
    position += page.length;
    before = page;
  }
  return before === undefined ? checksum : crc32(before, checksum);
}

/**
 * Writes a checkpoint: `front` and then the pages. Answers the checksum that the
 * manifest is to name. If it throws, nothing of the attempt is left but, if even
 * the removal fails, CHECKPOINT.tmp.
 */
export async function writeCheckpoint(
  files: FileSystem,
  directories: StoreDirectories,
  front: Uint8Array,
  pages: readonly Uint8Array[],
): Promise<number> {
  const temporary = dataPath(directories, FileName.checkpointTemporary);
  await removeIfThere(files, temporary);
  const file = await files.open(temporary, "create");
  try {
    let checksum = 0;
    let position = 0;
    for (const piece of [front, ...pages]) {
      const writing = file.write(piece, position);
      checksum = crc32(piece, checksum);
      await writing;
      position += piece.length;
    }
    await file.syncData();
    await file.close();
    await files.rename(temporary, dataPath(directories, FileName.checkpoint));
    return checksum;
  } catch (error) {
    await file.close();
    await files.remove(temporary).catch(() => undefined);
    throw error;
  }
}

function bytesOf(pages: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const page of pages) bytes += page.length;
  return bytes;
}

function doubtful(why: string): CheckpointLoad {
  return { kind: "doubtful", why };
}
