/**
 * Any file system, with a will of its own: an injector is asked about every
 * operation, and may have it fail, stop half way, lie, or wait.
 *
 * The inner file system stays sound: an operation that fails here did not
 * happen there, unless the fault says otherwise. A failed `close` closes all
 * the same, and a failed `release` releases, so that nothing leaks.
 *
 * What a failed sync does to the pages in the kernel only SimFileSystem can
 * show; here the data simply stays unsynced.
 */
import type {
  DirectoryEntry,
  File,
  FileAccess,
  FileLock,
  FileSystem,
} from "../../src/host/file-system.js";
import { systemError } from "../../src/host/system-error.js";
import {
  type FileOperation,
  isMutating,
  type OperationDetails,
  type OperationFacts,
} from "./file-operation.js";

/** What goes wrong with an operation. */
export type Fault =
  /** It is refused; with `done`, after it was done. */
  | { readonly kind: "error"; readonly code: string; readonly done?: boolean }
  /** A write or read moves so many bytes; the write then fails, the read says so little. */
  | { readonly kind: "short"; readonly lengthBytes: number; readonly code: string }
  /** A read gives one bit wrong; bits count from the first byte read, lowest first. */
  | { readonly kind: "flip"; readonly bit: number }
  /** It waits first. Not for what is synchronous. */
  | { readonly kind: "wait"; readonly until: () => Promise<unknown> };

/** Is asked about each operation; undefined: it goes through. */
export type Injector = (operation: OperationFacts) => Fault | undefined;

/** Which operations a fault is for. */
export interface FaultTarget {
  /** Left out: every one. */
  readonly op?: FileOperation | readonly FileOperation[];
  /** Left out: every path. Of a rename or link either path may match. */
  readonly path?: RegExp;
  /** Which of those that match, from 0. Default 0. */
  readonly nth?: number;
  /** Whether all that come after it are hit too. Default: only that one. */
  readonly sticky?: boolean;
}

/** An injector for one fault; count of what matched so far in `seen`. */
export function injectFault(fault: Fault, target: FaultTarget = {}): Injector & { seen: number } {
  const { nth = 0, sticky = false } = target;
  const injector = Object.assign(
    (operation: OperationFacts): Fault | undefined => {
      if (!matches(operation, target)) return undefined;
      const number = injector.seen;
      injector.seen += 1;
      return number === nth || (sticky && number > nth) ? fault : undefined;
    },
    { seen: 0 },
  );
  return injector;
}

function matches(operation: OperationFacts, { op, path }: FaultTarget): boolean {
  if (
    op !== undefined &&
    !(typeof op === "string" ? op === operation.op : op.includes(operation.op))
  ) {
    return false;
  }
  return path === undefined || path.test(operation.path) || path.test(operation.target ?? "");
}

/** Damages a file where it lies: one bit, lowest first, counted from the file's first byte. */
export async function flipBitAtRest(files: FileSystem, path: string, bit: number): Promise<void> {
  const file = await files.open(path, "write");
  try {
    const byte = new Uint8Array(1);
    const position = Math.floor(bit / 8);
    if ((await file.read(byte, position)) === 0) throw new RangeError(`bit ${bit} is past the end`);
    byte[0] = (byte[0] as number) ^ (1 << (bit % 8));
    await file.write(byte, position);
    await file.syncData();
  } finally {
    await file.close();
  }
}

/** A file system whose injector decides what fails. */
export class FaultyFileSystem implements FileSystem {
  /** A test may change it at any time. */
  injector: Injector | undefined;
  /** Mutating operations so far. */
  mutations = 0;
  /** Other operations so far. */
  readings = 0;
  readonly #inner: FileSystem;

  constructor(inner: FileSystem, injector?: Injector) {
    this.#inner = inner;
    this.injector = injector;
  }

  open(path: string, access: FileAccess): Promise<File> {
    const op = access === "create" ? "create" : "open";
    const opened = async (): Promise<File> =>
      new FaultyFile(this, await this.#inner.open(path, access));
    return this.run(op, path, {}, opened, (file) => file.close());
  }

  openSync(path: string): File {
    const opened = (): File => new FaultyFile(this, this.#inner.openSync(path));
    return this.runSync("open", path, {}, opened, (file) => file.closeSync());
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.run("list", path, {}, () => this.#inner.list(path));
  }

  makeDirectory(path: string): Promise<void> {
    return this.run("makeDirectory", path, {}, () => this.#inner.makeDirectory(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.run("rename", from, { target: to }, () => this.#inner.rename(from, to));
  }

  link(from: string, to: string): Promise<void> {
    return this.run("link", from, { target: to }, () => this.#inner.link(from, to));
  }

  removeSlowly(path: string, pause: () => Promise<void>): Promise<void> {
    return this.run("remove", path, {}, () => this.#inner.removeSlowly(path, pause));
  }

  remove(path: string): Promise<void> {
    return this.run("remove", path, {}, () => this.#inner.remove(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.run("syncDirectory", path, {}, () => this.#inner.syncDirectory(path));
  }

  freeBytes(path: string): number {
    return this.runSync("freeBytes", path, {}, () => this.#inner.freeBytes(path));
  }

  lock(path: string): Promise<FileLock | undefined> {
    const locked = async (): Promise<FileLock | undefined> => {
      const lock = await this.#inner.lock(path);
      if (lock === undefined) return undefined;
      return { release: () => this.runAnyway("release", path, () => lock.release()) };
    };
    return this.run("lock", path, {}, locked, async (lock) => lock?.release());
  }

  /** The injector's word on one operation. For FaultyFile; not for tests. */
  ask(op: FileOperation, path: string, details: OperationDetails): Fault | undefined {
    const index = isMutating(op) ? this.mutations++ : this.readings++;
    return this.injector?.({ op, path, index, ...details });
  }

  /** Runs one operation under the injector; `undo` gives back a result that is withheld. */
  async run<T>(
    op: FileOperation,
    path: string,
    details: OperationDetails,
    act: () => Promise<T>,
    undo?: (result: T) => Promise<unknown>,
  ): Promise<T> {
    const fault = this.ask(op, path, details);
    if (fault === undefined) return act();
    if (fault.kind === "wait") {
      await fault.until();
      return act();
    }
    if (fault.kind !== "error") throw new TypeError(`${fault.kind} is no fault of ${op}`);
    if (fault.done === true) {
      const result = await act();
      await undo?.(result);
    }
    throw injected(fault.code, path);
  }

  /** The same for what must happen whatever is reported. */
  async runAnyway(op: FileOperation, path: string, act: () => Promise<void>): Promise<void> {
    const fault = this.ask(op, path, {});
    if (fault?.kind === "wait") await fault.until();
    await act();
    if (fault?.kind === "error") throw injected(fault.code, path);
  }

  runSync<T>(
    op: FileOperation,
    path: string,
    details: OperationDetails,
    act: () => T,
    undo?: (result: T) => void,
  ): T {
    const fault = this.ask(op, path, details);
    if (fault === undefined) return act();
    if (fault.kind !== "error") throw new TypeError(`${fault.kind} is no fault of ${op}`);
    if (fault.done === true) {
      const result = act();
      undo?.(result);
    }
    throw injected(fault.code, path);
  }
}

/** An open file of it. */
class FaultyFile implements File {
  readonly path: string;
  readonly #files: FaultyFileSystem;
  readonly #inner: File;
  #closing: Promise<void> | undefined;

  constructor(files: FaultyFileSystem, inner: File) {
    this.path = inner.path;
    this.#files = files;
    this.#inner = inner;
  }

  size(): Promise<number> {
    return this.#files.run("size", this.path, {}, () => this.#inner.size());
  }

  readSync(target: Uint8Array, position: number): number {
    const details = { position, lengthBytes: target.length };
    const fault = this.#files.ask("read", this.path, details);
    const part = partOf(target, fault);
    if (fault?.kind === "wait") throw new TypeError("wait is no fault of readSync");
    if (fault?.kind === "error") throw injected(fault.code, this.path);
    return altered(target, this.#inner.readSync(part, position), fault);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const details = { position, lengthBytes: target.length };
    const fault = this.#files.ask("read", this.path, details);
    const part = partOf(target, fault);
    if (fault?.kind === "wait") await fault.until();
    if (fault?.kind === "error") throw injected(fault.code, this.path);
    return altered(target, await this.#inner.read(part, position), fault);
  }

  writeSync(source: Uint8Array, position: number): void {
    const details = { position, lengthBytes: source.length };
    const fault = this.#files.ask("write", this.path, details);
    const part = partOf(source, fault);
    if (fault?.kind === "wait" || fault?.kind === "flip") {
      throw new TypeError(`${fault.kind} is no fault of writeSync`);
    }
    const isDone = fault?.kind !== "error" || fault.done === true;
    if (isDone) this.#inner.writeSync(part, position);
    if (fault !== undefined) throw injected(fault.code, this.path);
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    const details = { position, lengthBytes: source.length };
    const fault = this.#files.ask("write", this.path, details);
    const part = partOf(source, fault);
    if (fault?.kind === "flip") throw new TypeError("flip is no fault of write");
    if (fault?.kind === "wait") await fault.until();
    const isDone = fault?.kind !== "error" || fault.done === true;
    if (isDone) await this.#inner.write(part, position);
    if (fault !== undefined && fault.kind !== "wait") throw injected(fault.code, this.path);
  }

  syncData(): Promise<void> {
    return this.#files.run("syncData", this.path, {}, () => this.#inner.syncData());
  }

  truncate(length: number): Promise<void> {
    const details = { position: length };
    return this.#files.run("truncate", this.path, details, () => this.#inner.truncate(length));
  }

  close(): Promise<void> {
    this.#closing ??= this.#files.runAnyway("close", this.path, () => this.#inner.close());
    return this.#closing;
  }

  closeSync(): void {
    if (this.#closing !== undefined) return;
    const fault = this.#files.ask("close", this.path, {});
    if (fault?.kind === "wait") throw new TypeError("wait is no fault of closeSync");
    this.#inner.closeSync();
    this.#closing = Promise.resolve();
    if (fault?.kind === "error") throw injected(fault.code, this.path);
  }
}

function injected(code: string, path: string): Error {
  return systemError(code, path, "an injected fault");
}

function partOf(bytes: Uint8Array, fault: Fault | undefined): Uint8Array {
  return fault?.kind === "short" ? bytes.subarray(0, fault.lengthBytes) : bytes;
}

/** Flips the bit that the fault names, if it was read; how many bytes were read. */
function altered(target: Uint8Array, count: number, fault: Fault | undefined): number {
  if (fault?.kind !== "flip") return count;
  const index = Math.floor(fault.bit / 8);
  if (index < count) target[index] = (target[index] as number) ^ (1 << (fault.bit % 8));
  return count;
}
