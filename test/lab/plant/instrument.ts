/**
 * The instrument that tests the others: it breaks one promise of kvix at a time, in a copy
 * of the repository, and sees which of them notices.
 *
 *     plant N -> scratch copy -> build -> ask one instrument after the other
 *       -> seen, and not seen without the plant: caught
 *       -> seen by none: a finding, for an instrument is missing
 *
 * A run is one plant: that whose number is the seed, counted from 1 and round in a
 * circle. What is known to catch a plant is asked first.
 */
import { spawnSync } from "node:child_process";
import { repositoryRoot } from "../../support/paths.js";
import type { Instrument, LabOptions, LabRuns, RunOutcome } from "../instrument.js";
import { type PropertyId, properties } from "../properties.js";
import { type Detector, detectorsFor } from "./detectors.js";
import { type Plant, readPlants, recordCatcher } from "./patches.js";
import { Scratch } from "./scratch.js";

/** Runs of CI: as many of the first plants. */
const ciPlants = 2;
const brokenIds: ReadonlySet<string> = new Set(readPlants().flatMap((plant) => plant.properties));

export const plantInstrument: Instrument = {
  name: "plant",
  sentence:
    "Breaks one promise after the other in a copy of the repository, by the patches in " +
    "test/lab/plants, and shows which instrument notices.",
  oneRun: "one plant, asked of one instrument after the other until one sees it",
  parts: { names: readPlants().map(({ name }) => name), told: "the name of a plant" },
  properties: (Object.keys(properties) as PropertyId[]).filter((id) => brokenIds.has(id)),
  runs: { default: readPlants().length, ci: ciPlants },
  runSecondsMax: 3600,
  isParallel: false,
  start: ({ only }: LabOptions) => new PlantRuns(plantsFor(only)),
};

function plantsFor(only: string | undefined): readonly Plant[] {
  if (spawnSync("git", ["--version"]).status !== 0) throw new Error("needs git, to apply patches");
  return readPlants().filter(({ name }) => only === undefined || name === only);
}

class PlantRuns implements LabRuns {
  readonly #plants: readonly Plant[];
  #scratch: Scratch | undefined;
  /** The plant of the scratch copy, which need not be asked about again. */
  #last: Plant | undefined;

  constructor(plants: readonly Plant[]) {
    this.#plants = plants;
  }

  async run(seed: number): Promise<RunOutcome> {
    const count = this.#plants.length;
    const plant = this.#plants[(seed - 1 + count) % count] as Plant;
    if (plant === this.#last) return { counts: {} };
    this.#scratch ??= Scratch.make();
    await this.#scratch.plant(plant);
    this.#last = plant;
    // The catalogue names this instrument, so it cannot be imported before it.
    const { instruments } = await import("../catalogue.js");
    const onCatch = (catcher: string): void => {
      const isNews = catcher !== "suite" && catcher !== plant.caughtBy;
      if (isNews && process.env["KVIX_WRITE_PLANTS"] === "1") recordCatcher(plant, catcher);
    };
    const detectors = detectorsFor(plant, instruments);
    return await askAbout(plant, detectors, { planted: this.#scratch.path, onCatch });
  }

  close(): Promise<void> {
    this.#scratch?.remove();
    return Promise.resolve();
  }
}

/** Where detectors look. */
export interface Trees {
  /** The tree with the plant. */
  readonly planted: string;
  /** One without; the repository itself, if none is given. */
  readonly clean?: string;
  /** Is told who caught the plant. */
  readonly onCatch?: (catcher: string) => void;
}

/** Asks until one of the detectors sees the plant. */
export async function askAbout(
  plant: Plant,
  detectors: readonly Detector[],
  { planted, clean = repositoryRoot, onCatch }: Trees,
): Promise<RunOutcome> {
  const counts: Record<string, number> = { plants: 1 };
  const count = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const findings: string[] = [];
  const refused: string[] = [];
  for (const detector of detectors) {
    const sighting = await detector.look(planted);
    if (sighting === "refused") refused.push(detector.name);
    if (sighting === undefined || sighting === "refused") continue;
    const { seed, text } = sighting;
    const where = seed === undefined ? "" : `, seed ${seed}`;
    if (await detector.seesAgain(clean, sighting)) {
      findings.push(`${detector.name}${where} sees something without a plant, too: ${text}`);
      continue;
    }
    onCatch?.(detector.name);
    count(detector.name === "suite" ? "plants only the suite caught" : "plants caught");
    count(`${plant.name} -> ${detector.name}${where}`);
    return { counts, findings };
  }
  const lacking = refused.length === 0 ? "" : ` (could not be asked: ${refused.join(", ")})`;
  findings.push(`nothing catches ${plant.name}: ${plant.breaks}${lacking}`);
  return { counts, findings };
}
