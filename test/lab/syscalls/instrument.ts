/**
 * The instrument `syscalls`: the engine on the real machine, hit at its n-th system call,
 * and what the calls of a life may leave on a disk whose power is cut.
 *
 *     kill     SIGKILL at the entry of a call
 *     errors   what the kernel can say to a call, once or for good; files that may not grow
 *     replay   a recorded life, played to every point; power cut there
 *
 * The lives in which every call is hit are always the same. Their calls are dealt out to
 * `deals` seeds: so many seeds after each other have every call of every life. Beside
 * that each seed replays a life of its own, which may have met an error.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "../../../src/format/checksum.js";
import { SimRandom } from "../../support/sim-random.js";
import type { Instrument, LabOptions, LabRuns, RunOutcome } from "../instrument.js";
import { propertyIds } from "../properties.js";
import { type FaultPoint, faultPoints, hittableCalls, hittableNames } from "./fault-points.js";
import { runFault } from "./fault-run.js";
import type { LifeName } from "./life.js";
import { type ReplayExtent, replay } from "./replay.js";
import { type Scene, type SceneRun, Stage } from "./scene.js";
import { judgeTold } from "./transcript.js";

/** So many seeds have all calls of all lives. */
const deals = 96;
/** So many seeds have every point of the replays of those lives. */
const replayDeals = 32;
/** The lives that are hit at every call. */
const hitLives = ["fresh", "later", "full", "mend"] as const satisfies readonly LifeName[];
/** Those that are replayed: a reserve of 1 MiB would be written out with every state. */
const replayedLives = hitLives.filter((life) => life !== "full");
/** A run of one seed ends with so many findings. */
const findingsMax = 5;
/** One seed in so many replays a life that has met an error. */
const errorRarity = 2;

const parts = ["kill", "errors", "replay"] as const;
type Part = (typeof parts)[number];

/** A life to which nothing happened, and every way in which something may. */
interface Recording {
  readonly scene: Scene;
  readonly run: SceneRun;
  readonly points: readonly FaultPoint[];
}

/** Plays only. */
const noStates: ReplayExtent = {
  stride: 0,
  offset: 0,
  rarity: 2 ** 32,
  random: new SimRandom(1),
  findingsMax: 1,
};

/** What a run adds to. */
class Report {
  readonly counts: Record<string, number> = {};
  readonly findings: string[] = [];

  add(name: string, count = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + count;
  }

  get isOver(): boolean {
    return this.findings.length >= findingsMax;
  }
}

class SyscallRuns implements LabRuns {
  readonly #only: string | undefined;
  readonly #stage: Stage;
  /** How the lives that are always the same went, when nothing befell them. */
  readonly #recordings = new Map<LifeName, Recording>();

  constructor({ only }: LabOptions, stage: Stage) {
    this.#only = only;
    this.#stage = stage;
  }

  async run(seed: number): Promise<RunOutcome> {
    const report = new Report();
    for (const life of hitLives) await this.#hit(life, seed, report);
    if (this.#has("replay")) {
      for (const life of replayedLives) await this.#replayDeal(life, seed, report);
      await this.#replaySeed(seed, report);
    }
    return report;
  }

  async close(): Promise<void> {
    this.#stage.close();
  }

  /** Whether this part of the instrument was asked for. */
  #has(part: Part): boolean {
    return this.#only === undefined || this.#only === part;
  }

  /** Whether this way to be hit was asked for, by its part or by the name of the call. */
  #wants({ kind, call }: FaultPoint): boolean {
    return this.#has(kind === "kill" ? "kill" : "errors") || this.#only === call;
  }

  async #hit(life: LifeName, seed: number, report: Report): Promise<void> {
    if (this.#only === "replay") return;
    const { scene, points } = await this.#recording(life);
    for (const point of points) {
      if (!this.#wants(point) || dealOf(life, point) !== seed % deals) continue;
      try {
        const { wasMet, acknowledged, rejected } = await runFault(this.#stage, scene, point);
        report.add(wasMet ? `${nouns[point.kind]} met` : "places not met");
        report.add("writes acknowledged in lives that were hit", acknowledged);
        report.add("writes refused in lives that were hit", rejected);
      } catch (error) {
        report.findings.push(textOf(error));
      }
      if (report.isOver) return;
    }
  }

  /** Recorded when it is first asked for, and held against what the files are then. */
  async #recording(life: LifeName): Promise<Recording> {
    const known = this.#recordings.get(life);
    if (known !== undefined) return known;
    const scene = await this.#stage.scene(life);
    const run = await this.#record(scene);
    await replay(this.#stage, scene, run, { ...noStates, filesPath: this.#stage.rootPath });
    const points = faultPoints(hittableCalls(run, this.#stage.rootPath));
    const recording = { scene, run, points };
    this.#recordings.set(life, recording);
    return recording;
  }

  async #record(scene: Scene, inject?: string): Promise<SceneRun> {
    const treatment = inject === undefined ? {} : { inject };
    const run = await this.#stage.run(scene, { kind: "record", ...treatment });
    if (run.exitCode === 0) return run;
    throw new Error(`life ${scene.life}, ${inject ?? "recorded"}: it threw\n${run.stderr}`);
  }

  /** Every small choice at this seed's share of the points of a life that is always the same. */
  async #replayDeal(life: LifeName, seed: number, report: Report): Promise<void> {
    if (report.isOver) return;
    const { scene, run } = await this.#recording(life);
    const random = new SimRandom(seed);
    const extent = { stride: replayDeals, offset: seed, rarity: 8, random, findingsMax };
    await this.#replay(scene, run, report, extent);
  }

  async #replaySeed(seed: number, report: Report): Promise<void> {
    if (report.isOver) return;
    const random = new SimRandom(seed);
    const scene = this.#stage.sceneOf(seed);
    const hasError = random.below(errorRarity) === 0;
    const run = await this.#record(scene, hasError ? someError(random) : undefined);
    judgeTold(run.allLines);
    const filesPath = this.#stage.rootPath;
    const offset = random.below(8);
    const extent = { stride: 8, offset, rarity: 2, random, findingsMax, filesPath };
    await this.#replay(scene, run, report, extent);
  }

  async #replay(scene: Scene, run: SceneRun, report: Report, extent: ReplayExtent): Promise<void> {
    const outcome = await replay(this.#stage, scene, run, extent);
    report.add("calls replayed", outcome.calls);
    report.add("points of replays", outcome.points);
    report.add("crash states judged", outcome.states);
    report.findings.push(...outcome.findings);
  }
}

/** How a life that was hit is counted. */
const nouns = { kill: "kills", error: "errors", limit: "limits of file size" } as const;

/** An error that a life meets while it is recorded. */
function someError(random: SimRandom): string {
  const [call, errors] = random.pick([
    // The kernel drops what it could not write: only a power cut shows who relied on it.
    ["fdatasync", ["EIO"]],
    ["fdatasync", ["EIO"]],
    ["fsync", ["EIO"]],
    ["fsync", ["EIO"]],
    ["pwrite64", ["EIO", "ENOSPC"]],
    ["rename", ["EIO", "ENOSPC"]],
    ["unlink", ["EIO"]],
  ] as const);
  const when = 1 + random.below(40);
  return `${call}:error=${random.pick(errors as readonly string[])}:when=${when}`;
}

/** Whose turn a way to be hit is: told from its place alone, so that every process deals alike. */
function dealOf(life: LifeName, { where }: FaultPoint): number {
  return crc32(Buffer.from(`${life} ${where.replace(/ of [^ ]*\d{5}_\d+\S*/, "")}`)) % deals;
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${textOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** Where lives are lived: in memory, where a sync takes no time, if there is such a place. */
function stagePath(): string {
  const memory = "/dev/shm";
  return mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "kvix-syscalls-"));
}

/** Throws where a tool is missing. */
function requireTool(name: string, toolPackage: string): void {
  const { error, status } = spawnSync(name, ["--version"], { stdio: "ignore" });
  if (error === undefined && status === 0) return;
  throw new Error(`${name} is needed (package ${toolPackage})`);
}

export const syscallsInstrument: Instrument = {
  name: "syscalls",
  sentence:
    "The engine on real files, killed or refused at its n-th system call; and power cuts in what it called.",
  oneRun: `1/${deals} of all calls of four lives, hit in every way; and a life of the seed, replayed`,
  parts: {
    names: [...parts, ...hittableNames],
    told: `${parts.join(", ")}, or a system call such as fdatasync`,
  },
  properties: propertyIds(
    "V1 V2 V6 V8 V10 V14 V15 V16 D1 D2 D3 D4 D5 D6 R2 R7 R8 M1 M2 M3 M5 B1 B3",
  ),
  runs: { default: deals, ci: 2 },
  runSecondsMax: 1800,
  isParallel: true,
  start: (options) => {
    requireTool("strace", "strace");
    requireTool("prlimit", "util-linux");
    return new SyscallRuns(options, new Stage(stagePath()));
  },
  shortcomings: (counts) =>
    ["kills met", "errors met", "limits of file size met", "crash states judged"].flatMap((name) =>
      (counts[name] ?? 0) > 0 ? [] : [`no ${name}`],
    ),
};
