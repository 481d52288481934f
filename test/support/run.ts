/**
 * `npm test`: runs every compiled *.test.js below dist/test with Node's own
 * runner, two files at a time, and exits with its code.
 *
 *     npm test                                  all but test/clients
 *     npm test -- test/clients                  clients of other languages: needs Go and Python
 *     npm test -- test/engine                   a folder
 *     npm test -- test/engine/keydir.test.ts    a file, by its source or its output
 *     npm test -- --test-name-pattern=V13       what begins with -- goes to the runner
 *
 * Node 20 expands no globs, so the runner gets the files by name. It does not follow
 * promises, which takes long: untracked.ts. An output
 * whose source is gone is not run. No test at all is a failure.
 *
 * The end of what it prints are the runner's totals, "# tests 12" and so on, on
 * every version of Node: they come from its TAP report, which all print alike.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { repositoryRoot } from "./paths.js";

/** Where the compiled tests lie: this file is in `support` there. */
const outputRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const sourceRoot = join(repositoryRoot, "test");

const filesAtOnce = 2;

/** What the process of each file is started with. */
const perProcess = ["--enable-source-maps", "--import", join(outputRoot, "support/untracked.js")];

/** Tests that need the tools of other languages: run when they are named, said to be left out else. */
const apart = join(sourceRoot, "clients");

/** Compiled tests, sorted. Those of a source that was removed are left out. */
function findTests(): string[] {
  const names = readdirSync(outputRoot, { recursive: true, encoding: "utf8" });
  const tests = names.filter((name) => name.endsWith(".test.js"));
  const live = tests.filter((name) => existsSync(join(sourceRoot, sourceName(name))));
  return live.sort().map((name) => join(outputRoot, name));
}

function sourceName(outputName: string): string {
  return outputName.replace(/\.js$/, ".ts");
}

/** Whether an argument means this test: its source, its output, or a folder of either. */
function isMeant(test: string, argument: string): boolean {
  const asked = resolve(argument);
  const source = join(sourceRoot, sourceName(relative(outputRoot, test)));
  return [test, source].some((path) => path === asked || path.startsWith(asked + sep));
}

/** Runs the tests; the runner's exit code. */
function runTests(tests: readonly string[], options: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "kvix-tests-"));
  const tapPath = join(folder, "report.tap");
  const reporters = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=tap",
    `--test-reporter-destination=${tapPath}`,
  ];
  const concurrency = `--test-concurrency=${filesAtOnce}`;
  const runner = spawn(
    process.execPath,
    [...perProcess, "--test", concurrency, ...reporters, ...options, ...tests],
    { stdio: "inherit", env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
  );
  return new Promise((resolve, reject) => {
    runner.once("error", reject);
    runner.once("close", (code, signal) => {
      for (const line of totals(tapPath)) console.log(line);
      rmSync(folder, { recursive: true });
      resolve(code ?? 128 + constants.signals[signal ?? "SIGTERM"]);
    });
  });
}

/** Lines at the end of a TAP report among which the totals are. */
const totalsLines = 12;

/** The runner's totals: the last lines of its TAP report. */
function totals(tapPath: string): string[] {
  const lines = existsSync(tapPath) ? readFileSync(tapPath, "utf8").split("\n") : [];
  return lines
    .slice(-totalsLines)
    .filter((line) =>
      /^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(line),
    );
}

async function main(given: readonly string[]): Promise<number> {
  const options = given.filter((argument) => argument.startsWith("--"));
  const paths = given.filter((argument) => !argument.startsWith("--"));
  const all = findTests();
  const unknown = paths.filter((path) => !all.some((test) => isMeant(test, path)));
  if (all.length === 0 || unknown.length > 0) {
    console.error(all.length === 0 ? "no test was found" : `no test there: ${unknown.join(", ")}`);
    return 1;
  }
  if (paths.length > 0) {
    return runTests(
      all.filter((test) => paths.some((path) => isMeant(test, path))),
      options,
    );
  }
  const here = all.filter((test) => !isMeant(test, apart));
  const code = await runTests(here, options);
  if (here.length < all.length) {
    const count = all.length - here.length;
    console.log(`${count} files of test/clients need Go and Python: npm test -- test/clients`);
  }
  return code;
}

process.exitCode = await main(process.argv.slice(2));
