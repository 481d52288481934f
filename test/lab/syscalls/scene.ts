/**
 * Where a life begins: the directory that the lives before have left, and what they were
 * told. Scenes are made once; each run has a copy.
 *
 *     (nothing) --fresh--> closed --later-->
 *                          closed --unclosed--> torn --mend-->
 */
import { appendFileSync, cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type LifeName, lifeNamed, passedMs } from "./life.js";
import { runSubject, type SubjectRun, type Treatment } from "./subject.js";
import type { Line } from "./transcript.js";

/** The wall clock at the first beginning: any time. */
const beginMs = Date.UTC(2026, 0, 1);
/** What the wall clock has gone on by when the next life begins. */
const lifeMs = 60_000;

/** A life in its place. */
export interface Scene {
  readonly life: string;
  /** What is there when it begins; undefined: nothing. */
  readonly basePath: string | undefined;
  /** What was told in the lives before. */
  readonly baseLines: readonly Line[];
  readonly wallMs: number;
  /** The wall clock when it has ended: what had expired by then may be gone from the disk. */
  readonly endMs: number;
}

/** How a life went: its own lines, and those before. */
export type SceneRun = SubjectRun & {
  readonly allLines: readonly Line[];
  readonly dataDir: string;
};

/** A folder in which lives are lived, one at a time. */
export class Stage {
  readonly #path: string;
  readonly #scenes = new Map<LifeName, Scene>();

  constructor(path: string) {
    this.#path = path;
    mkdirSync(path, { recursive: true });
  }

  /** The folder that holds the data directory, and nothing else. */
  get rootPath(): string {
    return join(this.#path, "root");
  }

  get dataDir(): string {
    return join(this.rootPath, "store");
  }

  /** Room for others. */
  folder(name: string): string {
    return join(this.#path, name);
  }

  /** The scene of a life; made when it is first asked for. */
  async scene(life: LifeName): Promise<Scene> {
    const known = this.#scenes.get(life);
    if (known !== undefined) return known;
    const scene = await this.#make(life);
    this.#scenes.set(life, scene);
    return scene;
  }

  /** The scene of a life that a seed gives: nothing was before it. */
  sceneOf(seed: number): Scene {
    return newStore(String(seed));
  }

  async #make(life: LifeName): Promise<Scene> {
    switch (life) {
      case "fresh":
        return newStore(life);
      case "later":
      case "unclosed":
        return await this.#after(life, "fresh");
      case "mend": {
        const scene = await this.#after(life, "unclosed");
        tear(scene.basePath ?? "");
        return scene;
      }
    }
  }

  /** Over what another life leaves that nothing befalls. */
  async #after(life: LifeName, before: LifeName): Promise<Scene> {
    const scene = await this.scene(before);
    const run = await this.run(scene, { kind: "nothing" });
    if (run.exitCode !== 0) throw new Error(`the life ${before} failed: ${run.stderr}`);
    const basePath = this.folder(`before-${life}`);
    cpSync(this.rootPath, basePath, { recursive: true });
    const wallMs = scene.wallMs + lifeMs;
    const endMs = wallMs + passedMs(lifeNamed(life));
    return { life, basePath, baseLines: run.allLines, wallMs, endMs };
  }

  /** Lives the life of a scene on a copy of what was before it. */
  async run(scene: Scene, treatment: Treatment): Promise<SceneRun> {
    rmSync(this.rootPath, { recursive: true, force: true });
    if (scene.basePath === undefined) mkdirSync(this.rootPath);
    else cpSync(scene.basePath, this.rootPath, { recursive: true });
    const { life, wallMs, baseLines } = scene;
    const first = baseLines.filter(({ at }) => at === "ask").length;
    const { dataDir } = this;
    const options = { dataDir, life, wallMs, first, logPath: this.folder("strace") };
    const run = await runSubject(options, treatment);
    return { ...run, allLines: [...baseLines, ...run.lines], dataDir };
  }

  close(): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}

function newStore(life: string): Scene {
  const endMs = beginMs + passedMs(lifeNamed(life));
  return { life, basePath: undefined, baseLines: [], wallMs: beginMs, endMs };
}

/** A write that never came to its end: some bytes that are no frame behind the newest segment. */
function tear(basePath: string): void {
  const segments = join(basePath, "store", "segments");
  const newest = readdirSync(segments)
    .filter((name) => name.endsWith(".seg"))
    .sort((one, other) => Number(timestampOf(one) - timestampOf(other)))
    .at(-1);
  if (newest === undefined) throw new Error("there is no segment to tear");
  appendFileSync(join(segments, newest), Buffer.alloc(70, 0x5a));
}

function timestampOf(name: string): bigint {
  return BigInt(name.slice(name.lastIndexOf("_") + 1, -".seg".length));
}
