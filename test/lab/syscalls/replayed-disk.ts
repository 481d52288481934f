/**
 * The disk below a folder, as the recorded calls change it one after the other: what
 * programs see, and what is durable (test/support/sim-disk.ts).
 *
 *   a write, a truncation, a name     pending from the moment at which the call began
 *   fdatasync, fsync                  when it has returned, what was pending when it began is durable
 *   one of those that failed          what was pending when it began is lost for good, and still shows
 *   a call that failed                nothing happened
 *
 * A call that changes the folder and is not known here is an error, so that a call which
 * the engine makes for the first time is not passed over.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { SimBytes } from "../../support/sim-bytes.js";
import {
  applyBytes,
  applyName,
  SimDirectory,
  SimDisk,
  SimInode,
  type SimNode,
} from "../../support/sim-disk.js";
import { cloneDisk } from "../../support/sim-survival.js";
import type { TracedCall } from "../../support/syscall-trace.js";
import { isBelow, writtenRange } from "./fault-points.js";

/** Begin or end of a call, in the order of the trace. */
export interface TraceEvent {
  readonly line: number;
  readonly isEnd: boolean;
  readonly call: TracedCall;
}

/** A recording, as far as it is played. */
export interface RecordedThreads {
  readonly calls: readonly TracedCall[];
  readonly mainThread: number;
  readonly poolThread: number;
}

/** A name: the directory that has it, and how it is called there. */
interface Place {
  readonly directory: SimDirectory;
  readonly name: string;
}

/** A sync that has not returned. */
interface SyncUnderWay {
  readonly node: SimNode;
  /** How many of its pending changes it covers. */
  readonly covered: number;
}

/** Plays calls. */
export class ReplayedDisk {
  readonly disk: SimDisk;
  readonly #rootPath: string;
  readonly #descriptors = new Map<number, SimNode>();
  readonly #syncs = new Map<TracedCall, SyncUnderWay>();

  /**
   * `base`: what was there. A folder: all of it durable. A disk: as much of it as is; its
   * process is gone, and what that had not synced is still pending. Undefined: nothing.
   */
  constructor(rootPath: string, base: SimDisk | string | undefined) {
    this.#rootPath = rootPath;
    this.disk = base instanceof SimDisk ? cloneDisk(base) : new SimDisk(2 ** 40);
    if (typeof base === "string") load(base, this.disk.root);
  }

  /** A call begins. Answers whether that changed anything. */
  begin(call: TracedCall): boolean {
    if (call.call === "close") {
      // Another thread may be given the number before the call has returned.
      this.#descriptors.delete(call.descriptor ?? -1);
      return false;
    }
    if (!isBelow(call, this.#rootPath) || hasFailed(call)) {
      if (isBelow(call, this.#rootPath)) this.#beginSync(call);
      return false;
    }
    switch (call.call) {
      case "openat":
        return this.#create(call);
      case "pwrite64":
        return this.#write(call);
      case "ftruncate":
        return this.#truncate(call);
      case "rename":
      case "renameat":
      case "renameat2":
        return this.#rename(call);
      case "link":
      case "linkat":
        return this.#link(call);
      case "unlink":
      case "unlinkat":
        return this.#unlink(call);
      case "mkdir":
      case "mkdirat":
        return this.#makeDirectory(call);
      case "rmdir":
        return this.#removeDirectory(call);
      case "fdatasync":
      case "fsync":
        this.#beginSync(call);
        return false;
      default:
        throw new Error(`${call.call} on ${call.path}: a call that nobody knows how to replay`);
    }
  }

  /** A call has returned. Answers whether that changed anything. */
  end(call: TracedCall): boolean {
    if (call.call === "openat" && call.result !== undefined && call.result >= 0) {
      const node = isBelow(call, this.#rootPath) ? this.#find(call.path) : undefined;
      if (node === undefined) this.#descriptors.delete(call.result);
      else this.#descriptors.set(call.result, node);
      return false;
    }
    const sync = this.#syncs.get(call);
    if (sync === undefined) return false;
    this.#syncs.delete(call);
    endSync(sync, !hasFailed(call));
    return sync.covered > 0;
  }

  #create(call: TracedCall): boolean {
    const { given, path } = call;
    if (given.includes("O_TRUNC"))
      throw new Error(`${path} is opened and cut, which nobody replays`);
    if (!given.includes("O_CREAT") || this.#find(path) !== undefined) return false;
    const { directory, name } = this.#place(path);
    this.disk.createFile(directory, name);
    return true;
  }

  #write(call: TracedCall): boolean {
    const range = writtenRange(call);
    const bytes = Buffer.from(call.text ?? "", "latin1");
    if (range === undefined || bytes.length < range.length) {
      throw new Error(`not all of a write is known: ${call.given.slice(0, 80)}`);
    }
    this.disk.write(this.#file(call), bytes.subarray(0, range.length), range.position, "");
    return range.length > 0;
  }

  #truncate(call: TracedCall): boolean {
    const length = Number(/, (\d+)$/.exec(call.given)?.[1]);
    this.disk.truncate(this.#file(call), length, "");
    return true;
  }

  #rename(call: TracedCall): boolean {
    const from = this.#place(call.path);
    const to = this.#place(call.target);
    if (from.directory !== to.directory) throw new Error("a rename between directories");
    this.disk.renameFile(from.directory, from.name, to.name, this.#fileAt(call.path));
    return true;
  }

  #link(call: TracedCall): boolean {
    const { directory, name } = this.#place(call.target);
    this.disk.linkFile(this.#fileAt(call.path), directory, name);
    return true;
  }

  #unlink(call: TracedCall): boolean {
    const { directory, name } = this.#place(call.path);
    this.disk.removeName(directory, name, this.#fileAt(call.path));
    return true;
  }

  #makeDirectory(call: TracedCall): boolean {
    const { directory, name } = this.#place(call.path);
    directory.change({ kind: "put", name, node: new SimDirectory() });
    return true;
  }

  #removeDirectory(call: TracedCall): boolean {
    const { directory, name } = this.#place(call.path);
    const node = this.#find(call.path);
    if (node?.kind !== "directory") throw new Error(`${call.path} is not a directory`);
    directory.change({ kind: "drop", name, node });
    return true;
  }

  #beginSync(call: TracedCall): void {
    if (call.call !== "fdatasync" && call.call !== "fsync") return;
    const node = this.#descriptors.get(call.descriptor ?? -1);
    if (node === undefined) throw new Error(`a sync of what is not open: ${call.path}`);
    for (const each of this.#syncs.values()) {
      if (each.node === node) throw new Error(`two syncs of ${call.path} at once`);
    }
    this.#syncs.set(call, { node, covered: node.pending.length });
  }

  #file({ descriptor, path }: TracedCall): SimInode {
    const node = this.#descriptors.get(descriptor ?? -1);
    if (node?.kind !== "file") throw new Error(`${path} is not an open file`);
    return node;
  }

  #fileAt(path: string | undefined): SimInode {
    const node = this.#find(path);
    if (node?.kind !== "file") throw new Error(`${path} is not a file`);
    return node;
  }

  #place(path: string | undefined): Place {
    const cut = path?.lastIndexOf("/") ?? -1;
    const directory = cut < 0 ? undefined : this.#find(path?.slice(0, cut));
    if (directory?.kind !== "directory") throw new Error(`${path} lies nowhere`);
    return { directory, name: path?.slice(cut + 1) ?? "" };
  }

  #find(path: string | undefined): SimNode | undefined {
    let node: SimNode | undefined = this.disk.root;
    for (const name of path?.slice(this.#rootPath.length).split("/") ?? []) {
      if (name === "") continue;
      node = node?.kind === "directory" ? node.current.get(name) : undefined;
    }
    return node;
  }
}

/** Of the program's own threads: what its children do with descriptors is theirs. */
export function eventsOf({ calls, mainThread, poolThread }: RecordedThreads): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (const call of calls) {
    if (call.pid !== mainThread && call.pid !== poolThread) continue;
    events.push({ line: call.started, isEnd: false, call });
    if (call.returned !== undefined && call.result !== undefined) {
      events.push({ line: call.returned, isEnd: true, call });
    }
  }
  return events.sort(
    (one, other) => one.line - other.line || Number(one.isEnd) - Number(other.isEnd),
  );
}

/** Plays all of a run. */
export function playedDisk(
  rootPath: string,
  basePath: string | undefined,
  run: RecordedThreads,
): SimDisk {
  const replayed = new ReplayedDisk(rootPath, basePath);
  for (const { isEnd, call } of eventsOf(run)) {
    if (isEnd) replayed.end(call);
    else replayed.begin(call);
  }
  return replayed.disk;
}

function hasFailed({ result }: TracedCall): boolean {
  return result !== undefined && result < 0;
}

function endSync({ node, covered }: SyncUnderWay, isGood: boolean): void {
  if (node.kind === "file") {
    for (const change of node.pending.splice(0, covered)) {
      if (isGood) applyBytes(node.durable, change);
    }
    return;
  }
  for (const change of node.pending.splice(0, covered)) {
    if (isGood) applyName(node.durable, change);
  }
}

/** Everything below a folder, durable. */
function load(path: string, directory: SimDirectory): void {
  const inodes = new Map<number, SimInode>();
  const loadInto = (from: string, into: SimDirectory): void => {
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      const child = join(from, entry.name);
      let node: SimNode;
      if (entry.isDirectory()) {
        node = new SimDirectory();
        loadInto(child, node);
      } else {
        const { ino } = statSync(child);
        const bytes = new SimBytes(readFileSync(child));
        node = inodes.get(ino) ?? new SimInode(bytes, bytes.clone());
        inodes.set(ino, node);
        node.names += 1;
      }
      into.current.set(entry.name, node);
      into.durable.set(entry.name, node);
    }
  };
  loadInto(path, directory);
}
