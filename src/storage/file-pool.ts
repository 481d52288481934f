/**
 * The files of segments. A store may have 65,536 of them, and descriptors for
 * a fraction: a sealed segment is open while it is in use, and for as long
 * after that as there is room (descriptors.ts). To its readers its `File`
 * stays the same, open or not.
 *
 *     being written --seal--> read: open or shut, as the pool likes --close--> closed
 *
 * Invariants:
 *  1. A file that is being written keeps the descriptor it came with, for a
 *     sync through another one need not tell of its failed writes.
 *  2. The name of a segment names the same bytes for ever, so it does not
 *     matter which descriptor they are read through. Who removes a file closes
 *     it first: a read may open it anew until then.
 *  3. An opening that fails is the failure of the read that asked for it, with
 *     the system's own error, and says nothing of the bytes in the file.
 */
import type { File, FileSystem } from "../host/file-system.js";
import { systemError } from "../host/system-error.js";
import { Descriptors, FileSlot } from "./descriptors.js";

/** Files that share a bounded number of descriptors. */
export class FilePool {
  readonly #descriptors: Descriptors;

  /** `openFilesMax`: how many files that are not being written may be open, at least 1. */
  constructor(files: FileSystem, openFilesMax: number) {
    this.#descriptors = new Descriptors(files, openFilesMax);
  }

  /** How many files are open now, those that are being written included. */
  get openFiles(): number {
    return this.#descriptors.count;
  }

  /** A file to be read, which is opened when it is first read and not before. */
  file(path: string): File {
    return new PooledFile(this.#descriptors, new FileSlot(path));
  }

  /** The same, opened now: fails as `FileSystem.open` does, with ENOENT if there is none. */
  async open(path: string): Promise<File> {
    const slot = new FileSlot(path);
    await this.#descriptors.use(slot, async () => undefined);
    return new PooledFile(this.#descriptors, slot);
  }

  /** Takes over a file that is open for writing, until it is sealed. */
  adopt(file: File): File {
    const slot = new FileSlot(file.path);
    this.#descriptors.addWritten(slot, file);
    return new PooledFile(this.#descriptors, slot);
  }

  /**
   * An adopted file is complete and synced: it can only be read from now on.
   * No write or sync of it is under way.
   */
  seal(file: File): void {
    if (!(file instanceof PooledFile)) throw new Error("a file that is not of the pool");
    file.seal();
  }
}

/** A file of a pool. */
class PooledFile implements File {
  readonly #descriptors: Descriptors;
  readonly #slot: FileSlot;
  #underWay = 0;
  #closing: Promise<void> | undefined;
  #whenUnused: (() => void) | undefined;

  constructor(descriptors: Descriptors, slot: FileSlot) {
    this.#descriptors = descriptors;
    this.#slot = slot;
  }

  get path(): string {
    return this.#slot.path;
  }

  size(): Promise<number> {
    return this.#use((file) => file.size());
  }

  readSync(target: Uint8Array, position: number): number {
    this.#requireOpen();
    return this.#descriptors.readSync(this.#slot, target, position);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#use((file) => file.read(target, position));
  }

  writeSync(source: Uint8Array, position: number): void {
    this.#requireOpen();
    this.#requireWritten("EBADF").writeSync(source, position);
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#use(() => this.#requireWritten("EBADF").write(source, position));
  }

  syncData(): Promise<void> {
    return this.#use(() => this.#requireWritten("EBADF").syncData());
  }

  truncate(length: number): Promise<void> {
    return this.#use(() => this.#requireWritten("EINVAL").truncate(length));
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  closeSync(): void {
    if (this.#closing !== undefined) return;
    if (this.#underWay > 0) throw systemError("EBUSY", this.path, "it is being used");
    this.#closing = Promise.resolve();
    this.#descriptors.closeSync(this.#slot);
  }

  seal(): void {
    this.#descriptors.endWriting(this.#slot);
  }

  async #finish(): Promise<void> {
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenUnused = resolve;
      });
    }
    await this.#descriptors.close(this.#slot);
  }

  async #use<T>(operation: (file: File) => Promise<T>): Promise<T> {
    this.#requireOpen();
    this.#underWay += 1;
    try {
      return await this.#descriptors.use(this.#slot, operation);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#whenUnused?.();
    }
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw systemError("EBADF", this.path, "the file is closed");
  }

  /** The code is the one that the system gives for a file opened to be read. */
  #requireWritten(code: "EBADF" | "EINVAL"): File {
    const { file, isWritten } = this.#slot;
    if (!isWritten || file === undefined) throw systemError(code, this.path, "it is only read");
    return file;
  }
}
