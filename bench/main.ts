/**
 * The command of the benches.
 *
 *     npm run bench -- list
 *     npm run bench -- NAME [--json] [--store]
 *     npm run bench -- smoke       every bench with tiny sizes; fails if one throws
 *     npm run bench -- report      writes the tables of docs/performance.md
 *
 * With --json the last line of the output is the result.
 */
import { spawnSync } from "node:child_process";
import { cpus, release, totalmem, type } from "node:os";
import { parseArgs } from "node:util";
import { repositoryRoot } from "../test/support/paths.js";
import { type Bench, benches, goalText, meetsGoal } from "./bench-catalogue.js";
import { type StoredResult, storeResult, writeReport } from "./bench-report.js";
import type { BenchResult } from "./bench-result.js";

/** Sizes that finish in seconds; they show that a bench runs, not how fast kvix is. */
const smokeSizes = {
  KVIX_BENCH_KEYS: "20000",
  KVIX_BENCH_ROUNDS: "2",
  KVIX_BENCH_LAP_MS: "100",
  KVIX_BENCH_MS: "100",
  KVIX_BENCH_UPLOADS: "10",
  KVIX_BENCH_VALUE_MIB: "10",
  KVIX_BENCH_PEERS_FLAGS: "-O0",
};

const usage = "usage: npm run bench -- NAME [--json] [--store] | list | smoke | report";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: "boolean" }, store: { type: "boolean" } },
  });
  const [word, ...rest] = positionals;
  if (word === undefined || rest.length > 0) return refuse(usage);
  if (word === "list") return list();
  if (word === "smoke") return await smoke();
  if (word === "report") {
    writeReport();
    return 0;
  }
  const bench = benches.find(({ name }) => name === word);
  if (bench === undefined) return refuse(`no bench is called ${word}\n${usage}`);
  const result = await measure(bench);
  if (values.store === true) storeResult(result);
  printResult(result, bench);
  if (values.json === true) console.log(JSON.stringify(result));
  return 0;
}

function list(): number {
  for (const { name, sentence, goal } of benches) {
    console.log(`${name.padEnd(16)} ${sentence} Goal: ${goalText(goal)}.`);
  }
  return 0;
}

async function smoke(): Promise<number> {
  Object.assign(process.env, smokeSizes);
  let failed = 0;
  for (const bench of benches) {
    const startMs = performance.now();
    try {
      checkResult(await measure(bench));
      console.log(`ok ${bench.name} ${Math.round(performance.now() - startMs)} ms`);
    } catch (error) {
      failed++;
      console.log(`not ok ${bench.name}`, error);
    }
  }
  console.log(`${benches.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** A bench that measured nothing has failed, also if it did not say so. */
function checkResult(result: BenchResult): void {
  const figures = [result.ours, result.theirs ?? 1, result.ratio, ...result.spread];
  if (!figures.every((figure) => Number.isFinite(figure) && figure > 0)) {
    throw new Error(`not a result: ${JSON.stringify(result)}`);
  }
}

async function measure(bench: Bench): Promise<StoredResult> {
  const result = await bench.run();
  if (result.name !== bench.name) throw new Error(`${bench.name} calls itself ${result.name}`);
  return { ...result, node: process.versions.node, commit: commit(), machine: machine() };
}

function printResult(result: StoredResult, bench: Bench): void {
  const sides = result.detail?.["sides"];
  if (Array.isArray(sides)) console.table(sides);
  else if (result.detail !== undefined) console.log(result.detail);
  const against = result.theirs === null ? "" : ` against ${result.theirs}`;
  const verdict = meetsGoal(result.ratio, bench.goal) ? "met" : "NOT met";
  const [lowest, highest] = result.spread;
  console.log(
    `${result.name}: ${result.ours}${against} ${result.unit}, ` +
      `ratio ${result.ratio} (${lowest} to ${highest}), ` +
      `goal ${goalText(bench.goal)}: ${verdict}`,
  );
}

/** The commit that is checked out, with a plus if files differ from it. */
function commit(): string {
  const git = (...args: readonly string[]): string =>
    spawnSync("git", args, { cwd: repositoryRoot, encoding: "utf8" }).stdout?.trim() ?? "";
  const name = git("rev-parse", "--short", "HEAD");
  const isChanged =
    git("status", "--porcelain", "--", "src", "bench", "gen", ":!bench/results") !== "";
  return name === "" ? "unknown" : `${name}${isChanged ? "+" : ""}`;
}

function machine(): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() ?? "unknown processor";
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  return `${processors.length} x ${model}, ${gigabytes} GiB, ${type()} ${release()}`;
}

function refuse(message: string): number {
  console.error(message);
  return 2;
}

process.exitCode = await main();
