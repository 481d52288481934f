/**
 * A recorded life, played call by call, and what a power cut may leave at each point,
 * judged by what had been told until then.
 *
 * A point comes after everything that changes what may be left, or what must be: a
 * change, a sync that has returned, an acknowledgement that has been written.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { SimRandom } from "../../support/sim-random.js";
import type { TracedCall } from "../../support/syscall-trace.js";
import { type CrashState, seededState, smallStates, unitsOf } from "./crash-states.js";
import { digestOf, requireSameFiles, writeDisk } from "./disk-files.js";
import { isTelling } from "./fault-points.js";
import { judgeRemains } from "./judge.js";
import { eventsOf, ReplayedDisk } from "./replayed-disk.js";
import type { Scene, SceneRun, Stage } from "./scene.js";
import { type Line, Listener, linesOf, oracleOf } from "./transcript.js";

/** How many states are judged at once: who waits for the disk leaves the processor to another. */
const atOnce = 4;
/** One state in so many is compacted and opened again, too. */
const thoroughRarity = 4;

/** How many states there are at a point. */
export interface ReplayExtent {
  /** Every small choice at one point in so many, from the `offset`-th on; 0: at none. */
  readonly stride: number;
  readonly offset: number;
  /** States by the seed: at one point in so many, each. */
  readonly rarity: number;
  readonly random: SimRandom;
  /** Ends with so many findings. */
  readonly findingsMax: number;
  /** Where the files are that the run has just left: they are held against the replay. */
  readonly filesPath?: string;
}

/** What a replay did. */
export interface ReplayOutcome {
  readonly calls: number;
  readonly points: number;
  readonly states: number;
  /** States that had been judged before, under the same knowledge. */
  readonly repeated: number;
  readonly findings: readonly string[];
}

/** Plays a run that was recorded. Throws where the replay is not what happened. */
export async function replay(
  stage: Stage,
  scene: Scene,
  run: SceneRun,
  extent: ReplayExtent,
): Promise<ReplayOutcome> {
  return await new Replay(stage, scene, run, extent).play();
}

class Replay {
  readonly #stage: Stage;
  readonly #scene: Scene;
  readonly #run: SceneRun;
  readonly #extent: ReplayExtent;
  readonly #replayed: ReplayedDisk;
  readonly #listener = new Listener();
  readonly #heard: Line[] = [];
  readonly #free = Array.from({ length: atOnce }, (_, slot) => slot);
  readonly #judging = new Set<Promise<void>>();
  readonly #seen = new Set<string>();
  readonly #findings: string[] = [];
  #told = "";
  #points = 0;
  #states = 0;
  #repeated = 0;

  constructor(stage: Stage, scene: Scene, run: SceneRun, extent: ReplayExtent) {
    this.#stage = stage;
    this.#scene = scene;
    this.#run = run;
    this.#extent = extent;
    this.#replayed = new ReplayedDisk(stage.rootPath, scene.baseDisk ?? scene.basePath);
  }

  async play(): Promise<ReplayOutcome> {
    for (const line of this.#scene.baseLines) this.#hear(line);
    const events = eventsOf(this.#run);
    for (const { isEnd, call } of events) {
      const hasChanged = isEnd ? this.#end(call) : this.#replayed.begin(call);
      if (hasChanged) await this.#visit(`${isEnd ? "after" : "in"} ${placeOf(call)}`);
      if (this.#findings.length >= this.#extent.findingsMax) break;
    }
    await Promise.all(this.#judging);
    const { filesPath } = this.#extent;
    const isWhole = this.#findings.length === 0;
    if (isWhole && filesPath !== undefined) requireSameFiles(this.#replayed.disk, filesPath);
    return {
      calls: events.filter(({ isEnd }) => !isEnd).length,
      points: this.#points,
      states: this.#states,
      repeated: this.#repeated,
      findings: this.#findings,
    };
  }

  /** What is written to a listener has been told once the write has returned. */
  #end(call: TracedCall): boolean {
    if (!isTelling(call)) return this.#replayed.end(call);
    const acknowledged = this.#listener.acknowledged;
    const text = this.#told + Buffer.from(call.text ?? "", "latin1").subarray(0, call.result);
    this.#told = text.slice(text.lastIndexOf("\n") + 1);
    for (const line of linesOf(text)) this.#hear(line);
    return this.#listener.acknowledged > acknowledged;
  }

  #hear(line: Line): void {
    this.#listener.hear(line);
    this.#heard.push(line);
  }

  async #visit(at: string): Promise<void> {
    const { stride, offset, rarity, random } = this.#extent;
    const { disk } = this.#replayed;
    this.#points += 1;
    if (stride > 0 && this.#points % stride === offset % stride) {
      for (const state of smallStates(disk)) await this.#try(state, at);
    }
    if (random.below(rarity) === 0 && unitsOf(disk).length > 0) {
      await this.#try(seededState(disk, random), at);
    }
  }

  async #try({ disk, how }: CrashState, at: string): Promise<void> {
    const key = `${digestOf(disk)} ${this.#listener.acknowledged}`;
    if (this.#seen.has(key)) {
      this.#repeated += 1;
      return;
    }
    this.#seen.add(key);
    this.#states += 1;
    while (this.#free.length === 0) await Promise.race(this.#judging);
    const slot = this.#free.pop() ?? 0;
    const root = this.#stage.folder(`crashed-${slot}`);
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root);
    writeDisk(disk, root);
    const where = `life ${this.#scene.life}, power cut ${at}, ${how}`;
    const { random } = this.#extent;
    const nowMs = this.#scene.endMs + random.pick([0, 10_000]);
    const isThorough = random.below(thoroughRarity) === 0;
    const oracle = oracleOf(this.#heard);
    const dataDir = join(root, "store");
    const judging = judgeRemains({ dataDir, oracle, nowMs, isThorough, where })
      .catch((error: unknown) => void this.#findings.push(textOf(where, error)))
      .finally(() => {
        this.#judging.delete(judging);
        this.#free.push(slot);
      });
    this.#judging.add(judging);
  }
}

function textOf(where: string, error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.includes(where) ? text : `${where}\n${text}`;
}

function placeOf(call: TracedCall): string {
  return `${call.call} of ${call.path?.split("/").at(-1)} (line ${call.started})`;
}
