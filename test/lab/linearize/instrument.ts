/**
 * The instrument "linearize": histories of concurrent clients over gRPC, on a server
 * that is stopped and killed in their midst, held against what one register with
 * versions for each key may do.
 *
 * A run follows from its seed as far as it can: what the machine does in between cannot
 * be had again. So a run that finds something tells the smallest part of its history,
 * and keeps all of it in .lab/linearize-SEED.json.
 *
 * SYNC and BUFFERED writes bind alike: a kill of the process leaves what was written to
 * the page cache. Lifetimes are left out: when a key expires is up to a clock that no
 * client sees, and a history that forgives it would forgive more than that.
 *
 * In some runs commits and increments of several keys go on beside (commit-clients.ts),
 * held against the order of versions (commit-order.ts).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "../../support/paths.js";
import { SimRandom } from "../../support/sim-random.js";
import type { Instrument, RunOutcome } from "../instrument.js";
import { judge, overlapMin } from "./judge.js";
import { makeHistory } from "./live-history.js";
import { planOf } from "./plan.js";
import { realServers } from "./server-lives.js";

const unknownShareMin = 0.01;

async function run(seed: number): Promise<RunOutcome> {
  const plan = planOf(seed);
  const random = new SimRandom(seed + 1);
  const dataDir = mkdtempSync(join(tmpdir(), "kvix-linearize-"));
  try {
    const start = realServers(dataDir, plan, new SimRandom(seed + 2));
    const { operations, faults, ...sums } = await makeHistory(plan, start, random);
    const { counts, findings } = judge(operations);
    const found = [...faults, ...findings];
    if (found.length > 0) found.push(`the whole history is in ${keep(seed, { plan, operations })}`);
    return { counts: { ...counts, ...sums }, findings: found };
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Writes down a history that shows something; its path. */
function keep(seed: number, history: object): string {
  const folder = join(repositoryRoot, ".lab");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `linearize-${seed}.json`);
  writeFileSync(path, JSON.stringify(history));
  return path;
}

type Counts = Readonly<Record<string, number>>;

function ratio(counts: Counts, part: string, whole: string): number {
  return (counts[part] ?? 0) / Math.max(1, counts[whole] ?? 0);
}

function derive(counts: Counts): Record<string, number> {
  return {
    "unknown writes, of all operations in %": 100 * ratio(counts, "unknownWrites", "operations"),
    "mean overlap": ratio(counts, "overlaps", "operations"),
    "mean overlap on the same key": ratio(counts, "overlapsOnKey", "operations"),
    "positions an operation": ratio(counts, "positions", "operations"),
  };
}

function shortcomings(counts: Counts): string[] {
  const short: string[] = [];
  const need = (isEnough: boolean, what: string) => void (isEnough || short.push(what));
  const slack = counts["slackHistories"] ?? 0;
  const share = ratio(counts, "unknownWrites", "operations");
  need(
    slack === 0,
    `in ${slack} histories operations overlap fewer than ${overlapMin} on their key`,
  );
  need((counts["operations"] ?? 0) > 0, "there were no operations");
  need(
    share >= unknownShareMin,
    `only ${(100 * share).toFixed(2)} % are writes of unknown outcome`,
  );
  need((counts["kills"] ?? 0) > 0 && (counts["stops"] ?? 0) > 0, "no kill, or no stop");
  need((counts["segmentsCompacted"] ?? 0) > 0, "nothing was compacted");
  need((counts["repeats"] ?? 0) > 0, "no request was repeated under its id");
  const givenUp = counts["keysGivenUp"] ?? 0;
  need(givenUp === 0, `the search of ${givenUp} keys was given up: of them nothing is known`);
  return short;
}

/** See the top. */
export const linearizeInstrument: Instrument = {
  name: "linearize",
  sentence: "Histories of concurrent clients over gRPC, with kills, checked for linearizability.",
  oneRun: "one history of 8,000 to 16,000 operations, with 2 to 5 kills and stops",
  properties: [
    "V1",
    "V5",
    "V6",
    "V7",
    "V14",
    "V15",
    "D4",
    "M1",
    "M3",
    "M4",
    "M10",
    "B3",
    "P2",
    "P3",
  ],
  runs: { default: 16, ci: 2 },
  runSecondsMax: 1800,
  isParallel: false,
  start: () => ({ run }),
  derive,
  shortcomings,
};
