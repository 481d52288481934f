/**
 * The instrument `fuzz`: every decoder, with inputs that nobody would write.
 *
 *     seed -> for each decoder: guided batches, which find inputs that reach new
 *             blocks; then many executions at full speed, from corpus and finds
 *
 * Why it is one of our own: docs/decisions/0024-a-fuzzer-of-our-own.md.
 */
import type { Instrument, LabOptions, LabRuns, RunOutcome } from "../instrument.js";
import { addToCorpus, readCorpus } from "./corpus.js";
import { executeMany, FuzzInputs } from "./fuzz-loop.js";
import type { FuzzTarget } from "./fuzz-target.js";
import { Guided } from "./guided.js";
import { fuzzTargets } from "./targets.js";

/** Guided batches of one decoder in a run, and executions in each. */
const BATCHES = 4;
const BATCH_SIZE = 250;
/** Of a decoder that takes this many executions or fewer in a run, a batch is a tenth of it. */
const SLOW_EXECUTIONS = 4000;

class FuzzRuns implements LabRuns {
  readonly #targets: readonly FuzzTarget[];
  readonly #guided = new Guided();
  /** What has been found to reach new blocks, in this process only: runs follow from their seeds. */
  readonly #isKeeping = process.env["KVIX_KEEP_CORPUS"] === "1";

  constructor({ only }: LabOptions) {
    this.#targets = fuzzTargets.filter(({ name }) => only === undefined || name === only);
  }

  async run(seed: number): Promise<RunOutcome> {
    const counts: Record<string, number> = { executions: 0, "inputs that reached new blocks": 0 };
    const findings: string[] = [];
    for (const [index, target] of this.#targets.entries()) {
      const outcome = await this.#runTarget(target, seed * 64 + index);
      counts["executions"] = (counts["executions"] ?? 0) + outcome.executions;
      counts[`executions: ${target.name}`] = outcome.executions;
      counts["inputs that reached new blocks"] =
        (counts["inputs that reached new blocks"] ?? 0) + outcome.fresh;
      findings.push(...outcome.findings);
    }
    return { counts, findings };
  }

  async #runTarget(
    target: FuzzTarget,
    seed: number,
  ): Promise<{ executions: number; fresh: number; findings: string[] }> {
    const corpus = [...target.seeds(), ...readCorpus(target.name)];
    const isSlow = target.executions <= SLOW_EXECUTIONS;
    const batchSize = isSlow ? Math.ceil(target.executions / 10) : BATCH_SIZE;
    const order = { target: target.name, seed, corpus, batches: BATCHES, batchSize };
    const guided = await this.#guided.run(order);
    if (this.#isKeeping && guided.fresh.length > 0) addToCorpus(target.name, guided.fresh);
    const inputs = new FuzzInputs(target, seed + 0.5 * 2 ** 32, [...corpus, ...guided.fresh]);
    const found = guided.finding ?? (await executeMany(target, inputs, target.executions));
    return {
      executions: guided.executions + target.executions,
      fresh: guided.fresh.length,
      findings: found === undefined ? [] : [found],
    };
  }

  async close(): Promise<void> {
    await this.#guided.close();
    for (const target of this.#targets) await target.close?.();
  }
}

const decoders = fuzzTargets.map(({ name }) => name);

export const fuzzInstrument: Instrument = {
  name: "fuzz",
  sentence:
    "Gives every decoder of files and requests bytes that nobody would write, guided by the blocks they reach; " +
    "each must come to a verdict, agree with its twin and read back what it accepts.",
  oneRun: `${BATCHES} guided batches and up to 80,000 executions at full speed of each of ${fuzzTargets.length} decoders`,
  parts: { names: decoders, told: `a decoder (${decoders.join(", ")})` },
  properties: ["V2", "V9", "V11", "R5", "R6", "R10", "B1", "I5", "I6"],
  runs: { default: 20, ci: 2 },
  runSecondsMax: 1800,
  isParallel: true,
  start: (options: LabOptions): LabRuns => new FuzzRuns(options),
  shortcomings(counts) {
    return fuzzTargets
      .filter(({ name, executions }) => (counts[`executions: ${name}`] ?? 0) < executions)
      .map(({ name }) => `too few executions of the decoder of a ${name}`);
  },
};
