/**
 * Stored results, and the page that shows them. A result is one JSON file in
 * bench/results, written by `--store`; the tables of docs/performance.md are made
 * of those files and of nothing else.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../test/support/paths.js";
import { type Bench, benches, goalText, meetsGoal } from "./bench-catalogue.js";
import type { BenchResult } from "./bench-result.js";
import { markdownTable, replaceSection } from "./page-section.js";

/** A result with where it was taken. */
export interface StoredResult extends BenchResult {
  readonly node: string;
  readonly commit: string;
  readonly machine: string;
}

/** One side of a comparison, as engine benches put it into `detail`. */
interface SideRow {
  readonly name: string;
  readonly manner: string;
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

const folder = join(repositoryRoot, "bench", "results");

/** The page, relative to the repository, and the name of its generated section. */
export const reportPage = { path: "docs/performance.md", section: "results" } as const;

/** Keeps a result for the page. */
export function storeResult(result: StoredResult): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${result.name}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
}

/** The results that are kept, in the order of the catalogue. */
export function readResults(): StoredResult[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch {
    return [];
  }
  const order = benches.map((bench) => bench.name);
  return names
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as StoredResult)
    .sort((one, other) => order.indexOf(one.name) - order.indexOf(other.name));
}

/** Writes the tables of the page. */
export function writeReport(): void {
  const path = join(repositoryRoot, reportPage.path);
  const page = readFileSync(path, "utf8");
  writeFileSync(path, replaceSection(page, reportPage.section, renderReport(readResults())));
}

/** The generated section of the page. */
export function renderReport(results: readonly StoredResult[]): string {
  if (results.length === 0) return "No result is stored.\n";
  const known = results.flatMap((result) => {
    const bench = benches.find(({ name }) => name === result.name);
    return bench === undefined ? [] : [{ bench, result }];
  });
  const overview = markdownTable(
    ["bench", "kvix", "best of the others", "ratio", "lowest to highest", "goal", "met"],
    known.map(({ bench, result }) => overviewRow(bench, result)),
  );
  return [overview, ...known.map(({ bench, result }) => section(bench, result))].join("\n");
}

function overviewRow(bench: Bench, result: StoredResult): string[] {
  const best = result.detail?.["best"];
  const theirs = result.theirs === null ? "" : `${grouped(result.theirs)} (${String(best ?? "")})`;
  return [
    result.name,
    `${grouped(result.ours)} ${result.unit}`,
    theirs,
    grouped(result.ratio),
    `${grouped(result.spread[0])} to ${grouped(result.spread[1])}`,
    goalText(bench.goal),
    meetsGoal(result.ratio, bench.goal) ? "yes" : "**no**",
  ];
}

function section(bench: Bench, result: StoredResult): string {
  const { sides, best: _best, ...settings } = result.detail ?? {};
  const lines = [
    `### ${result.name}\n`,
    `${bench.sentence}\n`,
    `${result.machine}; Node ${result.node}; commit ${result.commit}.\n`,
  ];
  const shown = Object.entries(settings).filter(([, value]) => typeof value !== "object");
  if (shown.length > 0) {
    lines.push(`${shown.map(([name, value]) => `${name} ${plain(value)}`).join(", ")}.\n`);
  }
  if (Array.isArray(sides)) {
    const rows = (sides as SideRow[]).map((side) => [
      side.name,
      side.manner,
      grouped(side.median),
      `${grouped(side.lowest)} to ${grouped(side.highest)}`,
      side.name === "kvix" ? "" : grouped(Math.round((result.ours / side.median) * 100) / 100),
    ]);
    const head = ["store", "manner", result.unit, "lowest to highest", "kvix is times as fast"];
    lines.push(markdownTable(head, rows));
  }
  return lines.join("\n");
}

const plain = (value: unknown): string =>
  typeof value === "number" ? grouped(value) : String(value);

const grouped = (value: number): string =>
  value.toLocaleString("en-US", { maximumFractionDigits: 2 });
