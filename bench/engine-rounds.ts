/**
 * Measures kvix against the others: each in a process of its own, on one disk, taking
 * turns, the first turn going round. Figures are medians of the rounds.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { repositoryRoot } from "../test/support/paths.js";
import type { BenchResult } from "./bench-result.js";
import { type ContenderName, peerNames } from "./engine-contender.js";
import { installPeers } from "./engine-install.js";
import { keyBytes, valueBytes } from "./engine-records.js";
import type { Lap, Reply, Task } from "./engine-task.js";

/** What is to be measured. */
export interface Comparison {
  readonly name: string;
  readonly unit: string;
  /** Run once by each side before the rounds; not timed. */
  readonly prepare: readonly Task[];
  readonly task: Task;
  /** How kvix is measured beside its usual manner; shown, not compared. */
  readonly alsoOurs?: readonly ContenderName[];
  /** Whether every round starts with an empty store. */
  readonly startsEmpty: boolean;
}

/** How large a run is; the environment can make it smaller. */
export const sizes = {
  records: environmentNumber("KVIX_BENCH_KEYS", 1_000_000),
  rounds: environmentNumber("KVIX_BENCH_ROUNDS", 5),
  lapMs: environmentNumber("KVIX_BENCH_LAP_MS", 3000),
};

/** What one side did: operations per second of each round. */
interface SideFigures {
  readonly rates: number[];
  manner: string;
}

const taskLimitMs = 15 * 60_000;
const tmpfsType = 0x01021994;

/** Runs the rounds and compares our median with the best median of the others. */
export async function compare(comparison: Comparison): Promise<BenchResult> {
  installPeers();
  const contenders: ContenderName[] = ["kvix", ...(comparison.alsoOurs ?? []), ...peerNames];
  const home = makeHome();
  const sides = new Map<ContenderName, Side>();
  const figures = new Map<ContenderName, SideFigures>();
  try {
    for (let round = 0; round < sizes.rounds; round++) {
      for (const name of turnOrder(contenders, round)) {
        let side = sides.get(name);
        if (side === undefined) {
          side = new Side(name, mkdtempSync(join(home, `${name}-`)));
          sides.set(name, side);
          for (const task of comparison.prepare) await side.run(task);
        }
        const { lap, manner } = await side.run(comparison.task);
        const known = figures.get(name) ?? { rates: [], manner };
        known.rates.push((lap.operations / lap.milliseconds) * 1000);
        figures.set(name, known);
        if (comparison.startsEmpty) {
          sides.delete(name);
          await side.end();
        }
      }
    }
  } finally {
    for (const side of sides.values()) await side.end();
    rmSync(home, { recursive: true, force: true });
  }
  return summarize(comparison, figures);
}

/** The result out of the rates of all sides. */
export function summarize(
  comparison: Pick<Comparison, "name" | "unit">,
  figures: ReadonlyMap<ContenderName, Readonly<SideFigures>>,
): BenchResult {
  const medianOf = (name: ContenderName): number => median(figures.get(name)?.rates ?? []);
  const others = peerNames.filter((name) => figures.has(name));
  const best = others.reduce((one, other) => (medianOf(other) > medianOf(one) ? other : one));
  const ours = figures.get("kvix")?.rates ?? [];
  const ratios = ours.map((rate, round) => rate / (figures.get(best)?.rates[round] ?? Number.NaN));
  const sides = [...figures].map(([name, { rates, manner }]) => ({
    name,
    manner,
    median: Math.round(median(rates)),
    lowest: Math.round(Math.min(...rates)),
    highest: Math.round(Math.max(...rates)),
  }));
  return {
    name: comparison.name,
    ours: Math.round(medianOf("kvix")),
    theirs: Math.round(medianOf(best)),
    ratio: rounded(medianOf("kvix") / medianOf(best)),
    spread: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    unit: comparison.unit,
    detail: {
      best,
      rounds: ours.length,
      records: sizes.records,
      keyBytes,
      valueBytes,
      sides: sides.sort((one, other) => other.median - one.median),
    },
  };
}

/** The middle of the values; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const upper = sorted[sorted.length >> 1] ?? Number.NaN;
  const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
  return (lower + upper) / 2;
}

const rounded = (ratio: number): number => Math.round(ratio * 100) / 100;

const turnOrder = (all: readonly ContenderName[], round: number): readonly ContenderName[] =>
  all.map((_, at) => all[(at + round) % all.length] ?? "kvix");

/** A folder for all sides, on a disk that a sync has to wait for. */
function makeHome(): string {
  const parent = process.env["KVIX_BENCH_DIR"] ?? join(repositoryRoot, "node_modules", ".cache");
  mkdirSync(parent, { recursive: true });
  if (statfsSync(parent).type === tmpfsType) {
    throw new Error("the bench's folder lies in memory; name one on a disk in KVIX_BENCH_DIR");
  }
  return mkdtempSync(join(parent, "kvix-bench-"));
}

/** The process of one contender, seen from the bench. */
class Side {
  readonly #child: ChildProcess;
  readonly #directory: string;

  constructor(name: ContenderName, directory: string) {
    const program = fileURLToPath(new URL("./engine-side.js", import.meta.url));
    this.#directory = directory;
    this.#child = fork(program, [name, directory, String(sizes.records)]);
  }

  /** Runs one task; rejects if it fails, takes too long, or its process ends. */
  run(task: Task): Promise<{ lap: Lap; manner: string }> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        child.off("message", onReply);
        child.off("exit", onExit);
        act();
      };
      const onReply = (reply: Reply): void =>
        settle(() => (reply.kind === "lap" ? resolve(reply) : reject(new Error(reply.message))));
      const onExit = (code: number | null): void =>
        settle(() => reject(new Error(`a side ended during ${task.kind} with ${code}`)));
      const onLate = (): void => settle(() => reject(new Error(`${task.kind} took too long`)));
      const timer = setTimeout(onLate, taskLimitMs);
      child.on("message", onReply);
      child.on("exit", onExit);
      child.send(task);
    });
  }

  /** Closes the store, ends the process and removes what it wrote. */
  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      // A side that failed may not be able to close; what it wrote goes anyway.
      await this.run({ kind: "close" }).catch(() => undefined);
      const ended = new Promise((resolve) => this.#child.once("exit", resolve));
      if (this.#child.connected) this.#child.disconnect();
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function environmentNumber(name: string, usual: number): number {
  const text = process.env[name];
  if (text === undefined) return usual;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} must be 1 or more`);
  return value;
}
