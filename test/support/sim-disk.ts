/**
 * What a simulated disk holds: for every file and directory what programs see,
 * what is durable, and the changes in between.
 *
 *     current = durable + pending changes, in order       (until a sync fails)
 *     sync:        durable takes the pending changes
 *     failed sync: the pending changes are forgotten, current keeps showing them
 *
 * Invariants:
 *  1. `usedBytes` is the sum of the current lengths of all files that have a
 *     name or an open handle.
 *  2. A change is pending in exactly one file or directory.
 *
 * No path, no process and no failure is known here: sim-file-system.ts adds
 * those, sim-survival.ts decides what a power cut leaves.
 */
import { systemError } from "../../src/host/system-error.js";
import { SimBytes } from "./sim-bytes.js";

/** A change of a file's bytes that no sync has made durable. */
export type BytesChange =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly length: number };

/** A change of a directory's names that no sync has made durable. */
export type NameChange =
  | { readonly kind: "put"; readonly name: string; readonly node: SimNode }
  | { readonly kind: "drop"; readonly name: string; readonly node: SimNode }
  | {
      readonly kind: "move";
      readonly from: string;
      readonly to: string;
      readonly node: SimNode;
    };

/** What a name stands for. */
export type SimNode = SimInode | SimDirectory;

/** A file, whatever its names. */
export class SimInode {
  readonly kind = "file";
  readonly current: SimBytes;
  readonly durable: SimBytes;
  readonly pending: BytesChange[] = [];
  names = 0;
  handles = 0;
  isLocked = false;
  /** The write, truncation or sync under way; the contract allows one at a time. */
  busyWith: string | undefined;

  constructor(current = new SimBytes(), durable = new SimBytes()) {
    this.current = current;
    this.durable = durable;
  }

  sync(): void {
    for (const change of this.pending) applyBytes(this.durable, change);
    this.pending.length = 0;
  }

  failSync(): void {
    this.pending.length = 0;
  }
}

/** A directory. */
export class SimDirectory {
  readonly kind = "directory";
  readonly current = new Map<string, SimNode>();
  readonly durable = new Map<string, SimNode>();
  readonly pending: NameChange[] = [];

  /** Makes the change visible, not durable. */
  change(change: NameChange): void {
    applyName(this.current, change);
    this.pending.push(change);
  }

  sync(): void {
    for (const change of this.pending) applyName(this.durable, change);
    this.pending.length = 0;
  }

  failSync(): void {
    this.pending.length = 0;
  }
}

export function applyBytes(bytes: SimBytes, change: BytesChange): void {
  if (change.kind === "write") bytes.write(change.bytes, change.position);
  else bytes.truncate(change.length);
}

/** A name that stands for something else by now is not taken from it. */
export function applyName(names: Map<string, SimNode>, change: NameChange): void {
  if (change.kind === "put") {
    names.set(change.name, change.node);
  } else if (change.kind === "drop") {
    if (names.get(change.name) === change.node) names.delete(change.name);
  } else {
    if (names.get(change.from) === change.node) names.delete(change.from);
    names.set(change.to, change.node);
  }
}

/** The disk: one tree, one capacity. */
export class SimDisk {
  readonly root: SimDirectory;
  capacityBytes: number;
  #usedBytes = 0;

  constructor(capacityBytes: number, root = new SimDirectory()) {
    this.capacityBytes = capacityBytes;
    this.root = root;
    const seen = new Set<SimInode>();
    eachFile(root, (file) => {
      file.names += 1;
      if (!seen.has(file)) this.#usedBytes += file.current.length;
      seen.add(file);
    });
  }

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.#usedBytes);
  }

  createFile(directory: SimDirectory, name: string): SimInode {
    const file = new SimInode();
    file.names = 1;
    directory.change({ kind: "put", name, node: file });
    return file;
  }

  linkFile(file: SimInode, directory: SimDirectory, name: string): void {
    file.names += 1;
    directory.change({ kind: "put", name, node: file });
  }

  removeName(directory: SimDirectory, name: string, file: SimInode): void {
    directory.change({ kind: "drop", name, node: file });
    file.names -= 1;
    this.freeIfUnused(file);
  }

  /** Replaces what has the name `to`. Two names of one file: nothing happens, as POSIX has it. */
  renameFile(directory: SimDirectory, from: string, to: string, file: SimInode): void {
    const replaced = directory.current.get(to);
    if (replaced === file) return;
    directory.change({ kind: "move", from, to, node: file });
    if (replaced?.kind !== "file") return;
    replaced.names -= 1;
    this.freeIfUnused(replaced);
  }

  /** Writes what fits; ENOSPC after that, as disks do. */
  write(file: SimInode, source: Uint8Array, position: number, path: string): void {
    const room = file.current.length + this.freeBytes;
    const fitting = Math.max(0, Math.min(source.length, room - position));
    // Not by slice: a Buffer's shares its bytes, which its owner may use again.
    const bytes = new Uint8Array(source.subarray(0, fitting));
    this.#change(file, { kind: "write", position, bytes });
    if (fitting < source.length) throw systemError("ENOSPC", path, "no space left on device");
  }

  truncate(file: SimInode, length: number, path: string): void {
    if (length - file.current.length > this.freeBytes) {
      throw systemError("ENOSPC", path, "no space left on device");
    }
    this.#change(file, { kind: "truncate", length });
  }

  /** The last name and the last handle of a file take its bytes with them. */
  freeIfUnused(file: SimInode): void {
    if (file.names === 0 && file.handles === 0) this.#usedBytes -= file.current.length;
  }

  /** What the page cache shows once it has dropped what it believes to be on the disk. */
  evictCleanPages(): void {
    const seen = new Set<SimInode>();
    eachFile(this.root, (file) => {
      if (seen.has(file)) return;
      seen.add(file);
      const lengthBefore = file.current.length;
      file.current.truncate(0);
      file.current.write(file.durable.copy(), 0);
      for (const change of file.pending) applyBytes(file.current, change);
      this.#usedBytes += file.current.length - lengthBefore;
    });
  }

  #change(file: SimInode, change: BytesChange): void {
    if (change.kind === "write" && change.bytes.length === 0) return;
    const lengthBefore = file.current.length;
    applyBytes(file.current, change);
    file.pending.push(change);
    this.#usedBytes += file.current.length - lengthBefore;
  }
}

/** Visits every current name of a file; a file with two names twice. */
function eachFile(directory: SimDirectory, visit: (file: SimInode) => void): void {
  for (const node of directory.current.values()) {
    if (node.kind === "file") visit(node);
    else eachFile(node, visit);
  }
}
