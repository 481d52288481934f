/**
 * `npm run lab -- long`: all instruments in turns, for hours, each with seeds that
 * it has not had before.
 *
 * What was done stands in one file, written anew (a new file, then a rename) after
 * every turn: ended by Ctrl-C or by a power cut it goes on with the next seed, and
 * its sums are those of all calls together. The file names the commit of each turn.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { instruments } from "./catalogue.js";
import { CannotStart, runCrew } from "./crew.js";
import type { Instrument } from "./instrument.js";
import { commit, grouped, isSound, resultLines } from "./lab-report.js";
import { openRunBar } from "./run-bar.js";
import { type Finding, type LabResult, resultOf, Tally } from "./tally.js";

export interface LongOptions {
  readonly hours: number;
  readonly statePath: string;
}

/** What one instrument has done so far. */
interface Standing {
  nextSeed: number;
  runs: number;
  seconds: number;
  counts: Record<string, number>;
  findingCount: number;
  findings: Finding[];
  /** Commits that it ran at, the newest last. */
  commits: string[];
}

type State = Record<string, Standing>;

/** Where the long profile begins: far from the seeds of CI. */
const firstSeed = 1_000_000;
/** A turn of one instrument. */
const turnMinutes = 10;
const findingsMax = 10;
const findingsKept = 100;

/** Goes on for `hours`; the exit code. */
export async function runLong({ hours, statePath }: LongOptions): Promise<number> {
  const state = readState(statePath);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const endMs = performance.now() + hours * 3_600_000;
  while (performance.now() < endMs && !stop.signal.aborted) {
    let begun = 0;
    for (const instrument of instruments) {
      const secondsLeft = (endMs - performance.now()) / 1000;
      if (secondsLeft <= 0 || stop.signal.aborted) break;
      const standing = state[instrument.name] ?? newStanding();
      state[instrument.name] = standing;
      begun += await takeTurn(instrument, standing, secondsLeft, stop.signal);
      writeState(statePath, state);
    }
    if (begun === 0) break;
  }
  const results = instruments.flatMap((instrument) => {
    const standing = state[instrument.name];
    return standing === undefined ? [] : [totalOf(instrument, standing)];
  });
  for (const result of results) for (const line of resultLines(result)) console.log(line);
  console.log(`kept in ${statePath}; the same command goes on from there`);
  return results.every(isSound) ? 0 : 1;
}

function newStanding(): Standing {
  return {
    nextSeed: firstSeed,
    runs: 0,
    seconds: 0,
    counts: {},
    findingCount: 0,
    findings: [],
    commits: [],
  };
}

/** One turn; answers how many runs it had. An instrument that cannot be used here has none. */
async function takeTurn(
  instrument: Instrument,
  standing: Standing,
  secondsLeft: number,
  signal: AbortSignal,
): Promise<number> {
  const secondsMax = Math.min(secondsLeft, turnMinutes * 60);
  const runsMax = Number.POSITIVE_INFINITY;
  const { nextSeed: seed } = standing;
  const bar = await openRunBar(instrument.name, { runsMax, secondsMax });
  const startMs = performance.now();
  let tally: Tally;
  try {
    const extent = { seed, only: undefined, runsMax, secondsMax, findingsMax, signal };
    tally = await runCrew(instrument, { ...extent, onRun: bar.update });
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    console.error(error.message);
    return 0;
  } finally {
    bar.end();
  }
  const seconds = (performance.now() - startMs) / 1000;
  addTo(standing, tally, seconds);
  for (const line of resultLines(resultOf(instrument, seed, tally, seconds))) console.log(line);
  return tally.runs;
}

function addTo(standing: Standing, tally: Tally, seconds: number): void {
  standing.nextSeed += tally.runs;
  standing.runs += tally.runs;
  standing.seconds += seconds;
  for (const [name, count] of Object.entries(tally.counts)) {
    standing.counts[name] = (standing.counts[name] ?? 0) + count;
  }
  standing.findingCount += tally.findingCount;
  standing.findings = [...standing.findings, ...tally.findings].slice(-findingsKept);
  const now = commit();
  if (standing.commits.at(-1) !== now) standing.commits.push(now);
}

function totalOf(instrument: Instrument, standing: Standing): LabResult {
  const tally = new Tally();
  tally.runs = standing.runs;
  tally.findingCount = standing.findingCount;
  tally.findings.push(...standing.findings);
  Object.assign(tally.counts, standing.counts);
  return resultOf(instrument, firstSeed, tally, standing.seconds);
}

function readState(path: string): State {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  const state = JSON.parse(text) as State;
  const runs = Object.values(state).reduce((sum, standing) => sum + standing.runs, 0);
  console.log(`going on from ${path}: ${grouped(runs)} runs so far`);
  return state;
}

function writeState(path: string, state: State): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}
