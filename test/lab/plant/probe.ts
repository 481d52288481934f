/**
 * Runs one instrument of the tree it was built in until it finds something:
 *
 *     node dist/test/lab/plant/probe.js INSTRUMENT SEED RUNS SECONDS
 *
 * The last line that it prints is a ProbeResult. Unlike the command of the lab it ends
 * at the first finding.
 */
import { findInstrument } from "../catalogue.js";
import { CannotStart, runCrew } from "../crew.js";
import { type Finding, resultOf } from "../tally.js";

/** What an instrument says of a tree. */
export interface ProbeResult {
  readonly runs: number;
  /** Why it could not be used here. */
  readonly refused?: string;
  readonly finding?: Finding;
  /** It found nothing, for too little could be done. */
  readonly shortcoming?: string;
}

async function probe(name: string, seed: number, runs: number, seconds: number) {
  const instrument = findInstrument(name);
  if (instrument === undefined) throw new TypeError(`no instrument is called ${name}`);
  const extent = { seed, runsMax: runs, secondsMax: seconds, findingsMax: 1, only: undefined };
  const startMs = performance.now();
  const tally = await runCrew(instrument, extent);
  const [finding] = tally.findings;
  if (finding !== undefined) return { runs: tally.runs, finding };
  const { shortcomings } = resultOf(instrument, seed, tally, (performance.now() - startMs) / 1000);
  const [shortcoming] = shortcomings;
  return { runs: tally.runs, ...(shortcoming === undefined ? {} : { shortcoming }) };
}

async function main([name = "", seed, runs, seconds]: readonly string[]): Promise<void> {
  let result: ProbeResult;
  try {
    result = await probe(name, Number(seed), Number(runs), Number(seconds));
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    result = { runs: 0, refused: error.message };
  }
  console.log(JSON.stringify(result));
}

await main(process.argv.slice(2));
