/**
 * The instrument `simulate`: the whole engine in a world of which nothing is real,
 * with several clients at once, and whatever can go wrong going wrong.
 */
import type { Instrument, RunOutcome } from "../instrument.js";
import { SeedRun } from "./seed-run.js";

/** One seed; throws what it finds. */
export async function simulate(seed: number): Promise<RunOutcome & { readonly hash: string }> {
  const run = new SeedRun(seed);
  await run.run();
  return { counts: { ...run.counts, fileOperations: run.world.operations }, hash: run.world.trace.hash };
}

export const simulateInstrument: Instrument = {
  name: "simulate",
  sentence:
    "Several clients of one store in a simulated machine; the seed orders all that happens, and what fails.",
  oneRun: "some lives of a store with at least 200 operations, a crash and a compaction",
  properties: [],
  runs: { default: 5000, ci: 2500 },
  runSecondsMax: 30,
  isParallel: true,
  start: () => ({ run: simulate }),
};
