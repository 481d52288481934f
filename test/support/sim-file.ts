/**
 * An open file of the simulation. Positions and lengths are checked as the
 * real one's system calls check them.
 */
import type { File, FileAccess } from "../../src/host/file-system.js";
import { systemError } from "../../src/host/system-error.js";
import type { SimInode } from "./sim-disk.js";
import type { SimFileSystem } from "./sim-file-system.js";

/** A handle; see `File`. */
export class SimFile implements File {
  readonly path: string;
  readonly #files: SimFileSystem;
  readonly #file: SimInode;
  readonly #isReadOnly: boolean;
  #underWay = 0;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(files: SimFileSystem, path: string, file: SimInode, access: FileAccess) {
    this.path = path;
    this.#files = files;
    this.#file = file;
    this.#isReadOnly = access === "read";
    file.handles += 1;
  }

  size(): Promise<number> {
    const act = (): number => this.#file.current.length;
    return this.#during(() => this.#files.perform("size", this.path, {}, { act }));
  }

  readSync(target: Uint8Array, position: number): number {
    this.#requireOpen();
    return this.#read(target, position);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#during(() => this.#read(target, position));
  }

  writeSync(source: Uint8Array, position: number): void {
    this.#requireOpen();
    this.#requireIdle("writeSync");
    this.#write(source, position);
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#alone("write", () => this.#write(source, position));
  }

  syncData(): Promise<void> {
    const act = (): void => this.#file.sync();
    const fail = (): void => this.#file.failSync();
    return this.#alone("syncData", () =>
      this.#files.perform("syncData", this.path, {}, { act, fail }),
    );
  }

  truncate(length: number): Promise<void> {
    const act = (): void => {
      if (this.#isReadOnly) throw systemError("EINVAL", this.path, "open for reading only");
      this.#files.disk.truncate(this.#file, requirePosition(length), this.path);
    };
    return this.#alone("truncate", () =>
      this.#files.perform("truncate", this.path, { position: length }, { act }),
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  closeSync(): void {
    if (this.#closing !== undefined) return;
    if (this.#underWay > 0) throw systemError("EBUSY", this.path, "it is being used");
    this.#closing = Promise.resolve();
    this.#letGo();
  }

  async #finish(): Promise<void> {
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await this.#files.later(() => this.#letGo());
  }

  #letGo(): void {
    const act = (): void => {
      this.#file.handles -= 1;
      this.#files.disk.freeIfUnused(this.#file);
    };
    this.#files.perform("close", this.path, {}, { act });
  }

  #read(target: Uint8Array, position: number): number {
    const details = { position, lengthBytes: target.length };
    const act = (): number => this.#file.current.read(target, requirePosition(position));
    return this.#files.perform("read", this.path, details, { act });
  }

  #write(source: Uint8Array, position: number): void {
    const put = (bytes: Uint8Array): void => {
      if (this.#isReadOnly) throw systemError("EBADF", this.path, "open for reading only");
      this.#files.disk.write(this.#file, bytes, requirePosition(position), this.path);
    };
    const act = (): void => put(source);
    const half = (): void => put(source.subarray(0, this.#files.random.below(source.length + 1)));
    const details = { position, lengthBytes: source.length };
    this.#files.perform("write", this.path, details, { act, half });
  }

  /** For operations that must not meet another of their kind on the same file. */
  async #alone(operation: string, act: () => void): Promise<void> {
    this.#requireOpen();
    this.#requireIdle(operation);
    this.#file.busyWith = operation;
    try {
      await this.#during(act);
    } finally {
      this.#file.busyWith = undefined;
    }
  }

  async #during<T>(act: () => T): Promise<T> {
    this.#requireOpen();
    this.#underWay += 1;
    try {
      return await this.#files.later(act);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#whenIdle?.();
    }
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw systemError("EBADF", this.path, "the file is closed");
  }

  #requireIdle(operation: string): void {
    const other = this.#file.busyWith;
    if (other === undefined) return;
    throw new Error(`overlap: ${operation} during ${other}: ${this.path}`);
  }
}

function requirePosition(position: number): number {
  if (Number.isSafeInteger(position) && position >= 0) return position;
  throw new RangeError(`not a position in a file: ${position}`);
}
