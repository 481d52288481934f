/** What a seed draws: the store's options, and what goes wrong in each of its lives. */
import type { StoreOptionsInput } from "../../../src/engine/options.js";
import {
  type FileOperation,
  isMutating,
  type OperationFacts,
} from "../../support/file-operation.js";
import type { CrashMoment, SimHook, SimVerdict } from "../../support/sim-hook.js";
import type { SimRandom } from "../../support/sim-random.js";
import { letters } from "./silence.js";

/** Where the store of every seed lies. */
export const dataDir = "/store";
export const segmentDirs = ["/store/segments", "/fast/kvix"] as const;

const KiB = 1024;
/** One seed in so many has a crowd: it takes as long as some others together. */
const crowdShare = 1 / 100;

/** What stays the same for all lives of a seed. */
export interface SeedPlan {
  readonly keys: readonly string[];
  /** More keys, between the others; most seeds have none. */
  readonly crowd: readonly string[];
  /** Of the keys, those that are counted up. */
  readonly numbers: readonly string[];
  /** How many watch. */
  readonly watchings: number;
  readonly segmentDir: string;
  readonly lives: number;
  /** A bit of a file is flipped between two lives. */
  readonly hasRot: boolean;
}

export function planSeed(random: SimRandom): SeedPlan {
  const keys = planKeys(random);
  return {
    keys,
    crowd: random.chance(crowdShare) ? planCrowd(random, keys) : [],
    numbers: keys.slice(0, random.pick([1, 1, 2])),
    watchings: random.pick([0, 1, 1, 2]),
    segmentDir: random.pick(segmentDirs),
    lives: 2 + random.below(3),
    hasRot: random.chance(0.15),
  };
}

/** Short keys, long ones, and in some seeds pairs that differ in NUL bytes at their end alone. */
function planKeys(random: SimRandom): string[] {
  const count = random.pick([2, 4, 8, 8, 16]);
  const hasPairs = random.chance(0.3);
  const keys: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = letters[index] as string;
    const isSecond = hasPairs && index % 2 === 1;
    if (isSecond) keys.push(`${keys[index - 1]}${"\0".repeat(1 + random.below(3))}`);
    else keys.push(random.chance(0.2) ? name.repeat(1 + random.below(40)) : name);
  }
  return keys;
}

/** So many that a page of them all is collected in many steps. */
function planCrowd(random: SimRandom, keys: readonly string[]): string[] {
  const count = 600 + random.below(600);
  return Array.from({ length: count }, (_, index) => `${random.pick(keys)}~${index}`);
}

/** The options of one life; what a store was made with it need not be opened with. */
export function planOptions(random: SimRandom, { segmentDir }: SeedPlan): StoreOptionsInput {
  const isScheduled = random.chance(0.3);
  return {
    dataDir,
    segmentDir,
    liftFloors: true,
    segmentBytesMax: segmentBytesMax(random),
    durability: random.pick(["sync", "buffered"]),
    flushIntervalMs: random.pick([1, 10, 100, 1000]),
    inFlightBytesMax: random.pick([1, 400, 2 * KiB, 64 * KiB * KiB]),
    cacheBytesMax: random.pick([0, 300, 4 * KiB, 4 * KiB * KiB]),
    openFilesMax: random.pick([1, 3, 512, 512]),
    diskReserveBytes: random.chance(0.15) ? 64 * KiB : 0,
    recovery: random.chance(0.2) ? "strict" : "degraded",
    compaction: isScheduled ? "scheduled" : "manual",
    compactionIntervalMs: random.pick([50, 400, 5 * 3_600_000]),
    compactionWindow: random.chance(0.1) ? "22-6" : "",
    compactionDeadPercent: random.pick([10, 31, 90]),
    compactionBytesPerSecondMax: random.pick([64 * KiB, 64 * KiB * KiB]),
    watchRetentionMs: random.pick([0, 0, 100, 600_000]),
    trustClock: random.chance(0.3),
  };
}

/** A segment for every record costs ten times as much as one for twenty, and finds little more. */
function segmentBytesMax(random: SimRandom): number {
  return random.chance(0.05) ? 130 : random.pick([300, 700, 700, 2 * KiB, 2 * KiB, 8 * KiB]);
}

/** The options of the last life, in which all goes well, and something can be compacted. */
export function planLastOptions(random: SimRandom, plan: SeedPlan): StoreOptionsInput {
  return {
    ...planOptions(random, plan),
    segmentBytesMax: random.pick([300, 700, 2 * KiB]),
    diskReserveBytes: 0,
    watchRetentionMs: random.pick([0, 100]),
  };
}

/** What goes wrong in one life. */
export interface LifePlan {
  readonly clients: number;
  /** The last one: nothing goes wrong in it, and it ends well. */
  readonly isLast: boolean;
  readonly crash: { readonly at: number; readonly moment: CrashMoment } | undefined;
  readonly faults: readonly DiskFault[];
  /** The store is closed while its clients are at work. */
  readonly closesEarly: boolean;
  /** The wall clock is set forth and back, or stands still. */
  readonly clockIsWrong: boolean;
  /** The disk has so many bytes for this life; undefined: enough. */
  readonly roomBytes: number | undefined;
  readonly slowReadMs: number;
  readonly hasPolicy: boolean;
  readonly hasPacer: boolean;
  /** Staging files of uploads go bad before they are copied. */
  readonly spoilsStaging: boolean;
  /** Some read snapshots so slowly that several compactions end meanwhile. */
  readonly lingerers: number;
  /** Somebody else tries to open what is open. */
  readonly isOpenedTwice: boolean;
  /** Hints go bad while the store is open: a second fault, so not where a bit is flipped. */
  readonly spoilsHints: boolean;
  readonly checkpointKeysMin: number;
}

/** Operations of one kind that fail, from the `at`th on, so many of them. */
export interface DiskFault {
  readonly ops: readonly FileOperation[];
  /** Only of files whose names end like that; undefined: of all. */
  readonly files: string | undefined;
  readonly at: number;
  readonly count: number;
  readonly code: string;
  /** It happens to the opening as well. */
  readonly hitsOpening: boolean;
}

const faultKinds: readonly {
  readonly ops: readonly FileOperation[];
  readonly files?: string;
  readonly codes: readonly string[];
}[] = [
  // What the store stands on is a small part of all that is written.
  { ops: ["write"], files: ".seg", codes: ["EIO", "ENOSPC", "EDQUOT"] },
  { ops: ["syncData"], files: "/MANIFEST.tmp", codes: ["EIO"] },
  { ops: ["write"], codes: ["EIO", "ENOSPC", "EDQUOT"] },
  { ops: ["syncData"], codes: ["EIO", "ENOSPC"] },
  { ops: ["syncDirectory"], codes: ["EIO"] },
  { ops: ["create", "open"], codes: ["EMFILE", "EIO", "ENFILE"] },
  { ops: ["create"], codes: ["ENOSPC", "EIO"] },
  { ops: ["rename", "remove", "link"], codes: ["EIO", "ENOSPC"] },
  { ops: ["truncate"], codes: ["EIO"] },
  { ops: ["read"], codes: ["EIO"] },
  { ops: ["size", "list", "freeBytes"], codes: ["EIO"] },
];

export function planLife(random: SimRandom, isLast: boolean): LifePlan {
  const moments = ["crash-before", "crash-midway", "crash-after"] as const;
  const isFaulty = !isLast && random.chance(0.4);
  const crashes = !isLast && random.chance(0.6);
  return {
    clients: 3 + random.below(6),
    isLast,
    crash: crashes
      ? { at: random.below(random.chance(0.2) ? 25 : 500), moment: random.pick(moments) }
      : undefined,
    faults: isFaulty ? Array.from({ length: 1 + random.below(3) }, () => planFault(random)) : [],
    closesEarly: !isLast && random.chance(0.15),
    clockIsWrong: random.chance(0.4),
    roomBytes: !isLast && random.chance(0.15) ? 500 + random.below(12_000) : undefined,
    slowReadMs: random.chance(0.2) ? 3 : 0,
    hasPolicy: random.chance(0.5),
    hasPacer: random.chance(0.3),
    spoilsStaging: random.chance(0.15),
    // The last life is to come to a compaction.
    lingerers: random.chance(0.3) && !isLast ? 2 : 0,
    isOpenedTwice: random.chance(0.1),
    spoilsHints: random.chance(0.3),
    checkpointKeysMin: random.chance(0.7) ? 0 : 4096,
  };
}

function planFault(random: SimRandom): DiskFault {
  const { ops, files, codes } = random.pick(faultKinds);
  return {
    ops,
    files,
    at: random.below(files === undefined ? 120 : 30),
    count: random.chance(0.7) ? 1 : 1 + random.below(20),
    code: random.pick(codes),
    // What the disk cannot read when a store is opened is damage.
    hitsOpening: !ops.includes("read") && random.chance(0.15),
  };
}

/** The retention window, which a disk that is short, or refuses for want of space, does away with. */
export function windowMsOf({ roomBytes, faults }: LifePlan, options: StoreOptionsInput): number {
  const mayBeShort =
    roomBytes !== undefined ||
    options.diskReserveBytes !== 0 ||
    faults.some(({ code }) => code === "ENOSPC" || code === "EDQUOT");
  return mayBeShort ? 0 : (options.watchRetentionMs ?? 0);
}

/** What the hook of a life is told of it. */
export interface HookState {
  /** The store is open and judged. */
  readonly isOpen: () => boolean;
  readonly onFault: (fault: DiskFault, operation: OperationFacts) => void;
}

/** The hook that has happen what is planned. */
export function hookOf({ crash, faults }: LifePlan, { isOpen, onFault }: HookState): SimHook {
  let changes = 0;
  const met = faults.map(() => 0);
  return (operation): SimVerdict => {
    const { op, path } = operation;
    if (crash !== undefined && isMutating(op)) {
      changes += 1;
      if (changes > crash.at) return crash.moment;
    }
    for (const [index, fault] of faults.entries()) {
      if (!fault.ops.includes(op) || (!fault.hitsOpening && !isOpen())) continue;
      if (fault.files !== undefined && !path.endsWith(fault.files)) continue;
      const number = met[index] ?? 0;
      met[index] = number + 1;
      if (number < fault.at || number >= fault.at + fault.count) continue;
      onFault(fault, operation);
      return { code: fault.code, done: "part" };
    }
    return undefined;
  };
}
