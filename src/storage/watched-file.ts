/** A file that tells how far it has been read; all else it leaves to the file inside. */
import type { File } from "../host/file-system.js";

/** A file under watch. */
export class WatchedFile implements File {
  readonly #inner: File;
  readonly #onRead: (endPosition: number) => void;
  #farthest = 0;

  /** `onRead` gets the position up to which the file has been read, whenever that grows. */
  constructor(inner: File, onRead: (endPosition: number) => void) {
    this.#inner = inner;
    this.#onRead = onRead;
  }

  get path(): string {
    return this.#inner.path;
  }

  size(): Promise<number> {
    return this.#inner.size();
  }

  readSync(target: Uint8Array, position: number): number {
    return this.#watched(position, this.#inner.readSync(target, position));
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return this.#watched(position, await this.#inner.read(target, position));
  }

  writeSync(source: Uint8Array, position: number): void {
    this.#inner.writeSync(source, position);
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#inner.write(source, position);
  }

  syncData(): Promise<void> {
    return this.#inner.syncData();
  }

  truncate(length: number): Promise<void> {
    return this.#inner.truncate(length);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  closeSync(): void {
    this.#inner.closeSync();
  }

  #watched(position: number, read: number): number {
    if (position + read > this.#farthest) {
      this.#farthest = position + read;
      this.#onRead(this.#farthest);
    }
    return read;
  }
}
