/** Whole files: reading one, and writing one that is complete before it is named. */
import { errorCode, type File, type FileSystem } from "../host/file-system.js";

/** The largest file that is read as a whole: a manifest of 65,536 segments has about 5 MiB. */
const WHOLE_FILE_BYTES_MAX = 256 * 1024 * 1024;

/** All bytes of a file, or undefined if there is none. */
export async function readWholeFile(
  files: FileSystem,
  path: string,
): Promise<Uint8Array | undefined> {
  let file: File;
  try {
    file = await files.open(path, "read");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const length = await file.size();
    if (length > WHOLE_FILE_BYTES_MAX) throw new Error(`${path} has ${length} bytes`);
    const bytes = new Uint8Array(length);
    const read = await file.read(bytes, 0);
    return bytes.subarray(0, read);
  } finally {
    await file.close();
  }
}

/** Removes a file of ours; no error if there is none. */
export async function removeIfThere(files: FileSystem, path: string): Promise<void> {
  try {
    await files.remove(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/**
 * Writes a new file, replacing an abandoned one of that name, and answers with
 * the function that syncs and closes it. If the writing fails the file is
 * taken away again and the error thrown; a failure of the sync is the
 * caller's to judge.
 */
export async function writeDurableFile(
  files: FileSystem,
  path: string,
  ...parts: readonly Uint8Array[]
): Promise<() => Promise<void>> {
  await removeIfThere(files, path);
  const file = await files.open(path, "create");
  try {
    let position = 0;
    for (const part of parts) {
      await file.write(part, position);
      position += part.length;
    }
  } catch (error) {
    await file.close();
    await files.remove(path).catch(() => undefined);
    throw error;
  }
  return async () => {
    try {
      await file.syncData();
    } finally {
      await file.close();
    }
  };
}
