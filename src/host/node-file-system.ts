/**
 * The real file system, over node:fs.
 *
 * Invariants:
 *  1. Files are made 0600 and directories 0700; a umask can only take from that.
 *  2. Only regular files are opened: a directory or a device under a name of
 *     ours is an error at `open`, not a surprise at the first read.
 *  3. A directory is synced through a descriptor of its own, closed whatever
 *     the sync said; a sync that failed is never repeated.
 *
 * Locks are in node-lock.ts, what can be done with an open file in node-file.ts.
 */
import {
  close,
  closeSync,
  constants,
  fstatSync,
  fsync,
  link,
  mkdir,
  open,
  openSync,
  readdir,
  rename,
  rmdir,
  type Stats,
  stat,
  statfsSync,
  truncate,
  unlink,
} from "node:fs";
import { dirname } from "node:path";
import {
  type DirectoryEntry,
  type EntryKind,
  errorCode,
  type File,
  type FileAccess,
  type FileLock,
  type FileSystem,
} from "./file-system.js";
import { called, NodeFile } from "./node-file.js";
import { lockFile } from "./node-lock.js";
import { systemError } from "./system-error.js";

const fileMode = 0o600;
const directoryMode = 0o700;

/** How much of a file that is removed slowly goes at a time. */
const SLOW_STEP_BYTES = 1024 * 1024;

const openFlags: Readonly<Record<FileAccess, number>> = {
  // A pipe of such a name must not hold up whoever opens it; of a file it changes nothing.
  read: constants.O_RDONLY | constants.O_NONBLOCK,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
};

/** Codes by which a directory that is not ours says that we may not sync it. */
const syncRefusals: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS", "EINVAL"]);

/** The file system of this machine. It holds no state of its own. */
export class NodeFileSystem implements FileSystem {
  async open(path: string, access: FileAccess): Promise<File> {
    const flags = openFlags[access];
    return opened(path, await called<number>((done) => open(path, flags, fileMode, done)));
  }

  openSync(path: string): File {
    return opened(path, openSync(path, openFlags.read));
  }

  async list(path: string): Promise<DirectoryEntry[]> {
    const entries = await called<Listed[]>((done) => readdir(path, { withFileTypes: true }, done));
    return entries.map((entry) => ({ name: entry.name, kind: entryKind(entry) }));
  }

  /**
   * Top down, each name synced before the next is made. So a process that was
   * killed here left at most one name unsynced, the deepest: it is synced again
   * where that is allowed. After a sync that failed, the next may say that all is well
   * and have written nothing: the name is taken back, and another attempt makes it anew.
   */
  async makeDirectory(path: string): Promise<void> {
    const missing: string[] = [];
    let existing = path;
    while (!(await isDirectory(existing))) {
      missing.push(existing);
      existing = dirname(existing);
    }
    await this.#syncIfAllowed(dirname(existing));
    for (const directory of missing.reverse()) {
      const isOurs = await makeOne(directory);
      try {
        await this.syncDirectory(dirname(directory));
      } catch (error) {
        if (isOurs) await removeEmpty(directory);
        throw error;
      }
    }
  }

  rename(from: string, to: string): Promise<void> {
    return called<void>((done) => rename(from, to, done));
  }

  link(from: string, to: string): Promise<void> {
    return called<void>((done) => link(from, to, done));
  }

  remove(path: string): Promise<void> {
    return called<void>((done) => unlink(path, done));
  }

  /**
   * From its end, 1 MiB at a time: on ext4 the sync of another file waits 1 ms for that,
   * and 30 to 50 ms for a file of 64 MiB that goes at once.
   */
  async removeSlowly(path: string, pause: () => Promise<void>): Promise<void> {
    const { size, nlink } = await called<Stats>((done) => stat(path, done));
    if (nlink === 1) {
      for (let left = size - SLOW_STEP_BYTES; left > 0; left -= SLOW_STEP_BYTES) {
        await called<void>((done) => truncate(path, left, done));
        await pause();
      }
    }
    await this.remove(path);
  }

  async syncDirectory(path: string): Promise<void> {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY;
    const descriptor = await called<number>((done) => open(path, flags, done));
    try {
      await called<void>((done) => fsync(descriptor, done));
    } finally {
      await called<void>((done) => close(descriptor, done));
    }
  }

  freeBytes(path: string): number {
    const facts = statfsSync(path);
    return facts.bavail * facts.bsize;
  }

  lock(path: string): Promise<FileLock | undefined> {
    return lockFile(path);
  }

  async #syncIfAllowed(path: string): Promise<void> {
    try {
      await this.syncDirectory(path);
    } catch (error) {
      if (!syncRefusals.has(errorCode(error) ?? "")) throw error;
    }
  }
}

/** What readdir says of a name. */
interface Listed {
  readonly name: string;
  isFile(): boolean;
  isDirectory(): boolean;
}

function entryKind(entry: Listed): EntryKind {
  if (entry.isFile()) return "file";
  return entry.isDirectory() ? "directory" : "other";
}

/** The file over a descriptor, which is closed again if it is of something else. */
function opened(path: string, descriptor: number): File {
  try {
    requireRegularFile(descriptor, path);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return new NodeFile(path, descriptor);
}

function requireRegularFile(descriptor: number, path: string): void {
  const facts = fstatSync(descriptor);
  if (facts.isFile()) return;
  if (facts.isDirectory()) throw systemError("EISDIR", path, "it is a directory");
  throw systemError("EINVAL", path, "it is not a regular file");
}

/** False: nothing has the name. ENOTDIR: something else has it, or a parent's. */
async function isDirectory(path: string): Promise<boolean> {
  let facts: Stats;
  try {
    facts = await called<Stats>((done) => stat(path, done));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
  if (!facts.isDirectory()) throw systemError("ENOTDIR", path, "it is not a directory");
  return true;
}

/** False: another process has made it meanwhile. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await called<void>((done) => mkdir(path, directoryMode, done));
    return true;
  } catch (error) {
    if (errorCode(error) !== "EEXIST" || !(await isDirectory(path))) throw error;
    return false;
  }
}

/** If another process has put something into it, it stays. */
async function removeEmpty(path: string): Promise<void> {
  await called<void>((done) => rmdir(path, done)).catch(() => undefined);
}
