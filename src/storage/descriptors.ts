/**
 * The descriptors of files that are read: opened when they are needed, and the
 * least recently used one closed when there are too many.
 *
 *     shut --read--> open, in use --last read returns--> open, idle --too many--> shut
 *
 * Invariants:
 *  1. A descriptor that is in use is never closed: its number would go to
 *     another file. Only idle ones are in the list that is closed from.
 *  2. Of files that are not written there are at most `openMax` open or being
 *     opened, and one more for as long as a synchronous read takes. If all are
 *     in use, reads off the event loop wait, first come first served: those of
 *     open files too, or a file that is always read would keep its place for
 *     ever. The line is never longer than there are reads under way.
 *  3. A file that is written keeps its descriptor, outside of that bound; so
 *     does one whose writing ended while it was read, until that read is over.
 *
 * EMFILE and ENFILE may come of what others have open: half of the idle files
 * are closed, and the opening is tried once more.
 */
import { errorCode, type File, type FileSystem } from "../host/file-system.js";
import { RecencyList } from "./recency-list.js";

/** What is known of one file. Only `Descriptors` changes it. */
export class FileSlot {
  readonly path: string;
  file: File | undefined;
  opening: Promise<File> | undefined;
  isWritten = false;
  /** Operations on the descriptor, or on the one that is being opened. */
  holders = 0;
  /** Whether it is in the list of those that may be closed, and its neighbours there. */
  isIdle = false;
  newer: FileSlot | undefined;
  older: FileSlot | undefined;

  constructor(path: string) {
    this.path = path;
  }
}

/** A read that waits for its turn. */
interface WaitingRead {
  readonly slot: FileSlot;
  readonly go: (file: File | Promise<File>) => void;
}

/** Opens and closes the files of slots. */
export class Descriptors {
  readonly #files: FileSystem;
  readonly #openMax: number;
  readonly #idle = new RecencyList<FileSlot>();
  readonly #waiting: WaitingRead[] = [];
  /** Files that are not written and are open, or being opened. */
  #kept = 0;
  #written = 0;

  constructor(files: FileSystem, openMax: number) {
    this.#files = files;
    this.#openMax = openMax;
  }

  /** How many files are open or being opened, those that are written included. */
  get count(): number {
    return this.#kept + this.#written;
  }

  /** Takes over a file that is open for writing. */
  addWritten(slot: FileSlot, file: File): void {
    slot.file = file;
    slot.isWritten = true;
    this.#written += 1;
  }

  /** The file is not written any more: from now on it counts and may be closed. */
  endWriting(slot: FileSlot): void {
    if (!slot.isWritten) return;
    slot.isWritten = false;
    this.#written -= 1;
    this.#kept += 1;
    this.#rest(slot);
    this.#settle();
  }

  /** Runs one operation with the slot's file open. */
  async use<T>(slot: FileSlot, operation: (file: File) => Promise<T>): Promise<T> {
    try {
      const held = this.#hold(slot);
      // What is open is used at once: an operation begins when it is called.
      return await operation(held instanceof Promise ? await held : held);
    } finally {
      slot.holders -= 1;
      this.#rest(slot);
      this.#settle();
    }
  }

  /** As `File.readSync`. */
  readSync(slot: FileSlot, target: Uint8Array, position: number): number {
    if (slot.file !== undefined) {
      if (slot.isIdle && this.#idle.newest !== slot) this.#renew(slot);
      return slot.file.readSync(target, position);
    }
    const isKept = slot.opening === undefined && this.#makeRoom();
    const file = this.#patiently(() => this.#files.openSync(slot.path));
    if (isKept) {
      slot.file = file;
      this.#kept += 1;
      this.#rest(slot);
      return file.readSync(target, position);
    }
    try {
      return file.readSync(target, position);
    } finally {
      file.closeSync();
    }
  }

  /** Closes the slot's file, if it is open. No operation may be under way. */
  async close(slot: FileSlot): Promise<void> {
    const { file } = slot;
    if (file === undefined) return;
    slot.file = undefined;
    this.#unlist(slot);
    try {
      await file.close();
    } finally {
      if (slot.isWritten) this.#written -= 1;
      else this.#kept -= 1;
      slot.isWritten = false;
      this.#settle();
    }
  }

  /** The same on the event loop. */
  closeSync(slot: FileSlot): void {
    const { file } = slot;
    if (file === undefined) return;
    file.closeSync();
    slot.file = undefined;
    this.#unlist(slot);
    if (slot.isWritten) this.#written -= 1;
    else this.#kept -= 1;
    slot.isWritten = false;
    this.#settle();
  }

  /** The slot's file, held once more; after a wait, if everything is in use. */
  #hold(slot: FileSlot): File | Promise<File> {
    const isFree = slot.isWritten || (this.#waiting.length === 0 && this.#canTake(slot));
    if (isFree) return this.#take(slot);
    return new Promise((go) => this.#waiting.push({ slot, go }));
  }

  #canTake(slot: FileSlot): boolean {
    return slot.file !== undefined || slot.opening !== undefined || this.#makeRoom();
  }

  #take(slot: FileSlot): File | Promise<File> {
    slot.holders += 1;
    this.#unlist(slot);
    if (slot.file !== undefined) return slot.file;
    slot.opening ??= this.#open(slot).finally(() => {
      slot.opening = undefined;
    });
    return slot.opening;
  }

  async #open(slot: FileSlot): Promise<File> {
    this.#kept += 1;
    try {
      const opening = (): Promise<File> => this.#files.open(slot.path, "read");
      slot.file = await opening().catch((error: unknown) => {
        if (!this.#hasMadeRoomAfter(error)) throw error;
        return opening();
      });
      return slot.file;
    } catch (error) {
      this.#kept -= 1;
      throw error;
    }
  }

  #patiently(openSync: () => File): File {
    try {
      return openSync();
    } catch (error) {
      if (!this.#hasMadeRoomAfter(error)) throw error;
      return openSync();
    }
  }

  #hasMadeRoomAfter(error: unknown): boolean {
    const code = errorCode(error);
    if (code !== "EMFILE" && code !== "ENFILE") return false;
    const closedBefore = this.#idle.count;
    const keep = Math.floor(closedBefore / 2);
    while (this.#idle.count > keep) this.#closeOldest();
    return closedBefore > 0;
  }

  /** Whether one more file may be opened; the least recently used one is closed for it. */
  #makeRoom(): boolean {
    return this.#kept < this.#openMax || this.#closeOldest();
  }

  #closeOldest(): boolean {
    const slot = this.#idle.oldest;
    if (slot === undefined) return false;
    const { file } = slot;
    this.#unlist(slot);
    slot.file = undefined;
    this.#kept -= 1;
    try {
      file?.closeSync();
    } catch {
      // Whatever was written through it has been synced, and the descriptor is gone all the same.
    }
    return true;
  }

  /** A file that nobody uses any more becomes the last one to be closed. */
  #rest(slot: FileSlot): void {
    if (slot.holders > 0 || slot.isWritten || slot.file === undefined || slot.isIdle) return;
    slot.isIdle = true;
    this.#idle.add(slot);
  }

  #renew(slot: FileSlot): void {
    this.#idle.remove(slot);
    this.#idle.add(slot);
  }

  #unlist(slot: FileSlot): void {
    if (!slot.isIdle) return;
    slot.isIdle = false;
    this.#idle.remove(slot);
  }

  /** Brings the count back to the bound, and lets those go on that wait. */
  #settle(): void {
    while (this.#kept > this.#openMax && this.#closeOldest());
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#canTake(next.slot)) return;
      this.#waiting.shift();
      next.go(this.#take(next.slot));
    }
  }
}
