/**
 * The command of the failure lab.
 *
 *     npm run lab -- list
 *     npm run lab -- INSTRUMENT [--seed S] [--runs N] [--minutes M] [--only PART] [--json]
 *     npm run lab -- ci                               every instrument, as CI runs it
 *     npm run lab -- long [--hours H] [--state FILE]  all of them, for hours; goes on where it was
 *
 * Exit codes: 0 nothing found, 1 something found or too little done, 2 not understood, or
 * the machine lacks what an instrument needs.
 */
import { parseArgs } from "node:util";
import { findInstrument, instruments } from "./catalogue.js";
import { CannotStart, runCrew } from "./crew.js";
import type { Instrument } from "./instrument.js";
import { isSound, listLines, resultJson, resultLines } from "./lab-report.js";
import { runLong } from "./long-profile.js";
import { openRunBar } from "./run-bar.js";
import { type LabResult, resultOf } from "./tally.js";

const usage =
  "usage: npm run lab -- INSTRUMENT [--seed S] [--runs N] [--minutes M] [--only PART] [--json]\n" +
  "                     | list | ci | long [--hours H] [--state FILE]";

/** The seed of CI: the same runs each time, so that a change is what turns it red. */
const ciSeed = 1;
/** A run of an instrument ends at so many findings: they tend to be one. */
const findingsMax = 10;
const seedMax = 2 ** 48;

/** What was asked for makes no sense; exit code 2. */
class NotUnderstood extends Error {
  override readonly name = "NotUnderstood";
}

const optionTable = {
  seed: { type: "string" },
  runs: { type: "string" },
  minutes: { type: "string" },
  only: { type: "string" },
  hours: { type: "string" },
  state: { type: "string" },
  json: { type: "boolean" },
} as const;

function readArguments() {
  try {
    return parseArgs({ allowPositionals: true, options: optionTable });
  } catch (error) {
    throw new NotUnderstood(error instanceof Error ? error.message : usage);
  }
}

async function main(): Promise<number> {
  const { values, positionals } = readArguments();
  const [word, ...rest] = positionals;
  if (word === undefined || rest.length > 0) throw new NotUnderstood(usage);
  const allowed =
    word === "list" ? [] : word === "ci" ? ["json"] : word === "long" ? ["hours", "state"] : null;
  const strange = Object.keys(values).find((name) =>
    allowed === null ? ["hours", "state"].includes(name) : !allowed.includes(name),
  );
  if (strange !== undefined) throw new NotUnderstood(`${word} takes no --${strange}\n${usage}`);
  const isJson = values.json === true;
  switch (word) {
    case "list":
      for (const line of listLines(instruments)) console.log(line);
      return 0;
    case "ci":
      return await runCi(isJson);
    case "long":
      return await runLong({
        hours: numberOf("hours", values.hours, 8, 0.001, 1000),
        statePath: values.state ?? ".lab/long.json",
      });
  }
  const instrument = findInstrument(word);
  if (instrument === undefined) {
    throw new NotUnderstood(`no instrument is called ${word}\n${usage}`);
  }
  const isTimed = values.minutes !== undefined;
  const result = await runInstrument(instrument, {
    seed: numberOf("seed", values.seed, ciSeed, 0, seedMax),
    only: values.only,
    runsMax: numberOf("runs", values.runs, isTimed ? 2 ** 40 : instrument.runs.default, 1, 2 ** 40),
    secondsMax: 60 * numberOf("minutes", values.minutes, 2 ** 20, 0.01, 2 ** 20),
  });
  // A part of an instrument does not do all that the whole has to.
  const { shortcomings: all } = result;
  const shortcomings = values.only === undefined ? all : all.filter((text) => text === ended);
  const told = { ...result, shortcomings };
  tell(told, isJson, values.only);
  return isSound(told) ? 0 : 1;
}

/** Every instrument with the runs of CI; all of them, whatever one finds. */
async function runCi(isJson: boolean): Promise<number> {
  let failed = 0;
  for (const instrument of instruments) {
    if (instrument.runs.ci === 0) continue;
    const result = await runInstrument(instrument, {
      seed: ciSeed,
      only: undefined,
      runsMax: instrument.runs.ci,
      secondsMax: Number.POSITIVE_INFINITY,
    });
    tell(result, isJson);
    if (!isSound(result)) failed += 1;
    if (result.shortcomings.includes(ended)) break;
  }
  return failed === 0 ? 0 : 1;
}

/** What a run lacks that somebody has ended. */
const ended = "it was ended by hand";

interface Extent {
  readonly seed: number;
  readonly only: string | undefined;
  readonly runsMax: number;
  readonly secondsMax: number;
}

async function runInstrument(instrument: Instrument, extent: Extent): Promise<LabResult> {
  const startMs = performance.now();
  const bar = await openRunBar(instrument.name, extent);
  // Ended by hand, it tells what it has done so far.
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  try {
    const { signal } = stop;
    const tally = await runCrew(instrument, { ...extent, findingsMax, signal, onRun: bar.update });
    const result = resultOf(instrument, extent.seed, tally, (performance.now() - startMs) / 1000);
    return signal.aborted ? { ...result, shortcomings: [...result.shortcomings, ended] } : result;
  } finally {
    process.off("SIGINT", end).off("SIGTERM", end);
    bar.end();
  }
}

function tell(result: LabResult, isJson: boolean, only?: string): void {
  if (isJson) console.log(resultJson(result));
  else for (const line of resultLines(result, only)) console.log(line);
}

function numberOf(
  name: string,
  text: string | undefined,
  byDefault: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return byDefault;
  const isWhole = name === "seed" || name === "runs";
  const number = Number(text);
  if (text.trim() !== "" && number >= min && number <= max) {
    if (!isWhole || Number.isInteger(number)) return number;
  }
  const kind = isWhole ? "a whole number" : "a number";
  throw new NotUnderstood(`--${name} ${text}: ${kind} from ${min} to ${max} is wanted`);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof NotUnderstood || error instanceof CannotStart)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
