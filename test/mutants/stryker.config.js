/**
 * How a file is mutated; main.ts says which, and which tests are asked.
 *
 * All mutants of a file are compiled at once, each behind a switch, by the compiler of this
 * repository; types do not hold there. runner.js runs the tests.
 *
 * Not mutated: what strings say. The kind of a verdict is held by the compiler, and messages
 * are no promise.
 */

import { fileURLToPath } from "node:url";

/** @type {{ sources: string[], report: string }} */
const order = JSON.parse(process.env.KVIX_MUTANTS ?? "{}");

// biome-ignore lint/style/noDefaultExport: the tool reads it so.
export default {
  mutate: order.sources,
  mutator: { excludedMutations: ["StringLiteral"] },
  buildCommand: "npx tsc -p tsconfig.json --noCheck",
  // The tool would read it with the compiler's own interface, which this compiler lacks.
  tsconfigFile: "tsconfig.none.json",
  plugins: [fileURLToPath(new URL("./runner.js", import.meta.url))],
  testRunner: "kvix",
  coverageAnalysis: "perTest",
  concurrency: 1,
  // The runner tells endless loops by the time that they had; the clock decides nothing.
  timeoutMS: 1_800_000,
  dryRunTimeoutMinutes: 30,
  reporters: ["json", "progress-append-only"],
  jsonReporter: { fileName: order.report },
  tempDirName: ".lab/mutants/sandbox",
  ignorePatterns: ["dist", ".lab", "bench/results", "bench/peers", "test/mutants/node_modules"],
};
