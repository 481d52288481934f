/**
 * A copy of the repository in which plants grow: its sources and its build, without
 * its history, with the same node_modules.
 *
 *     copy -> apply a plant -> build -> ... -> take it back, apply the next -> build
 *
 * At most one plant is in it.
 */
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { repositoryRoot } from "../../support/paths.js";
import type { Plant } from "./patches.js";

/** Folders and files of the repository's root that a build and the tests need. */
const copied = ["bench", "dist", "examples", "gen", "package.json", "proto", "src", "test"];
const copiedBesides = ["docs", "README.md", "CHANGELOG.md", "LICENSE", "tsconfig.json"];

/** The plant cannot be planted: it does not apply, or what comes of it does not compile. */
export class PlantDead extends Error {
  override readonly name = "PlantDead";
}

/** A copy of the repository. */
export class Scratch {
  readonly path: string;
  #planted: Plant | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  /** Copies the repository as it is now. */
  static make(): Scratch {
    const path = mkdtempSync(join(tmpdir(), "kvix-plant-"));
    for (const name of [...copied, ...copiedBesides]) {
      cpSync(join(repositoryRoot, name), join(path, name), {
        recursive: true,
        preserveTimestamps: true,
        filter: (source) => !relative(repositoryRoot, source).split(sep).includes("node_modules"),
      });
    }
    symlinkSync(join(repositoryRoot, "node_modules"), join(path, "node_modules"));
    return new Scratch(path);
  }

  /** Puts a plant in the place of the one before, and builds. Throws PlantDead. */
  async plant(plant: Plant): Promise<void> {
    const before = this.#planted;
    this.#planted = undefined;
    if (before !== undefined) applyPatch(before, this.path, "--reverse");
    applyPatch(plant, this.path);
    this.#planted = plant;
    const build = [join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"];
    const { code, output } = await runNode(this.path, build);
    if (code !== 0) throw new PlantDead(`plant ${plant.name} does not compile:\n${output}`);
  }

  /** Takes the copy away. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Applies a plant to the tree at `root`, or, with `--check`, only asks. Throws PlantDead. */
export function applyPatch(plant: Plant, root: string, ...options: readonly string[]): void {
  const { status, stderr, error } = spawnSync("git", ["apply", ...options, plant.path], {
    cwd: root,
    encoding: "utf8",
    // In a folder inside of another repository git would leave files outside of it alone.
    env: { ...process.env, GIT_CEILING_DIRECTORIES: dirname(root) },
  });
  if (error !== undefined) throw error;
  if (status === 0) return;
  throw new PlantDead(
    `plant ${plant.name} does not apply any more: plant it anew in what ` +
      `${plant.files.join(", ")} has become\n${stderr}`,
  );
}

/** What a process ended with, and what it printed. */
export interface NodeRun {
  /** NaN: it was ended, after `secondsMax`. */
  readonly code: number;
  readonly output: string;
}

/** Runs Node in a folder. */
export function runNode(
  folder: string,
  args: readonly string[],
  secondsMax = 600,
): Promise<NodeRun> {
  // A group of its own, so that what it has started ends with it.
  const child = spawn(process.execPath, [...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  let wasEnded = false;
  const timer = setTimeout(() => {
    wasEnded = true;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  }, secondsMax * 1000);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: wasEnded ? Number.NaN : (code ?? -1), output });
    });
  });
}
