/**
 * A file system in memory that knows what a power cut leaves behind. It is one
 * process's view of a SimDisk:
 *
 *     alive --crash(policy, seed)--> dead, and a new file system over what survived
 *     alive --kill()---------------> dead, and a new file system over all that was written
 *     alive --the hook says so-----> dead: SimCrash; then crash() or kill() as above
 *
 * Invariants:
 *  1. A dead process does nothing more: every operation of its file system, its
 *     files and its locks throws SimCrash. Asking a dead one for `crash` or
 *     `kill` again starts from the same disk, so one run serves every policy.
 *  2. Everything follows from the options, the scheduler and the calls: no clock,
 *     no randomness but the seeds.
 *  3. An operation takes effect when it is performed, not when it is called: a
 *     microtask later, or when the scheduler says.
 *  4. What File forbids is an error here: a write, truncation or sync of a file
 *     during another is reported as "overlap", however the real disk would do.
 *
 * Paths are absolute and plain: no "..", no links, no rename across directories.
 */
import type {
  DirectoryEntry,
  File,
  FileAccess,
  FileLock,
  FileSystem,
} from "../../src/host/file-system.js";
import { systemError } from "../../src/host/system-error.js";
import { type FileOperation, isMutating, type OperationDetails } from "./file-operation.js";
import { SimDirectory, SimDisk, type SimInode, type SimNode } from "./sim-disk.js";
import { SimFile } from "./sim-file.js";
import { isCrash, SimCrash, type SimHook, type Steps } from "./sim-hook.js";
import { partsOf, pathOf } from "./sim-paths.js";
import { SimRandom } from "./sim-random.js";
import type { SimScheduler } from "./sim-scheduler.js";
import { type CrashPolicy, cloneDisk, survivingDisk } from "./sim-survival.js";

/** What a simulated file system may be told. */
export interface SimFileSystemOptions {
  /** For what is done in part. Default 1. */
  readonly seed?: number;
  /** Default 1 TiB. */
  readonly capacityBytes?: number;
  readonly onOperation?: SimHook | undefined;
  /** Left out: each asynchronous operation is performed one microtask after its call. */
  readonly scheduler?: SimScheduler | undefined;
}

/** One process's view of a simulated disk. */
export class SimFileSystem implements FileSystem {
  /** Is asked before each operation; a test may change it at any time. */
  onOperation: SimHook | undefined;
  /** Mutating operations so far. */
  mutations = 0;
  /** Other operations so far. */
  readings = 0;
  readonly random: SimRandom;
  readonly disk: SimDisk;
  readonly #options: SimFileSystemOptions;
  #isDead = false;

  constructor(options: SimFileSystemOptions = {}, disk?: SimDisk) {
    this.#options = options;
    this.random = new SimRandom(options.seed ?? 1);
    this.onOperation = options.onOperation;
    this.disk = disk ?? new SimDisk(options.capacityBytes ?? 2 ** 40);
  }

  /** Bytes of all files together that the disk takes; may be set at any time. */
  get capacityBytes(): number {
    return this.disk.capacityBytes;
  }

  set capacityBytes(bytes: number) {
    this.disk.capacityBytes = bytes;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Cuts the power. The new process has no hook and no scheduler but those of `options`. */
  crash(policy: CrashPolicy, seed: number, options: SimFileSystemOptions = {}): SimFileSystem {
    this.#isDead = true;
    return new SimFileSystem(options, survivingDisk(this.disk, policy, new SimRandom(seed)));
  }

  /** Ends the process alone. The kernel goes on, unsynced changes and all. */
  kill(options: SimFileSystemOptions = {}): SimFileSystem {
    this.#isDead = true;
    return new SimFileSystem(options, cloneDisk(this.disk));
  }

  /** The disk as it is now, for another process; this one goes on. */
  fork(options: SimFileSystemOptions = {}): SimFileSystem {
    return new SimFileSystem(options, cloneDisk(this.disk));
  }

  open(path: string, access: FileAccess): Promise<File> {
    const op = access === "create" ? "create" : "open";
    return this.later(() =>
      this.perform(
        op,
        path,
        {},
        { act: () => new SimFile(this, path, this.#find(path, access), access) },
      ),
    );
  }

  openSync(path: string): File {
    const act = (): File => new SimFile(this, path, this.#find(path, "read"), "read");
    return this.perform("open", path, {}, { act });
  }

  list(path: string): Promise<DirectoryEntry[]> {
    const act = (): DirectoryEntry[] => {
      const entries = [...this.#directory(path).current];
      return entries.map(([name, node]) => ({ name, kind: node.kind }));
    };
    return this.later(() => this.perform("list", path, {}, { act }));
  }

  /** Each directory made, and each sync of a parent, is an operation of its own. */
  async makeDirectory(path: string): Promise<void> {
    const names = partsOf(path);
    let depth = await this.later(() => this.#existingDepth(names));
    // As the real one does: a process that was killed here may have left this name unsynced.
    await this.syncDirectory(pathOf(names.slice(0, Math.max(0, depth - 1))));
    for (; depth < names.length; depth += 1) {
      const parent = pathOf(names.slice(0, depth));
      const act = (): boolean => this.#makeOne(parent, names[depth] as string);
      const made = pathOf(names.slice(0, depth + 1));
      const isOurs = await this.later(() => this.perform("makeDirectory", made, {}, { act }));
      try {
        await this.syncDirectory(parent);
      } catch (error) {
        if (isOurs && !this.#isDead) this.#removeEmpty(parent, names[depth] as string);
        throw error;
      }
    }
  }

  rename(from: string, to: string): Promise<void> {
    const act = (): void => {
      const source = this.#place(from);
      const target = this.#place(to);
      const file = requireFile(source.node, from);
      if (target.node !== undefined) requireFile(target.node, to);
      if (source.directory !== target.directory) {
        throw systemError("EXDEV", to, "the simulation renames within one directory");
      }
      this.disk.renameFile(source.directory, source.name, target.name, file);
    };
    return this.later(() => this.perform("rename", from, { target: to }, { act }));
  }

  link(from: string, to: string): Promise<void> {
    const act = (): void => {
      const file = requireFile(this.#place(from).node, from);
      const target = this.#place(to);
      if (target.node !== undefined) throw systemError("EEXIST", to, "the file exists");
      this.disk.linkFile(file, target.directory, target.name);
    };
    return this.later(() => this.perform("link", from, { target: to }, { act }));
  }

  /** Nothing here takes time. */
  removeSlowly(path: string): Promise<void> {
    return this.remove(path);
  }

  remove(path: string): Promise<void> {
    const act = (): void => {
      const { directory, name, node } = this.#place(path);
      this.disk.removeName(directory, name, requireFile(node, path));
    };
    return this.later(() => this.perform("remove", path, {}, { act }));
  }

  syncDirectory(path: string): Promise<void> {
    const act = (): void => this.#directory(path).sync();
    const fail = (): void => this.#directory(path).failSync();
    return this.later(() => this.perform("syncDirectory", path, {}, { act, fail }));
  }

  freeBytes(path: string): number {
    const act = (): number => {
      this.#node(path);
      return this.disk.freeBytes;
    };
    return this.perform("freeBytes", path, {}, { act });
  }

  lock(path: string): Promise<FileLock | undefined> {
    const act = (): FileLock | undefined => {
      const { directory, name, node } = this.#place(path);
      const file =
        node === undefined ? this.disk.createFile(directory, name) : requireFile(node, path);
      if (file.isLocked) return undefined;
      file.isLocked = true;
      let isHeld = true;
      const release = (): void => {
        if (isHeld) file.isLocked = false;
        isHeld = false;
      };
      return {
        release: () => this.later(() => this.perform("release", path, {}, { act: release })),
      };
    };
    return this.later(() => this.perform("lock", path, {}, { act }));
  }

  /** Performs one operation as the hook has it. For SimFile; not for tests. */
  perform<T>(op: FileOperation, path: string, details: OperationDetails, steps: Steps<T>): T {
    this.#requireAlive(op);
    const index = isMutating(op) ? this.mutations++ : this.readings++;
    const verdict = this.onOperation?.({ op, path, index, ...details });
    if (verdict === undefined) return steps.act();
    // For what answers nothing: a sync, a removal, a rename.
    if (verdict === "skip") return undefined as T;
    if (!isCrash(verdict)) {
      const { code, done } =
        verdict === "fail" ? ({ code: "EIO", done: "part" } as const) : verdict;
      if (done === "part") (steps.fail ?? steps.half)?.();
      else if (done === "all") steps.act();
      throw systemError(code, path, "the simulated disk failed");
    }
    this.#isDead = true;
    try {
      if (verdict === "crash-midway") steps.half?.();
      if (verdict === "crash-after") steps.act();
    } catch {
      // The answer, good or bad, finds nobody.
    }
    throw new SimCrash(`${verdict} ${op} ${index}: ${path}`);
  }

  /** Runs `work` when an asynchronous operation would. For SimFile; not for tests. */
  later<T>(work: () => T): Promise<T> {
    const { scheduler } = this.#options;
    if (scheduler === undefined) return Promise.resolve().then(work);
    return new Promise((resolve, reject) => {
      scheduler.defer(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #requireAlive(op: string): void {
    if (this.#isDead) throw new SimCrash(`the process is gone: ${op}`);
  }

  #find(path: string, access: FileAccess): SimInode {
    const { directory, name, node } = this.#place(path);
    if (access !== "create") return requireFile(node, path);
    if (node !== undefined) throw systemError("EEXIST", path, "the file exists");
    return this.disk.createFile(directory, name);
  }

  /** How many of `names`, from the root on, are directories that exist. */
  #existingDepth(names: readonly string[]): number {
    this.#requireAlive("makeDirectory");
    let directory = this.disk.root;
    for (const [depth, name] of names.entries()) {
      const node = directory.current.get(name);
      if (node === undefined) return depth;
      if (node.kind === "file") throw systemError("ENOTDIR", name, "it is not a directory");
      directory = node;
    }
    return names.length;
  }

  #makeOne(parent: string, name: string): boolean {
    const directory = this.#directory(parent);
    if (directory.current.has(name)) return false;
    directory.change({ kind: "put", name, node: new SimDirectory() });
    return true;
  }

  #removeEmpty(parent: string, name: string): void {
    const directory = this.#directory(parent);
    const node = directory.current.get(name);
    if (node?.kind !== "directory" || node.current.size > 0) return;
    directory.change({ kind: "drop", name, node });
  }

  /** What the first `depth` names of a path lead to. */
  #node(path: string, names = partsOf(path), depth = names.length): SimNode {
    let node: SimNode = this.disk.root;
    for (let index = 0; index < depth; index += 1) {
      if (node.kind === "file") throw systemError("ENOTDIR", path, "it is not a directory");
      const child = node.current.get(names[index] as string);
      if (child === undefined) throw systemError("ENOENT", path, "there is no such entry");
      node = child;
    }
    return node;
  }

  #directory(path: string): SimDirectory {
    return requireDirectory(this.#node(path), path);
  }

  #place(path: string): { directory: SimDirectory; name: string; node: SimNode | undefined } {
    const names = partsOf(path);
    const name = names.at(-1);
    if (name === undefined) throw systemError("EISDIR", path, "it is the root");
    const directory = requireDirectory(this.#node(path, names, names.length - 1), path);
    return { directory, name, node: directory.current.get(name) };
  }
}

function requireDirectory(node: SimNode, path: string): SimDirectory {
  if (node.kind === "file") throw systemError("ENOTDIR", path, "it is not a directory");
  return node;
}

function requireFile(node: SimNode | undefined, path: string): SimInode {
  if (node === undefined) throw systemError("ENOENT", path, "there is no such file");
  if (node.kind === "directory") throw systemError("EISDIR", path, "it is a directory");
  return node;
}
