/**
 * Where a life begins: the directory that the lives before have left, and what they were
 * told. Scenes are made once; each run has a copy.
 *
 *     (nothing) --fresh--> closed --later-->
 *                          closed --unclosed--> torn --mend-->
 */
import { appendFileSync, cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { SimDisk, SimNode } from "../../support/sim-disk.js";
import { type LifeName, lifeNamed, passedMs } from "./life.js";
import { playedDisk } from "./replayed-disk.js";
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
  /** The same as a disk, where not all of it is durable. */
  readonly baseDisk?: SimDisk;
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
      case "full":
        return newStore(life);
      case "later":
      case "unclosed":
        return await this.#after(life, "fresh");
      case "mend":
        return await this.#torn(life, "unclosed");
    }
  }

  /** Over what another life leaves that nothing befalls. */
  async #after(life: LifeName, before: LifeName): Promise<Scene> {
    return await this.#leave(life, await this.scene(before), { kind: "nothing" }, () => undefined);
  }

  /**
   * The same, where the life ended without a close: what it had not synced is in the page
   * cache, as is the beginning of a write that never came to its end.
   */
  async #torn(life: LifeName, before: LifeName): Promise<Scene> {
    const last = await this.scene(before);
    let baseDisk: SimDisk | undefined;
    const scene = await this.#leave(life, last, { kind: "record" }, (run) => {
      baseDisk = playedDisk(this.rootPath, last.basePath, run);
      tear(this.dataDir, baseDisk);
    });
    return { ...scene, ...(baseDisk === undefined ? {} : { baseDisk }) };
  }

  async #leave(
    life: LifeName,
    scene: Scene,
    treatment: Treatment,
    look: (run: SceneRun) => void,
  ): Promise<Scene> {
    const before = scene.life;
    const run = await this.run(scene, treatment);
    if (run.exitCode !== 0) throw new Error(`the life ${before} failed: ${run.stderr}`);
    look(run);
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

/** Some bytes that are no frame, behind the newest segment: in its file, and on the disk. */
function tear(dataDir: string, disk: SimDisk): void {
  const segments = join(dataDir, "segments");
  const newest = readdirSync(segments)
    .filter((name) => name.endsWith(".seg"))
    .sort((one, other) => Number(timestampOf(one) - timestampOf(other)))
    .at(-1);
  if (newest === undefined) throw new Error("there is no segment to tear");
  const bytes = Buffer.alloc(70, 0x5a);
  appendFileSync(join(segments, newest), bytes);
  let node: SimNode | undefined = disk.root;
  for (const name of ["store", "segments", newest]) {
    node = node?.kind === "directory" ? node.current.get(name) : undefined;
  }
  if (node?.kind !== "file") throw new Error(`${newest} is not on the disk`);
  disk.write(node, bytes, node.current.length, newest);
}

function timestampOf(name: string): bigint {
  return BigInt(name.slice(name.lastIndexOf("_") + 1, -".seg".length));
}
