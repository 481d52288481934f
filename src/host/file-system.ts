/**
 * The file system, as kvix needs it. Two implementations pass one contract
 * suite: the real one beside this file, and the simulated one of the tests,
 * which knows what a power cut leaves behind.
 *
 * What is durable, and when (the real one relies on the kernel for it):
 *  1. Bytes of a file after `syncData` of that file has returned.
 *  2. A name (made, renamed, linked or removed) after `syncDirectory` of its
 *     directory has returned.
 *  3. Nothing else. Unsynced bytes and names may survive a power cut in any
 *     combination, torn anywhere; a failed sync may drop them for good and
 *     the next sync still succeed, so it is never tried again.
 *
 * Failures are system errors with a `code` such as ENOSPC; see `errorCode`.
 */

/** What a directory entry is. */
export type EntryKind = "file" | "directory" | "other";

/** A name in a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly kind: EntryKind;
}

/**
 * "read": must exist, is not changed. "write": must exist, read and write.
 * "create": must not exist (EEXIST), read and write, mode 0600.
 */
export type FileAccess = "read" | "write" | "create";

/** Names, directories, and the way to files. Paths are absolute. */
export interface FileSystem {
  open(path: string, access: FileAccess): Promise<File>;
  /** The same as `open` to "read", on the event loop: for a small read of a file that is not open. */
  openSync(path: string): File;
  /** The entries of a directory, in no particular order. ENOENT if there is none. */
  list(path: string): Promise<DirectoryEntry[]>;
  /** Makes the directory and its missing parents, mode 0700, and syncs the parents; no error if it exists. */
  makeDirectory(path: string): Promise<void>;
  /** Atomically gives a file another name; replaces what has it. */
  rename(from: string, to: string): Promise<void>;
  /** Gives a file a second name; EEXIST if it is taken. */
  link(from: string, to: string): Promise<void>;
  /** Removes a file's name; ENOENT if there is none. */
  remove(path: string): Promise<void>;
  /**
   * The same for a file that nobody needs under any name, with pauses: to free much
   * disk at once holds up the syncs of all other files. One that has another name is
   * left as it is under that.
   */
  removeSlowly(path: string, pause: () => Promise<void>): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Bytes that an unprivileged process may still write to the disk of `path`. */
  freeBytes(path: string): number;
  /**
   * Locks the file at `path` (made if missing, mode 0600; its content means
   * nothing) against every other opener, in this process or another. Freed by
   * `release` and by the end of the process, however it ends. Undefined: it is
   * taken. Throws KvixError LOCK_UNAVAILABLE where the system has no such lock.
   */
  lock(path: string): Promise<FileLock | undefined>;
}

/** A held lock. */
export interface FileLock {
  release(): Promise<void>;
}

/**
 * An open file. Positions and lengths are bytes. Reads may come while a sync is
 * under way; a write, a truncation and a sync of one file never overlap (the
 * log sees to that).
 */
export interface File {
  readonly path: string;
  size(): Promise<number>;
  /** Reads into `target`; returns how many bytes, fewer only at the end of the file. */
  readSync(target: Uint8Array, position: number): number;
  /** The same off the event loop. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `source`, or throws with an unknown part of it written. */
  writeSync(source: Uint8Array, position: number): void;
  /** The same off the event loop. */
  write(source: Uint8Array, position: number): Promise<void>;
  /** Makes every byte and the length durable. */
  syncData(): Promise<void>;
  truncate(length: number): Promise<void>;
  /** After the operations under way, which succeed. Idempotent. */
  close(): Promise<void>;
  /** The same on the event loop; EBUSY, and still open, while an operation is under way. */
  closeSync(): void;
}

/** The system's code of an error ("ENOSPC"), or undefined if it has none. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
