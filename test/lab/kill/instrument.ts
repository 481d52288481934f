/**
 * The instrument `kill`: the real server process, its clients over gRPC, and an
 * oracle outside of it. A run is the life of one data directory; the seed draws
 * its part in turn, and all choices in it. What the machine does in between, and
 * so where exactly a kill falls, is not to be had again.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Instrument, LabOptions, LabRuns, RunOutcome } from "../instrument.js";
import { propertyIds } from "../properties.js";
import { powerLossLife, readOnlyLife } from "./broken-disk.js";
import { contractLife } from "./contract.js";
import { crashLife } from "./crash.js";
import { fullLife } from "./full.js";
import { Life } from "./life.js";
import { removeLeftFolders } from "./life-folder.js";
import { descriptorLife, memoryLife } from "./limits.js";
import { type DiskKind, diskMebibytes, LoopDisk } from "./loop-disk.js";
import { pauseLife } from "./pause.js";
import {
  demand,
  e2fsck,
  fallocate,
  mkfsExt4,
  mkfsXfs,
  mount,
  prlimit,
  setpriv,
  type Tool,
  unshare,
  xfsIo,
} from "./tools.js";

const KEYS = 48;
/** So many that a few of them do not fill a disk. */
const FULL_KEYS = 240;

/** What a part does with a life. */
interface Part {
  readonly name: string;
  readonly keys: number;
  readonly demands: () => void;
  readonly live: (life: Life, disks: Disks) => Promise<void>;
}

/** Makes the disks of a life. */
type Disks = (kind: DiskKind) => Promise<LoopDisk>;

function onLinux(name: string, tools: readonly Tool[], needsRoot: boolean): () => void {
  return () => demand(name, [...tools, setpriv], needsRoot);
}

const disk = [mount, unshare];

const partList: readonly Part[] = [
  {
    name: "crash",
    keys: KEYS,
    demands: () => undefined,
    live: (life) => crashLife(life, 4),
  },
  {
    name: "contract",
    keys: KEYS,
    demands: () => undefined,
    live: (life) => contractLife(life, 4),
  },
  {
    name: "pause",
    keys: KEYS,
    demands: () => undefined,
    live: (life) => pauseLife(life, 4),
  },
  {
    name: "descriptors",
    keys: KEYS,
    demands: onLinux("descriptors", [prlimit], false),
    live: (life) => descriptorLife(life, 2),
  },
  {
    name: "memory",
    keys: KEYS,
    demands: onLinux("memory", [prlimit], false),
    live: (life) => memoryLife(life, 2),
  },
  {
    name: "full-ext4",
    keys: FULL_KEYS,
    demands: onLinux("full-ext4", [...disk, mkfsExt4, fallocate], true),
    live: async (life, disks) => fullLife(life, await disks("ext4")),
  },
  {
    name: "full-xfs",
    keys: FULL_KEYS,
    demands: onLinux("full-xfs", [...disk, mkfsXfs, fallocate], true),
    live: async (life, disks) => fullLife(life, await disks("xfs")),
  },
  {
    name: "read-only",
    keys: KEYS,
    demands: onLinux("read-only", [...disk, mkfsExt4, e2fsck], true),
    live: async (life, disks) => readOnlyLife(life, await disks("ext4"), 2),
  },
  {
    name: "power-loss",
    keys: KEYS,
    demands: onLinux("power-loss", [...disk, mkfsExt4, mkfsXfs, xfsIo], true),
    live: async (life, disks) => {
      const kind = life.random.pick<DiskKind>(["ext4", "xfs"]);
      await powerLossLife(life, await disks(kind), 3);
    },
  },
];

class KillRuns implements LabRuns {
  readonly #parts: readonly Part[];
  #end: () => Promise<void> = async () => undefined;

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  async run(seed: number): Promise<RunOutcome> {
    const part = this.#parts[seed % this.#parts.length];
    if (part === undefined) throw new TypeError("a seed is a whole number");
    const life = new Life(seed, part.keys);
    const made: LoopDisk[] = [];
    const disks: Disks = async (kind) => {
      const folder = join(life.folder, "loop");
      mkdirSync(folder);
      const one = await LoopDisk.make(kind, diskMebibytes, folder);
      made.push(one);
      return one;
    };
    this.#end = async () => {
      await life.close();
      for (const one of made) await one.close();
      life.removeFolder();
    };
    try {
      await part.live(life, disks);
      await life.finish();
      return { counts: life.counts.all };
    } catch (error) {
      const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const finding = `${part.name}: ${why}\n${life.tellServer()}`;
      return { counts: life.counts.all, findings: [finding] };
    } finally {
      await this.#end();
    }
  }

  async close(): Promise<void> {
    await this.#end();
  }
}

function start({ only }: LabOptions): LabRuns {
  const parts = partList.filter(({ name }) => only === undefined || name === only);
  for (const { demands } of parts) demands();
  removeLeftFolders();
  return new KillRuns(parts);
}

/** What the runs of CI must have met, or they have shown nothing. */
const mustHave: readonly string[] = [
  "kills",
  "kills during a start",
  "writes of unknown fate",
  "segments compacted",
  "second servers refused",
  "deadlines kept",
  "descriptor limits lowered",
  "ends for want of memory",
  "disks filled",
  "disks that recovered",
  "servers that latched",
  "power losses",
  "rounds made certain",
  "rounds that were known",
  "uploads",
  "uploads given up",
  "bursts on a pipeline",
  "changes watched",
];

/** See the head of this file. */
export const killInstrument: Instrument = {
  name: "kill",
  sentence: "Kills, stops and starves the real server under load, fills its disk and breaks it.",
  oneRun: "the life of one data directory under one part, with a few kills",
  parts: { names: partList.map(({ name }) => name) },
  properties: propertyIds(
    "V1 V4 V6 V8 V10 V12 V14 V15 V16 D1 D2 D3 D4 D5 D6 R2 R8 R11 M1 M2 M3 M5 M11 M13 I8 I9 R7 T1 T5 B1 B2 B3 P1 P2 P3 P7",
  ),
  runs: { default: 36, ci: 9 },
  runSecondsMax: 600,
  isParallel: true,
  start,
  shortcomings: (counts) =>
    mustHave.filter((name) => (counts[name] ?? 0) === 0).map((name) => `0 ${name}`),
};
