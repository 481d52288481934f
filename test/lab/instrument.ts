/**
 * What an instrument of the failure lab is.
 *
 * An instrument is a series of runs. A run follows from its seed alone, so that
 * one that finds something can be had again: `--seed S --runs 1`. Run i of a
 * call with `--seed S` has the seed S + i. What an instrument enumerates (every
 * file operation, every bit) it enumerates within one run.
 *
 * Runs live in a process of their own (lab-worker.ts), one after the other; what
 * hangs, leaks or dies there is a finding like any other.
 */
import type { PropertyId } from "./properties.js";

/** What one run did. Whatever it throws is a finding, too. */
export interface RunOutcome {
  /** What was done how often, summed over all runs; every name ends in what it counts. */
  readonly counts: Readonly<Record<string, number>>;
  /** What was found that must not be: a sentence each, with the place in it. */
  readonly findings?: readonly string[];
}

/** Runs of one instrument, in one process. */
export interface LabRuns {
  run(seed: number): Promise<RunOutcome>;
  /** Ends servers and the like. */
  close?(): Promise<void>;
}

/** How runs are asked for. */
export interface LabOptions {
  /** A part of what the instrument does, by a name of its own; undefined: all. */
  readonly only: string | undefined;
}

/** Parts of what an instrument does. */
export interface Parts {
  readonly names: readonly string[];
  /** How the lists of instruments tell of them; left out: by their names. */
  readonly told?: string;
}

/** An instrument, as the command and the document know it. */
export interface Instrument {
  readonly name: string;
  /** What it does, for `npm run lab -- list`. */
  readonly sentence: string;
  /** What one run is: "one life, crashed at each of its file operations". */
  readonly oneRun: string;
  /** What `--only` may name; undefined: it is refused. */
  readonly parts?: Parts;
  /** Ids of docs/testing.md that it can find a break of. */
  readonly properties: readonly PropertyId[];
  /** How many runs there are where none are named, and in the profile of CI. */
  readonly runs: { readonly default: number; readonly ci: number };
  /** A run that takes longer has hung; in seconds. */
  readonly runSecondsMax: number;
  /** Whether runs may go on beside each other, in as many processes as there are cores. */
  readonly isParallel: boolean;
  /**
   * Throws where the machine lacks what it needs, and says what to install. `only` is
   * one of the parts.
   */
  start(options: LabOptions): Promise<LabRuns> | LabRuns;
  /** Figures that follow from the sums, such as a mean. */
  derive?(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>>;
  /**
   * What all runs together fell short of: an instrument that met no crash has tested
   * nothing. Asked where the runs are at least those of CI.
   */
  shortcomings?(counts: Readonly<Record<string, number>>): readonly string[];
}
