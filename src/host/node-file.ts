/**
 * An open file of the real file system: a descriptor and node:fs's callbacks
 * (a FileHandle costs twice as much a read).
 *
 *     open --close()--> closing --last operation returns--> closed
 *
 * Invariants:
 *  1. The descriptor is closed once, and never while an operation uses it: its
 *     number is reused at once, and a late operation would hit another file.
 *  2. After `close` was called every operation fails with EBADF.
 *  3. Reads and writes loop until all is done, the file ends, or an error.
 *  4. A sync is never repeated: after one that failed, a second proves nothing.
 *
 * It caches nothing and knows no order; the callers see to that.
 */
import {
  close,
  closeSync,
  fdatasync,
  fstat,
  ftruncate,
  read,
  readSync,
  type Stats,
  write,
  writeSync,
} from "node:fs";
import { errorCode, type File } from "./file-system.js";
import { systemError } from "./system-error.js";

/** Bytes that one system call is asked to move; Linux ends at 2^31 - 4096. */
const transferBytesMax = 2 ** 30;

/** How often a call that was interrupted, or told to try again, is made in all. */
const attemptsMax = 16;

/** A file over a descriptor that it owns from now on. */
export class NodeFile implements File {
  readonly path: string;
  readonly #descriptor: number;
  #underWay = 0;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  async size(): Promise<number> {
    const facts = await this.#during(() => called<Stats>((done) => fstat(this.#descriptor, done)));
    return facts.size;
  }

  readSync(target: Uint8Array, position: number): number {
    this.#requireOpen();
    let filled = 0;
    while (filled < target.length) {
      const want = Math.min(target.length - filled, transferBytesMax);
      const at = position + filled;
      const got = repeated(() => readSync(this.#descriptor, target, filled, want, at));
      if (got === 0) break;
      filled += got;
    }
    return filled;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#during(async () => {
      let filled = 0;
      while (filled < target.length) {
        const want = Math.min(target.length - filled, transferBytesMax);
        const at = position + filled;
        const got = await repeatedAsync(() =>
          called<number>((done) => read(this.#descriptor, target, filled, want, at, done)),
        );
        if (got === 0) break;
        filled += got;
      }
      return filled;
    });
  }

  writeSync(source: Uint8Array, position: number): void {
    this.#requireOpen();
    let written = 0;
    while (written < source.length) {
      const want = Math.min(source.length - written, transferBytesMax);
      const at = position + written;
      const put = repeated(() => writeSync(this.#descriptor, source, written, want, at));
      written += this.#requireProgress(put);
    }
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#during(async () => {
      let written = 0;
      while (written < source.length) {
        const want = Math.min(source.length - written, transferBytesMax);
        const at = position + written;
        const put = await repeatedAsync(() =>
          called<number>((done) => write(this.#descriptor, source, written, want, at, done)),
        );
        written += this.#requireProgress(put);
      }
    });
  }

  /** On macOS libuv asks for F_FULLFSYNC, which reaches past the drive's cache. */
  syncData(): Promise<void> {
    return this.#during(() => called<void>((done) => fdatasync(this.#descriptor, done)));
  }

  truncate(length: number): Promise<void> {
    return this.#during(() =>
      repeatedAsync(() => called<void>((done) => ftruncate(this.#descriptor, length, done))),
    );
  }

  /** Waits for the operations under way; a second call gives the first one's promise. */
  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  closeSync(): void {
    if (this.#closing !== undefined) return;
    if (this.#underWay > 0) throw systemError("EBUSY", this.path, "it is being used");
    this.#closing = Promise.resolve();
    closeSync(this.#descriptor);
  }

  async #finish(): Promise<void> {
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await called<void>((done) => close(this.#descriptor, done));
  }

  async #during<T>(operation: () => Promise<T>): Promise<T> {
    this.#requireOpen();
    this.#underWay += 1;
    try {
      return await operation();
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#whenIdle?.();
    }
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw systemError("EBADF", this.path, "the file is closed");
  }

  /** A write that moves nothing would be repeated for ever. */
  #requireProgress(count: number): number {
    if (count === 0) throw systemError("EIO", this.path, "the disk took no byte of a write");
    return count;
  }
}

/** The promise of a callback that gives an error or a result. */
export function called<T>(
  start: (done: (error: NodeJS.ErrnoException | null, result?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error === null || error === undefined) resolve(result as T);
      else reject(error);
    });
  });
}

function repeated<T>(call: () => T): T {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return call();
    } catch (error) {
      if (attempt === attemptsMax || !isTransient(error)) throw error;
    }
  }
}

async function repeatedAsync<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (attempt === attemptsMax || !isTransient(error)) throw error;
    }
  }
}

function isTransient(error: unknown): boolean {
  const code = errorCode(error);
  return code === "EINTR" || code === "EAGAIN";
}
