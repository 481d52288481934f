/**
 * What is asked whether a tree is broken: the instruments of the lab, cheapest first,
 * and the suite as the last resort.
 *
 * Each answers for the tree with the plant. What it says is believed only if it does not
 * say the same of the tree without it.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { repositoryRoot } from "../../support/paths.js";
import type { Instrument } from "../instrument.js";
import type { Plant } from "./patches.js";
import type { ProbeResult } from "./probe.js";
import { type NodeRun, runNode } from "./scratch.js";

/** What was seen of a tree. */
export interface Sighting {
  readonly text: string;
  /** Of an instrument: the run that shows it again; undefined: it fell short as a whole. */
  readonly seed?: number;
  /** Of the suite: the files that were run. */
  readonly tests?: readonly string[];
}

/** What can be asked of a tree. */
export interface Detector {
  /** An instrument's name, or "suite". */
  readonly name: string;
  /** What it sees in a tree; undefined: nothing; "refused": the machine lacks what it needs. */
  look(tree: string): Promise<Sighting | "refused" | undefined>;
  /** Whether it sees the same in another tree. */
  seesAgain(tree: string, sighting: Sighting): Promise<boolean>;
}

/** The instruments, those first that say soonest what they see. */
export const order: readonly string[] = [
  "simulate",
  "rot",
  "sweep",
  "linearize",
  "kill",
  "syscalls",
  "fuzz",
];
/** No run of an instrument is begun after this. */
const instrumentSeconds = 60;
/** Runs are of the seeds that CI has. */
const firstSeed = 1;

/** Files of the suite that are run at once. */
const batchFiles = 4;
/** Where the suite looks for what is wrong with a part of src, beside the folder of the same name. */
const lastRooms = ["test/crash", "test/storage", "test/engine", "test/host", "test/service"];
const lastOfAll = ["test/embedded", "test/e2e", "test/cli"];

/**
 * All there is, in the order in which it is asked about a plant: what is known to catch it
 * first, then what can find a break of one of its properties; the suite never before an
 * instrument.
 */
export function detectorsFor(plant: Plant, instruments: readonly Instrument[]): Detector[] {
  const [expected, ...tests] = plant.caughtBy?.split(/\s+/) ?? [];
  const rankOf = ({ name, properties }: Instrument): number => {
    if (name === expected) return -1;
    const isAble = properties.some((id) => plant.properties.includes(id));
    return order.indexOf(name) + (isAble ? 0 : order.length);
  };
  const known = instruments
    .filter(({ name }) => order.includes(name))
    .sort((one, other) => rankOf(one) - rankOf(other));
  return [...known.map(instrumentDetector), suiteDetector([...tests, ...roomsOf(plant)])];
}

/** An instrument of the lab, with its runs of CI. */
export function instrumentDetector({ name, runs }: Instrument): Detector {
  const probe = async (tree: string, seed: number, count: number): Promise<ProbeResult> => {
    const path = join("dist", "test", "lab", "plant", "probe.js");
    const words = [path, name, seed, count, instrumentSeconds].map(String);
    const run = await runNode(tree, words);
    const result = run.code === 0 ? run.output.trimEnd().split("\n").at(-1) : undefined;
    if (result === undefined) throw new Error(`${name} could not be asked:\n${run.output}`);
    return JSON.parse(result) as ProbeResult;
  };
  return {
    name,
    look: async (tree) => {
      const { refused, finding, shortcoming } = await probe(tree, firstSeed, runs.ci);
      if (refused !== undefined) return "refused";
      if (finding !== undefined) return { text: finding.text, seed: finding.seed };
      return shortcoming === undefined ? undefined : { text: `not enough: ${shortcoming}` };
    },
    seesAgain: async (tree, { seed }) => {
      const again =
        seed === undefined ? await probe(tree, firstSeed, runs.ci) : await probe(tree, seed, 1);
      return again.finding !== undefined || again.shortcoming !== undefined;
    },
  };
}

/** The suite: files or folders of it, a few files at a time until some fail. */
export function suiteDetector(places: readonly string[]): Detector {
  const run = (tree: string, tests: readonly string[]): Promise<NodeRun> =>
    runNode(tree, [join("dist", "test", "support", "run.js"), ...tests]);
  return {
    name: "suite",
    look: async (tree) => {
      const files = [...new Set(places.flatMap((place) => testsBelow(tree, place)))];
      for (let from = 0; from < files.length; from += batchFiles) {
        const tests = files.slice(from, from + batchFiles);
        const { code, output } = await run(tree, tests);
        if (code !== 0) return { text: firstFailure(output), tests };
      }
      return undefined;
    },
    seesAgain: async (tree, { tests = [] }) => (await run(tree, tests)).code !== 0,
  };
}

/** The folders of the suite that are about what a plant changes, nearest first. */
function roomsOf({ files }: Plant): string[] {
  const own = files.flatMap((file) => {
    const parts = dirname(file).split("/").slice(1);
    return parts.map((_, index) => join("test", ...parts.slice(0, parts.length - index)));
  });
  const rooms = [...own, ...lastRooms, ...lastOfAll];
  return rooms.filter((room) => existsSync(join(repositoryRoot, room)));
}

/** The tests at a place of the suite: a file, or all of a folder. */
function testsBelow(tree: string, place: string): string[] {
  if (place.endsWith(".ts")) return [place];
  return readdirSync(join(tree, place), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
    .map((name) => join(place, name));
}

/** The name of a test that failed, from what the runner printed. */
function firstFailure(output: string): string {
  const failed = /^\s*✖ (.+?)(?: \([\d.]+ms\))?$/m.exec(output)?.[1];
  return failed ?? output.trimEnd().split("\n").slice(-5).join("\n");
}
