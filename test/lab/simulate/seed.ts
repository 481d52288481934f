/** What the lives of one seed have in common, and what is counted of them. */
import type { Ask } from "./call.js";
import type { DiskWatch } from "./disk-watch.js";
import type { LogTruth } from "./log-truth.js";
import type { SeedPlan } from "./plan.js";
import type { RottenRecord } from "./rot.js";
import type { Watching } from "./watching.js";
import type { World } from "./world.js";

/** What a seed counts. */
export interface Counts {
  operations: number;
  reads: number;
  crashes: number;
  kills: number;
  closes: number;
  openings: number;
  compactions: number;
  segmentsRemoved: number;
  diskFaults: number;
  clockJumps: number;
  bitFlips: number;
  /** Tombstones whose bytes were hit. */
  tombstonesRotten: number;
  latches: number;
  /** Requests that were known by their ids. */
  repeats: number;
  /** Changes that somebody who watched was told. */
  watched: number;
  /** Uploads that were begun. */
  uploads: number;
}

/** What a life has in common with the others of its seed. */
export interface Seed {
  readonly world: World;
  readonly diskWatch: DiskWatch;
  readonly plan: SeedPlan;
  readonly counts: Counts;
  readonly keys: readonly string[];
  /** Keys that are written once, in few batches; see plan.ts. */
  readonly crowd: readonly string[];
  /** Keys whose values are numbers, most of the time. */
  readonly numbers: readonly string[];
  /** Requests with an id, to be repeated. */
  readonly asked: Ask[];
  /** What the log must tell. */
  readonly truth: LogTruth;
  /** Who watches, in every life. */
  readonly watchings: readonly Watching[];
  hasCrowd: boolean;
  /** Of every value that was ever asked to be written, its key. */
  readonly values: Map<string, string>;
  /** A bit was flipped on the disk. */
  hasRot: boolean;
  /** Records that it damaged. */
  rotten: readonly RottenRecord[];
  /** The disk refused to read: the store may call damaged what is not. */
  hasRefusedReads: boolean;
}

/** Nothing was done yet. */
export function noCounts(): Counts {
  return {
    operations: 0,
    reads: 0,
    crashes: 0,
    kills: 0,
    closes: 0,
    openings: 0,
    compactions: 0,
    segmentsRemoved: 0,
    diskFaults: 0,
    clockJumps: 0,
    bitFlips: 0,
    tombstonesRotten: 0,
    latches: 0,
    repeats: 0,
    watched: 0,
    uploads: 0,
  };
}
