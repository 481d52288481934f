/**
 * compaction-zipfian and compaction-uniform: what compaction writes beside the user's
 * writes, at what it leaves on the disk. The policy of the store runs over a modelled
 * store of more than 128 segments (compaction-model.ts), which is loaded and then
 * overwritten twelve times; the first two do not count. One write in a hundred is a
 * delete.
 *
 * Write amplification: all bytes written, hints, tombstones and outputs of compactions
 * included, by the bytes of the frames that the user's calls appended. Space
 * amplification: bytes of all segments and hints by bytes of live records, averaged
 * over time. Each is bought with the other, so a run whose space amplification is
 * above its limit has no result.
 */

import { type StoreOption, storeOptionTable } from "../src/engine/options.js";
import { FRAME_HEADER_BYTES } from "../src/format/frame.js";
import { recordBytes, tombstoneBytes } from "../src/format/record.js";
import type { BenchResult } from "./bench-result.js";
import { CompactionModel, type ModelFigures } from "./compaction-model.js";
import { keyBytes, sizeFrom } from "./index-keys.js";
import { KeyChoice, type KeyDistribution } from "./key-choice.js";
import { textChart } from "./text-chart.js";

const valueBytes = 1024;
/** How many full segments the live records would fill: with the dead ones there are more. */
const fullSegments = 128;
const overwrites = 10;
const warmUpOverwrites = 2;
const deleteShare = 0.01;
/** How often compaction looks whether it is due, and the disk is measured, while a segment fills. */
const looksPerSegment = 16;
/** Points of the charts for each overwrite of the data set. */
const pointsPerOverwrite = 5;
/** One entry of a hint beside its key; see src/format/hint-layout.ts. */
const hintColumnsBytes = 23;

/** What is asked of one distribution. */
interface Workload {
  readonly distribution: KeyDistribution;
  readonly deadPercent: number;
  readonly spaceAmplificationMax: number;
}

const workloads = {
  "compaction-zipfian": {
    distribution: "zipfian",
    deadPercent: defaultOf(storeOptionTable.compactionDeadPercent),
    spaceAmplificationMax: 1.5,
  },
  "compaction-uniform": {
    distribution: "uniform",
    deadPercent: 35.4,
    spaceAmplificationMax: 1.6,
  },
} satisfies Record<string, Workload>;

/** One life of a store, without its warm-up. */
interface Life {
  readonly writeAmplification: number;
  readonly spaceAmplification: number;
  readonly spaceAmplificationMax: number;
  readonly segments: number;
  /** What the output and hint of a step took, at most, in full segments. */
  readonly stepSegmentsMax: number;
  readonly writeSeries: readonly number[];
  readonly spaceSeries: readonly number[];
}

/** Overwrites KVIX_BENCH_KEYS keys, in KVIX_BENCH_ROUNDS lives with a seed each. */
export async function run(name: keyof typeof workloads): Promise<BenchResult> {
  const workload: Workload = workloads[name];
  const keys = sizeFrom("KVIX_BENCH_KEYS", 400_000);
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 3);
  const lives = Array.from({ length: rounds }, (_, round) => live(workload, keys, round + 1)).sort(
    (one, other) => one.writeAmplification - other.writeAmplification,
  );
  const median = lives[Math.floor((rounds - 1) / 2)]!;
  const spaceAmplification = Math.max(...lives.map((each) => each.spaceAmplification));
  if (spaceAmplification > workload.spaceAmplificationMax) {
    throw new Error(
      `space amplification is ${spaceAmplification}: write amplification says little`,
    );
  }
  console.log(textChart("write amplification over time", median.writeSeries, 1));
  console.log(textChart("space amplification over time", median.spaceSeries, 1));
  return {
    name,
    ours: median.writeAmplification,
    theirs: null,
    ratio: median.writeAmplification,
    spread: [lives[0]!.writeAmplification, lives[rounds - 1]!.writeAmplification],
    unit: "bytes written a byte",
    detail: {
      spaceAmplification,
      spaceAmplificationAtMost: workload.spaceAmplificationMax,
      worstMoment: Math.max(...lives.map((each) => each.spaceAmplificationMax)),
      keys,
      valueBytes,
      overwrites,
      segments: median.segments,
      stepSegmentsMax: median.stepSegmentsMax,
      deadPercent: workload.deadPercent,
      deleteShare,
      rounds,
      writeSeries: median.writeSeries,
      spaceSeries: median.spaceSeries,
    },
  };
}

function live({ distribution, deadPercent }: Workload, keys: number, seed: number): Life {
  const choice = new KeyChoice(distribution, keys, seed);
  // Sizes that a version between 2^21 and 2^28 gives, and a time of today.
  const version = 2 ** 21;
  const timeMs = 1_700_000_000_001;
  const frameBytes = FRAME_HEADER_BYTES + recordBytes(keyBytes, valueBytes, version, timeMs, 0);
  const segmentBytesMax = Math.round((keys * frameBytes) / fullSegments);
  const model = new CompactionModel({
    keys,
    segmentBytesMax,
    recordBytes: frameBytes,
    tombstoneBytes: FRAME_HEADER_BYTES + tombstoneBytes(keyBytes, version, timeMs),
    hintEntryBytes: hintColumnsBytes + keyBytes,
    deadPercent,
    retainedBytes: segmentBytesMax,
  });
  for (const key of choice.shuffled) model.set(key);
  const look = Math.max(1, Math.floor(segmentBytesMax / frameBytes / looksPerSegment));
  let course: Course | undefined;
  for (let write = 0; write < (warmUpOverwrites + overwrites) * keys; write++) {
    if (write === warmUpOverwrites * keys) {
      course = new Course(model.figures(), (keys * frameBytes) / pointsPerOverwrite);
    }
    const key = choice.next();
    if (choice.random.chance(deleteShare)) model.delete(key);
    else model.set(key);
    if (write % look !== 0) continue;
    model.compact("due");
    course?.look(model.figures());
  }
  if (course === undefined) throw new Error("the warm-up has no end");
  return course.life(segmentBytesMax);
}

/** Follows the figures of a model. */
class Course {
  readonly #start: ModelFigures;
  readonly #pointBytes: number;
  readonly #writeSeries: number[] = [];
  readonly #spaceSeries: number[] = [];
  #last: ModelFigures;
  #pointStart: ModelFigures;
  #pointSpace: number[] = [];
  #spaceSum = 0;
  #spaceMax = 0;
  #segments = 0;
  #looks = 0;

  /** A point of the charts stands for `pointBytes` appended. */
  constructor(start: ModelFigures, pointBytes: number) {
    this.#start = start;
    this.#last = start;
    this.#pointStart = start;
    this.#pointBytes = pointBytes;
  }

  look(figures: ModelFigures): void {
    const space = figures.diskBytes / figures.liveBytes;
    this.#spaceSum += space;
    this.#spaceMax = Math.max(this.#spaceMax, space);
    this.#segments += figures.segments;
    this.#looks += 1;
    this.#last = figures;
    this.#pointSpace.push(space);
    if (figures.appendedBytes - this.#pointStart.appendedBytes < this.#pointBytes) return;
    this.#writeSeries.push(round(writeAmplification(this.#pointStart, figures)));
    this.#spaceSeries.push(
      round(this.#pointSpace.reduce((sum, each) => sum + each, 0) / this.#pointSpace.length),
    );
    this.#pointStart = figures;
    this.#pointSpace = [];
  }

  life(segmentBytesMax: number): Life {
    return {
      writeAmplification: round(writeAmplification(this.#start, this.#last)),
      spaceAmplification: round(this.#spaceSum / this.#looks),
      spaceAmplificationMax: round(this.#spaceMax),
      segments: Math.round(this.#segments / this.#looks),
      stepSegmentsMax: round(this.#last.stepBytesMax / segmentBytesMax),
      writeSeries: this.#writeSeries,
      spaceSeries: this.#spaceSeries,
    };
  }
}

function writeAmplification(from: ModelFigures, to: ModelFigures): number {
  return (to.writtenBytes - from.writtenBytes) / (to.appendedBytes - from.appendedBytes);
}

function defaultOf(option: StoreOption): number {
  if (option.kind !== "number") throw new Error("the option is no number");
  return option.default;
}

function round(figure: number): number {
  return Math.round(figure * 1_000) / 1_000;
}
