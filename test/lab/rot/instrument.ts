/**
 * The instrument `rot`: damages the files of a store in every way there is, and
 * holds what an opening, `kvix verify` and `kvix repair` make of it to the stated
 * verdicts.
 *
 *     seed -> a small store and a slice of all its damages, some of its files besides;
 *             some damages of a large one
 *
 * Seeds S with the same (S - 1) div SLICES share the stores, and SLICES of them go
 * through every damage.
 */
import { SimRandom } from "../../support/sim-random.js";
import type { StoreImage } from "../../support/store-image.js";
import type { Instrument, LabOptions, LabRuns, RunOutcome } from "../instrument.js";
import { type Damage, damageKinds, fileKinds } from "./damage.js";
import { checkpointFlip, fileDamage, largeDamage, smallDamages } from "./rot-cases.js";
import { RotFinding } from "./rot-finding.js";
import { type CaseOutcome, type Depth, judgeCase } from "./rot-judge.js";
import { buildRotStores, largeSize, type RotStore, smallSize } from "./rot-store.js";
import { statedFor, type Verdict, verdicts } from "./verdicts.js";

/** In so many runs all damages of one small store are gone through. */
export const SLICES = 256;
/** Damages of a large store in each run. */
const LARGE_CASES = 3;
/** And of the small one's files, each as often as any other: whole ones are few beside all bits. */
const FILE_CASES = 12;
/** And of the small one's checkpoint, which is large, and mostly zeros. */
const CHECKPOINT_CASES = 3;
/** One in so many is also checked by verify; and so many of those are lived on with. */
const CHECKED_SHARE = 4;
const LIVED_SHARE = 4;
/** So many cases have come to every verdict. */
const casesOfAllVerdicts = 20_000;
/** After so many findings a run ends: they tend to be one. */
const FINDINGS_MAX = 5;

/** Sums of a run. */
export class RotTally {
  readonly counts: Record<string, number> = {};
  readonly findings: string[] = [];

  count(name: string, by = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + by;
  }

  /** Judges one case; what is found is noted. */
  async judge(store: RotStore, damage: Damage, depth: Depth): Promise<void> {
    const { file, kind, path, where } = damage;
    const image = damage.apply(store.image);
    // Two pages with the same bytes, or one that is changed for itself.
    if (!hasChanged(store.image, image)) return;
    this.count("cases");
    this.count(`cases: ${file}`);
    try {
      const outcome = await judgeCase(store, image, depth);
      this.#note(outcome);
      const stated = statedFor(damage, store.mode);
      if (!stated.has(outcome.verdict)) {
        throw new RotFinding(`"${outcome.verdict}", where ${[...stated].join(", ")} is stated`);
      }
    } catch (error) {
      const what = error instanceof RotFinding ? error.message : String((error as Error).stack);
      this.findings.push(`${store.mode}: ${file}, ${kind}, ${where}, ${path}: ${what}`);
    }
  }

  #note({ verdict, openings, withheld }: CaseOutcome): void {
    this.count(`verdicts: ${verdict}`);
    this.count("openings", openings);
    this.count("records withheld by a guess", withheld);
  }
}

function hasChanged(before: StoreImage, after: StoreImage): boolean {
  if (before.size !== after.size) return true;
  return Array.from(after).some(([path, bytes]) => {
    const old = before.get(path);
    return old === undefined || Buffer.compare(old, bytes) !== 0;
  });
}

class RotRuns implements LabRuns {
  readonly #only: string | undefined;
  /** Of the last run: neighbours share them. */
  #series: number | undefined;
  #small: readonly RotStore[] = [];
  #large: readonly RotStore[] = [];

  constructor({ only }: LabOptions) {
    this.#only = only;
  }

  async run(seed: number): Promise<RunOutcome> {
    const series = Math.floor((seed - 1) / SLICES);
    await this.#build(series);
    const tally = new RotTally();
    const slice = (((seed - 1) % SLICES) + SLICES) % SLICES;
    await this.#runSmall(tally, series, slice);
    const random = new SimRandom(seed);
    for (let round = 0; round < FILE_CASES; round += 1) {
      const store = random.pick(this.#small);
      const damage = fileDamage(store, random);
      if (!this.#isWanted(damage) || tally.findings.length >= FINDINGS_MAX) continue;
      await tally.judge(store, damage, depthOf(damage, seed + round));
    }
    const whole = this.#small.find(({ mode }) => mode === "checkpoint");
    for (let round = 0; round < CHECKPOINT_CASES; round += 1) {
      const damage = whole && checkpointFlip(whole, random);
      if (damage === undefined || !this.#isWanted(damage)) continue;
      await tally.judge(whole as RotStore, damage, { isChecked: false, isLived: false });
    }
    for (let round = 0; round < LARGE_CASES; round += 1) {
      const store = random.pick(this.#large);
      const damage = largeDamage(store, random);
      if (!this.#isWanted(damage) || tally.findings.length >= FINDINGS_MAX) continue;
      await tally.judge(store, damage, { isChecked: true, isLived: round === 0 });
    }
    return tally;
  }

  async #runSmall(tally: RotTally, series: number, slice: number): Promise<void> {
    for (const store of this.#small) {
      const random = new SimRandom(series);
      let index = 0;
      for (const damage of smallDamages(store, random)) {
        index += 1;
        if (!this.#isWanted(damage) || index % SLICES !== slice) continue;
        if (tally.findings.length >= FINDINGS_MAX) return;
        await tally.judge(store, damage, depthOf(damage, Math.floor(index / SLICES)));
      }
    }
  }

  async #build(series: number): Promise<void> {
    if (this.#series === series) return;
    this.#small = await buildRotStores(new SimRandom(2 * series), smallSize);
    this.#large = await buildRotStores(new SimRandom(2 * series + 1), largeSize);
    this.#series = series;
  }

  #isWanted({ file, kind }: Damage): boolean {
    return this.#only === undefined || this.#only === file || this.#only === kind;
  }
}

/** Single bits and lengths are many and alike; the others are followed all the way. */
function depthOf({ kind }: Damage, number: number): Depth {
  const random = new SimRandom(number);
  const victims = random.chance(0.5) ? random : undefined;
  if (kind !== "bit flipped" && kind !== "cut") return { isChecked: true, isLived: true, victims };
  const isChecked = number % CHECKED_SHARE === 0;
  const isLived = number % (CHECKED_SHARE * LIVED_SHARE) === 0;
  return { isChecked, isLived, victims };
}

export const rotInstrument: Instrument = {
  name: "rot",
  sentence:
    "Flips every bit of a small store and cuts its files at every byte, takes files away, swaps, " +
    "zeroes and exchanges pages and files, and damages a large store at random; holds opening, verify and repair to a stated verdict.",
  oneRun: `a ${SLICES}th of all damages of one small store in five states, ${FILE_CASES} of its files, ${CHECKPOINT_CASES} bits of its checkpoint, and ${LARGE_CASES} of a large one`,
  parts: {
    names: [...fileKinds, ...damageKinds],
    told: `a kind of file (${fileKinds.join(", ")}) or of damage (${damageKinds.join(", ")})`,
  },
  properties: ["V2", "V3", "V9", "V13", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R9", "R11"],
  runs: { default: SLICES, ci: 14 },
  runSecondsMax: 1800,
  isParallel: true,
  start: (options: LabOptions): LabRuns => new RotRuns(options),
  shortcomings(counts) {
    const missing: string[] = [];
    for (const kind of fileKinds) {
      if (counts[`cases: ${kind}`] === undefined) missing.push(`no case of a ${kind}`);
    }
    for (const verdict of Object.keys(verdicts) as Verdict[]) {
      // Only another store's manifest comes to it: a few cases of all.
      if (verdict === "STORE_MISMATCH" && (counts["cases"] ?? 0) < casesOfAllVerdicts) continue;
      if (counts[`verdicts: ${verdict}`] === undefined)
        missing.push(`no case came to "${verdict}"`);
    }
    return missing;
  },
};
