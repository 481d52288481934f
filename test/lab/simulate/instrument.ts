/**
 * The instrument `simulate`: the whole engine in a world of which nothing is real,
 * with several clients at once, and whatever can go wrong going wrong.
 */
import type { Instrument, RunOutcome } from "../instrument.js";
import { propertyIds } from "../properties.js";
import { SeedRun } from "./seed-run.js";

/** What one seed came to, and the hash of all that happened in it. */
export type SimulatedOutcome = RunOutcome & { readonly hash: string };

/** One seed; throws what it finds. */
export async function simulate(seed: number): Promise<SimulatedOutcome> {
  // Errors are made all the time, and nearly all are foreseen: their stacks take longer than they.
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return await simulateOnce(seed);
  } catch {
    Error.stackTraceLimit = Math.max(limit, 20);
    await simulateOnce(seed);
    throw new Error("it was found once, and not again with the same seed: a run is not repeatable");
  } finally {
    Error.stackTraceLimit = limit;
  }
}

async function simulateOnce(seed: number): Promise<SimulatedOutcome> {
  const run = new SeedRun(seed);
  await run.run();
  const { counts, world } = run;
  return {
    counts: { seeds: 1, ...counts, fileOperations: world.operations },
    hash: world.trace.hash,
  };
}

/** What all runs of a CI profile must have come to. */
const enough = {
  kills: 100,
  latches: 3,
  diskFaults: 200,
  clockJumps: 500,
  bitFlips: 10,
  segmentsRemoved: 1000,
  repeats: 500,
  watched: 10_000,
  uploads: 1000,
};

export const simulateInstrument: Instrument = {
  name: "simulate",
  sentence:
    "Several clients of one store in a simulated machine; the seed orders all that happens, and what fails.",
  oneRun: "some lives of a store with at least 200 operations, a crash and a compaction",
  properties: propertyIds(
    "V1 V2 V3 V4 V5 V6 V7 V8 V10 V11 V12 V13 V14 V15 V16 D1 D2 D3 D4 D5 D6 R7 R8 R11 M1 M2 M3 M4 M5 M10 M11 M13 I1 I2 I3 I8 I9 T1 T2 T5 T6 B1 B2 B3 P1",
  ),
  runs: { default: 2000, ci: 500 },
  runSecondsMax: 300,
  isParallel: true,
  start: () => ({ run: simulate }),
  derive: ({ operations = 0, seeds = 0, fileOperations = 0 }) => ({
    operationsPerSeed: operations / seeds,
    fileOperationsPerSeed: fileOperations / seeds,
  }),
  shortcomings: (counts) =>
    Object.entries(enough).flatMap(([name, least]) => {
      const count = counts[name] ?? 0;
      return count >= least ? [] : [`${count} ${name} where ${least} are wanted`];
    }),
};
