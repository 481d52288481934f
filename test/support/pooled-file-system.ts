/**
 * A file system whose files are those of a pool, so that what is asked of every
 * file can be asked of them.
 */
import type {
  DirectoryEntry,
  File,
  FileAccess,
  FileLock,
  FileSystem,
} from "../../src/host/file-system.js";
import { FilePool } from "../../src/storage/file-pool.js";

/** Files of a pool over another file system. */
export class PooledFileSystem implements FileSystem {
  readonly pool: FilePool;
  readonly #inner: FileSystem;

  constructor(inner: FileSystem, openFilesMax: number) {
    this.#inner = inner;
    this.pool = new FilePool(inner, openFilesMax);
  }

  async open(path: string, access: FileAccess): Promise<File> {
    if (access === "read") return await this.pool.open(path);
    return this.pool.adopt(await this.#inner.open(path, access));
  }

  openSync(path: string): File {
    const file = this.pool.file(path);
    file.readSync(new Uint8Array(0), 0);
    return file;
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.#inner.list(path);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#inner.makeDirectory(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#inner.rename(from, to);
  }

  link(from: string, to: string): Promise<void> {
    return this.#inner.link(from, to);
  }

  removeSlowly(path: string, pause: () => Promise<void>): Promise<void> {
    return this.#inner.removeSlowly(path, pause);
  }

  remove(path: string): Promise<void> {
    return this.#inner.remove(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#inner.syncDirectory(path);
  }

  freeBytes(path: string): number {
    return this.#inner.freeBytes(path);
  }

  lock(path: string): Promise<FileLock | undefined> {
    return this.#inner.lock(path);
  }
}
