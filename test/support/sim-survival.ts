/**
 * What is left of a simulated disk after its process, or its power, is gone.
 *
 * Process death (`cloneDisk`) loses nothing: the kernel still has every
 * unsynced change, and still believes what a failed sync made it believe.
 *
 * A power cut (`survivingDisk`) decides for unsynced bytes of each file:
 *   lost       none survives
 *   kept       all survive
 *   torn       each write is kept, dropped, or cut: at a 512-byte sector or at any byte
 *   reordered  each 4 KiB page of each write is kept or dropped; holes read as zero
 *   zeroed     the length survives, what was appended reads as zero
 *   garbage    the length survives, what was appended reads as anything
 *   stale      the length survives, what was appended reads as a part of another file
 *   each       every file goes one of these ways, whatever the others do
 * and for unsynced names of each directory: lost, kept, or mixed (each change on
 * its own; a rename is whole or not at all).
 *
 * A disk never destroys what was durable: under "zeroed", "garbage" and "stale" a
 * byte that is written over has its old value or its new one, by whole sectors.
 */
import type { SimBytes } from "./sim-bytes.js";
import {
  applyBytes,
  applyName,
  type BytesChange,
  SimDirectory,
  SimDisk,
  SimInode,
  type SimNode,
} from "./sim-disk.js";
import type { SimRandom } from "./sim-random.js";

export const fileSurvivals = [
  "lost",
  "kept",
  "torn",
  "reordered",
  "zeroed",
  "garbage",
  "stale",
] as const;
export const bytesSurvivals = [...fileSurvivals, "each"] as const;
export const namesSurvivals = ["lost", "kept", "mixed"] as const;

/** What becomes of the unsynced bytes of one file. */
type FileSurvival = (typeof fileSurvivals)[number];
export type BytesSurvival = (typeof bytesSurvivals)[number];
export type NamesSurvival = (typeof namesSurvivals)[number];

/** What a power cut does. */
export interface CrashPolicy {
  readonly bytes: BytesSurvival;
  readonly names: NamesSurvival;
}

/** Every kind of power cut, for tests that go through them all. */
export const crashPolicies: readonly CrashPolicy[] = bytesSurvivals.flatMap((bytes) =>
  namesSurvivals.map((names) => ({ bytes, names })),
);

const sectorBytes = 512;
const pageBytes = 4096;

/** The same disk for the next process: all that was written, synced or not. */
export function cloneDisk(disk: SimDisk): SimDisk {
  const clones = new Map<SimNode, SimNode>();
  const clone = (node: SimNode): SimNode => {
    const known = clones.get(node);
    if (known !== undefined) return known;
    if (node.kind === "file") {
      const file = new SimInode(node.current.clone(), node.durable.clone());
      file.pending.push(...node.pending);
      clones.set(node, file);
      return file;
    }
    const directory = new SimDirectory();
    clones.set(node, directory);
    for (const [name, child] of node.current) directory.current.set(name, clone(child));
    for (const [name, child] of node.durable) directory.durable.set(name, clone(child));
    for (const change of node.pending) {
      directory.pending.push({ ...change, node: clone(change.node) });
    }
    return directory;
  };
  return new SimDisk(disk.capacityBytes, clone(disk.root) as SimDirectory);
}

/** What is left of each file and of each directory. */
export interface Survival {
  bytes(file: SimInode): SimBytes;
  names(directory: SimDirectory): Map<string, SimNode>;
}

/** The disk after the power came back: what survived is durable, nothing is pending. */
export function survivingDisk(disk: SimDisk, policy: CrashPolicy, random: SimRandom): SimDisk {
  const others = filesOf(disk.root);
  return diskAfter(disk, {
    bytes: (file) => {
      const fate = policy.bytes === "each" ? random.pick(fileSurvivals) : policy.bytes;
      return survivingBytes(file, fate, random, others);
    },
    names: (directory) => survivingNames(directory, policy.names, random),
  });
}

/** The same, where somebody else says what survived; each file is asked about once. */
export function diskAfter(disk: SimDisk, survival: Survival): SimDisk {
  const survivors = new Map<SimNode, SimNode>();
  const survivor = (node: SimNode): SimNode => {
    const known = survivors.get(node);
    if (known !== undefined) return known;
    if (node.kind === "file") {
      const bytes = survival.bytes(node);
      const file = new SimInode(bytes, bytes.clone());
      survivors.set(node, file);
      return file;
    }
    const directory = new SimDirectory();
    survivors.set(node, directory);
    for (const [name, child] of survival.names(node)) {
      directory.durable.set(name, survivor(child));
      directory.current.set(name, survivor(child));
    }
    return directory;
  };
  return new SimDisk(disk.capacityBytes, survivor(disk.root) as SimDirectory);
}

/** The names of a directory that survive. */
export function survivingNames(
  directory: SimDirectory,
  policy: NamesSurvival,
  random: SimRandom,
): Map<string, SimNode> {
  const names = new Map(directory.durable);
  for (const change of directory.pending) {
    if (policy === "kept" || (policy === "mixed" && random.chance(0.5))) applyName(names, change);
  }
  return names;
}

/** The bytes of a file that survive; `others`: the files whose bytes may lie in their place. */
export function survivingBytes(
  file: SimInode,
  policy: FileSurvival,
  random: SimRandom,
  others: readonly SimInode[],
): SimBytes {
  const bytes = file.durable.clone();
  if (policy === "lost" || file.pending.length === 0) return bytes;
  if (policy === "zeroed") return unwritten(file, random, undefined);
  if (policy === "garbage") return unwritten(file, random, (length) => random.bytes(length));
  if (policy === "stale") {
    const other = pickOther(file, others, random);
    return unwritten(file, random, (length, from) => staleBytes(other, length, from, random));
  }
  for (const change of file.pending) {
    if (policy === "kept") applyBytes(bytes, change);
    else if (change.kind === "truncate") keepOrDrop(bytes, change, random);
    else if (policy === "torn") applyTorn(bytes, change, random);
    else applyPages(bytes, change, random);
  }
  return bytes;
}

type WriteChange = Extract<BytesChange, { kind: "write" }>;

function keepOrDrop(bytes: SimBytes, change: BytesChange, random: SimRandom): void {
  if (random.chance(0.5)) applyBytes(bytes, change);
}

function applyTorn(bytes: SimBytes, change: WriteChange, random: SimRandom): void {
  const fate = random.pick(["kept", "dropped", "cut at a sector", "cut anywhere"] as const);
  if (fate === "kept") applyBytes(bytes, change);
  if (fate === "kept" || fate === "dropped") return;
  const anywhere = random.below(change.bytes.length);
  const atSector = Math.max(0, sectorBefore(change.position + anywhere) - change.position);
  const cut = fate === "cut anywhere" ? anywhere : atSector;
  bytes.write(change.bytes.subarray(0, cut), change.position);
}

/** A position's sector begins here. */
function sectorBefore(position: number): number {
  return position - (position % sectorBytes);
}

function applyPages(bytes: SimBytes, change: WriteChange, random: SimRandom): void {
  const end = change.position + change.bytes.length;
  for (let from = change.position; from < end; ) {
    const to = Math.min(end, from - (from % pageBytes) + pageBytes);
    if (random.chance(0.5)) {
      bytes.write(change.bytes.subarray(from - change.position, to - change.position), from);
    }
    from = to;
  }
}

/** What lies where a file's new blocks do: `length` bytes for its position `from`. */
type OldContent = (length: number, from: number) => Uint8Array;

function pickOther(
  file: SimInode,
  others: readonly SimInode[],
  random: SimRandom,
): SimInode | undefined {
  const different = others.filter((other) => other !== file);
  return different.length === 0 ? undefined : random.pick(different);
}

/** Another file's bytes: at the same position, or from some sector on. */
function staleBytes(
  other: SimInode | undefined,
  length: number,
  from: number,
  random: SimRandom,
): Uint8Array {
  const bytes = new Uint8Array(length);
  const sectors = Math.floor((other?.current.length ?? 0) / sectorBytes) + 1;
  const start = random.chance(0.5) ? from : random.below(sectors) * sectorBytes;
  other?.current.read(bytes, start);
  return bytes;
}

/**
 * The length of all changes, with content that never reached the disk: zeros, or
 * what lay there before; then some of what was written over may be new as well.
 */
function unwritten(file: SimInode, random: SimRandom, old: OldContent | undefined): SimBytes {
  const after = file.durable.clone();
  let oldLength = after.length;
  for (const change of file.pending) {
    applyBytes(after, change);
    // What a truncation gave up and a write took again lies on new blocks.
    oldLength = Math.min(oldLength, after.length);
  }
  const bytes = file.durable.clone();
  bytes.truncate(oldLength);
  if (old !== undefined) applySectors(bytes, after.copy().subarray(0, oldLength), file, random);
  bytes.truncate(after.length);
  if (old !== undefined) bytes.write(old(after.length - oldLength, oldLength), oldLength);
  return bytes;
}

/** Every file that has a name, once. */
export function filesOf(root: SimDirectory): SimInode[] {
  const files = new Set<SimInode>();
  for (const node of root.current.values()) {
    if (node.kind === "file") files.add(node);
    else for (const file of filesOf(node)) files.add(file);
  }
  return [...files];
}

/** Gives some of the sectors that pending writes touch below `after`'s end their new content. */
function applySectors(bytes: SimBytes, after: Uint8Array, file: SimInode, random: SimRandom): void {
  for (const change of file.pending) {
    if (change.kind !== "write") continue;
    const end = Math.min(change.position + change.bytes.length, after.length);
    for (let from = sectorBefore(change.position); from < end; from += sectorBytes) {
      if (random.chance(0.5)) bytes.write(after.subarray(from, from + sectorBytes), from);
    }
  }
}
