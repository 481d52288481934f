/**
 * The disks that a power cut may leave at one point of a replay. Changes that no sync
 * has made durable are units: each is kept or lost for itself, in any file and in any
 * directory; a write may be kept in part.
 *
 *   few units     every choice of them (2^n), and the newest write torn at some sectors
 *                 and in its middle
 *   more units    none, all, each alone, each alone lost
 *   by a seed     every file and every directory for itself: lost, kept, torn at a sector
 *                 or anywhere, reordered by pages, zeroed, garbage (sim-survival.ts)
 */
import {
  applyBytes,
  applyName,
  type BytesChange,
  type NameChange,
  type SimDirectory,
  type SimDisk,
  type SimInode,
  type SimNode,
} from "../../support/sim-disk.js";
import type { SimRandom } from "../../support/sim-random.js";
import {
  diskAfter,
  fileSurvivals,
  filesOf,
  namesSurvivals,
  survivingBytes,
  survivingNames,
} from "../../support/sim-survival.js";

/** Of so many units every choice is made. */
const unitsMax = 5;
const sectorBytes = 512;
/** A long write is torn at so many of its sectors. */
const sectorCutsMax = 8;

type Change = BytesChange | NameChange;

/** A disk that may be, and how it came to be. */
export interface CrashState {
  readonly disk: SimDisk;
  readonly how: string;
}

/** Every disk of a few choices. */
export function* smallStates(disk: SimDisk): Generator<CrashState> {
  const units = unitsOf(disk);
  const count = units.length;
  if (count <= unitsMax) {
    for (let mask = 0; mask < 2 ** count; mask += 1) {
      const kept = new Set(units.filter((_, index) => (mask & (1 << index)) !== 0));
      yield stateOf(
        disk,
        kept,
        `kept ${mask.toString(2).padStart(count, "0")} of ${count} changes`,
      );
    }
  } else {
    yield stateOf(disk, new Set(), `none of ${count} changes`);
    yield stateOf(disk, new Set(units), `all ${count} changes`);
    for (const [index, unit] of units.entries()) {
      yield stateOf(disk, new Set([unit]), `change ${index} of ${count} alone`);
      yield stateOf(
        disk,
        new Set(units.filter((one) => one !== unit)),
        `all but change ${index} of ${count}`,
      );
    }
  }
  yield* tornStates(disk, units);
}

/** Every file and every directory has a fate of its own. */
export function seededState(disk: SimDisk, random: SimRandom): CrashState {
  const fates: string[] = [];
  const pick = <T extends string>(fate: readonly T[]): T => {
    const picked = random.pick(fate);
    fates.push(picked);
    return picked;
  };
  const others = filesOf(disk.root);
  const after = diskAfter(disk, {
    bytes: (file) =>
      file.pending.length === 0
        ? file.durable.clone()
        : survivingBytes(file, pick(fileSurvivals), random, others),
    names: (directory) =>
      directory.pending.length === 0
        ? new Map(directory.durable)
        : survivingNames(directory, pick(namesSurvivals), random),
  });
  return { disk: after, how: `fates ${fates.join(", ")}` };
}

/** All changes that are not durable, in files and directories that can be reached by any name. */
export function unitsOf(disk: SimDisk): Change[] {
  const units: Change[] = [];
  for (const node of nodesOf(disk.root)) units.push(...node.pending);
  return units;
}

function* tornStates(disk: SimDisk, units: readonly Change[]): Generator<CrashState> {
  const newest = units.findLast((unit) => unit.kind === "write");
  if (newest === undefined) return;
  const { length } = newest.bytes;
  const cuts = new Set([Math.floor(length / 2), length - 1]);
  const firstSector = sectorBytes - (newest.position % sectorBytes);
  const step = sectorBytes * Math.ceil(length / sectorBytes / sectorCutsMax);
  for (let at = firstSector; at < length; at += step) cuts.add(at);
  for (const cut of cuts) {
    if (cut <= 0) continue;
    yield stateOf(disk, new Set(units), `all, the newest write cut after ${cut} bytes`, {
      change: newest,
      cut,
    });
  }
}

function stateOf(
  disk: SimDisk,
  kept: ReadonlySet<Change>,
  how: string,
  torn?: { readonly change: Change; readonly cut: number },
): CrashState {
  const after = diskAfter(disk, {
    bytes: (file: SimInode) => {
      const bytes = file.durable.clone();
      for (const change of file.pending) {
        if (!kept.has(change)) continue;
        if (change === torn?.change && change.kind === "write") {
          applyBytes(bytes, { ...change, bytes: change.bytes.subarray(0, torn.cut) });
        } else applyBytes(bytes, change);
      }
      return bytes;
    },
    names: (directory: SimDirectory) => {
      const names = new Map(directory.durable);
      for (const change of directory.pending) if (kept.has(change)) applyName(names, change);
      return names;
    },
  });
  return { disk: after, how };
}

function nodesOf(root: SimDirectory): Set<SimNode> {
  const nodes = new Set<SimNode>();
  const visit = (node: SimNode): void => {
    if (nodes.has(node)) return;
    nodes.add(node);
    if (node.kind === "file") return;
    for (const child of node.durable.values()) visit(child);
    for (const child of node.current.values()) visit(child);
    for (const change of node.pending) visit(change.node);
  };
  visit(root);
  return nodes;
}
