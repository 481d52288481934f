/**
 * Checking a store that nobody has open, byte by byte, without changing one:
 * no file is made, written or touched, not even the lock's.
 *
 *     lock -> manifest -> mark -> each segment with its hint -> other files
 *
 * Where a lock file is missing nobody can have the store open, and none is
 * made; it is looked for again at the end, for a server that came meanwhile.
 * What is wrong are findings; a store that cannot be looked at is a KvixError.
 */
import { KvixError } from "../base/kvix-error.js";
import { errorCode, type FileLock } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import { dataPath, FileName, type StoreDirectories, segmentPath } from "../storage/layout.js";
import { openFailed } from "./directories.js";
import { letGo } from "./let-go.js";
import { resolveStoreOptions, type StoreOptionsInput } from "./options.js";
import { StoreCheck, type VerifyProgress, type VerifyReport } from "./store-check.js";

/**
 * Checks a store. Throws STORE_LOCKED, LOCK_UNAVAILABLE, FORMAT_TOO_NEW, and
 * OPEN_FAILED if there is no store.
 */
export async function verifyStore(
  input: Pick<StoreOptionsInput, "dataDir" | "segmentDir">,
  host: Host,
  onProgress: (progress: VerifyProgress) => void = () => undefined,
): Promise<VerifyReport> {
  const { dataDir, segmentDir } = resolveStoreOptions(input);
  const directories = { data: dataDir, segments: segmentDir };
  const locks: FileLock[] = [];
  try {
    const unlocked = await takeLocks(host, directories, locks);
    const report = await new StoreCheck(host, directories, onProgress).run();
    for (const path of unlocked) await requireAbsent(host, path);
    return report;
  } catch (error) {
    throw openFailed(error);
  } finally {
    await letGo(
      host.log,
      locks.map((lock) => () => lock.release()),
    );
  }
}

/** Locks what lock files there are; answers with the paths of those that are missing. */
async function takeLocks(
  host: Host,
  directories: StoreDirectories,
  locks: FileLock[],
): Promise<string[]> {
  const paths = new Set([
    dataPath(directories, FileName.lock),
    segmentPath(directories, FileName.lock),
  ]);
  const missing: string[] = [];
  for (const path of paths) {
    if (!(await isThere(host, path))) {
      missing.push(path);
      continue;
    }
    const lock = await lockUnlessReadOnly(host, path);
    if (lock === undefined) {
      throw new KvixError("STORE_LOCKED", path, { metadata: { file: path } });
    }
    if (lock !== "read-only") locks.push(lock);
  }
  return missing;
}

/** Where nobody can write, nobody can have the store open. */
async function lockUnlessReadOnly(
  host: Host,
  path: string,
): Promise<FileLock | undefined | "read-only"> {
  try {
    return await host.files.lock(path);
  } catch (error) {
    if (errorCode(error) === "EROFS") return "read-only";
    throw error;
  }
}

async function requireAbsent(host: Host, path: string): Promise<void> {
  if (!(await isThere(host, path))) return;
  const detail = `${path} came while the store was checked, so the check means nothing`;
  throw new KvixError("STORE_LOCKED", detail, { metadata: { file: path } });
}

async function isThere(host: Host, path: string): Promise<boolean> {
  try {
    await (await host.files.open(path, "read")).close();
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}
