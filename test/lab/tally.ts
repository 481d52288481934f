/** What the runs of an instrument add up to. */
import type { Instrument, RunOutcome } from "./instrument.js";

/** Something that must not be, and the seed that shows it again. */
export interface Finding {
  readonly seed: number;
  readonly text: string;
}

/** Findings that are kept; beyond, they are only counted. */
const findingsMax = 100;

/** Sums of runs. */
export class Tally {
  runs = 0;
  findingCount = 0;
  readonly findings: Finding[] = [];
  readonly counts: Record<string, number> = {};

  add(seed: number, outcome: RunOutcome): void {
    this.runs += 1;
    for (const [name, count] of Object.entries(outcome.counts)) {
      this.counts[name] = (this.counts[name] ?? 0) + count;
    }
    for (const text of outcome.findings ?? []) this.find(seed, text);
  }

  find(seed: number, text: string): void {
    this.findingCount += 1;
    if (this.findings.length < findingsMax) this.findings.push({ seed, text });
  }
}

/** A tally as it is printed with --json, and kept by the long profile. */
export interface LabResult {
  readonly instrument: string;
  /** Of the first run. */
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly derived: Readonly<Record<string, number>>;
  readonly findingCount: number;
  readonly findings: readonly Finding[];
  readonly shortcomings: readonly string[];
}

/** Draws up what `tally` comes to after `seconds`. */
export function resultOf(
  instrument: Instrument,
  seed: number,
  tally: Tally,
  seconds: number,
): LabResult {
  const { runs, counts, findings, findingCount } = tally;
  const isEnough = runs >= instrument.runs.ci;
  return {
    instrument: instrument.name,
    seed,
    runs,
    seconds: Math.round(seconds * 10) / 10,
    counts,
    derived: (runs > 0 ? instrument.derive?.(counts) : undefined) ?? {},
    findingCount,
    findings,
    shortcomings: (isEnough ? instrument.shortcomings?.(counts) : undefined) ?? [],
  };
}
