/** How the lab tells what it did: lines for people, one line of JSON for programs. */
import { spawnSync } from "node:child_process";
import { repositoryRoot } from "../support/paths.js";
import type { Instrument, Parts } from "./instrument.js";
import type { Finding, LabResult } from "./tally.js";

/** Whether all is as it should be. */
export function isSound({ findingCount, shortcomings }: LabResult): boolean {
  return findingCount === 0 && shortcomings.length === 0;
}

/** A result as lines: figures, then what was found, each with the call that shows it again. */
export function resultLines(result: LabResult, only?: string): string[] {
  const { instrument, seed, runs, seconds, findingCount, findings, shortcomings } = result;
  const head =
    `${instrument}: ${grouped(runs)} ${runs === 1 ? "run" : "runs"} from seed ${seed} ` +
    `in ${grouped(seconds)} s, ${findingCount === 0 ? "nothing found" : `${findingCount} FOUND`}`;
  const lines = [head, ...figureLines(result)];
  for (const finding of findings) lines.push("", ...findingLines(instrument, finding, only));
  for (const shortcoming of shortcomings)
    lines.push("", `${instrument}: NOT ENOUGH: ${shortcoming}`);
  return lines;
}

function figureLines({ counts, derived }: LabResult): string[] {
  return [...Object.entries(counts), ...Object.entries(derived)].map(
    ([name, figure]) => `  ${grouped(figure).padStart(14)} ${name}`,
  );
}

function findingLines(instrument: string, { seed, text }: Finding, only?: string): string[] {
  const part =
    only === undefined ? "" : ` --only ${/[^\w-]/.test(only) ? JSON.stringify(only) : only}`;
  return [
    `FOUND by ${instrument}, seed ${seed}: ${text}`,
    `  again: npm run lab -- ${instrument} --seed ${seed} --runs 1${part}`,
  ];
}

/** A result as one object: with what it was had on. */
export function resultJson(result: LabResult): string {
  return JSON.stringify({ ...result, node: process.versions.node, commit: commit() });
}

/** `npm run lab -- list`. */
export function listLines(instruments: readonly Instrument[]): string[] {
  return instruments.flatMap(({ name, sentence, oneRun, parts, runs }) => [
    `${name.padEnd(10)} ${sentence}`,
    `${"".padEnd(10)} A run: ${oneRun}. ${grouped(runs.default)} by default, ${grouped(runs.ci)} in CI.`,
    ...(parts === undefined ? [] : [`${"".padEnd(10)} --only: ${partsText(parts)}.`]),
  ]);
}

/** What `--only` may name, for a list. */
export function partsText({ names, told }: Parts): string {
  return told ?? names.join(", ");
}

/** 1234567 as 1,234,567. */
export function grouped(figure: number): string {
  return figure.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** The commit that is checked out. */
export function commit(): string {
  const { stdout } = spawnSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: repositoryRoot,
    encoding: "utf8",
  });
  return stdout?.trim() || "unknown";
}
