/**
 * What of the engine runs of the lab reach: the coverage that Node's own engine counts
 * (NODE_V8_COVERAGE), summed over all processes of a run and told by line of `src`.
 *
 *     npm run lab:coverage -- simulate --runs 300      files, and the lines that no seed reached
 *
 * A line is reached if any of its code was. What was never loaded is not told.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { repositoryRoot } from "../support/paths.js";

/** The floors whose code is told. */
const floors = /\/dist\/src\/(engine|storage|format)\//;
const mainPath = fileURLToPath(new URL("main.js", import.meta.url));

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Script {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

/** For each character of a script whether any process has run it. */
type Reached = Map<string, Uint8Array>;

function main(args: readonly string[]): number {
  const directory = mkdtempSync(join(tmpdir(), "kvix-coverage-"));
  try {
    const environment = { ...process.env, NODE_V8_COVERAGE: directory };
    const { status } = spawnSync(process.execPath, [mainPath, ...args], {
      env: environment,
      stdio: "inherit",
    });
    tell(readAll(directory));
    return status ?? 1;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function readAll(directory: string): Reached {
  const reached: Reached = new Map();
  for (const name of readdirSync(directory)) {
    const { result } = JSON.parse(readFileSync(join(directory, name), "utf8")) as {
      result: readonly Script[];
    };
    for (const script of result) if (floors.test(script.url)) add(reached, script);
  }
  return reached;
}

/** Of ranges within each other the innermost counts; they come from the outermost inwards. */
function add(reached: Reached, { url, functions }: Script): void {
  const path = fileURLToPath(url);
  const length = readFileSync(path, "utf8").length;
  const once = new Uint8Array(length).fill(1);
  for (const { ranges } of functions) {
    for (const { startOffset, endOffset, count } of ranges) {
      once.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    }
  }
  const before = reached.get(path) ?? new Uint8Array(length);
  reached.set(
    path,
    before.map((any, at) => any | (once[at] ?? 0)),
  );
}

function tell(reached: Reached): void {
  let allLines = 0;
  let allReached = 0;
  for (const [path, characters] of [...reached].sort()) {
    const lines = linesOf(path, characters);
    const hit = [...lines.values()].filter(Boolean).length;
    allLines += lines.size;
    allReached += hit;
    const missed = runsOf([...lines].filter(([, isHit]) => !isHit).map(([line]) => line));
    const name = path.replace(`${repositoryRoot}/dist/`, "").replace(/\.js$/, ".ts");
    console.log(`${percent(hit, lines.size).padStart(6)} ${name}  ${missed}`);
  }
  console.log(`${percent(allReached, allLines)} of ${allLines} lines of code`);
}

/** The lines of the source that have code, and whether any of it was reached. */
function linesOf(path: string, characters: Uint8Array): Map<number, boolean> {
  const text = readFileSync(path, "utf8");
  const map = new SourceMap(JSON.parse(readFileSync(`${path}.map`, "utf8")));
  const lines = new Map<number, boolean>();
  let at = 0;
  for (const [index, line] of text.split("\n").entries()) {
    for (let column = 0; column < line.length; column += 1) {
      if (!/\w/.test(line[column] as string)) continue;
      const entry = map.findEntry(index, column);
      if (!("originalLine" in entry)) continue;
      const number = entry.originalLine + 1;
      const isReached = characters[at + column] === 1;
      lines.set(number, (lines.get(number) ?? false) || isReached);
    }
    at += line.length + 1;
  }
  return new Map([...lines].sort(([one], [other]) => one - other));
}

/** 3, 4, 5, 9 as 3-5 9. */
function runsOf(lines: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const line of lines) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === line - 1) last[1] = line;
    else runs.push([line, line]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(" ");
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(whole, 1)).toFixed(1)}%`;
}

process.exitCode = main(process.argv.slice(2));
