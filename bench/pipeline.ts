/**
 * pipeline, pipeline-etcd: durable writes of single keys a second over the network, many
 * in flight on few connections. Each server has a process of its own on one disk; the
 * sides take turns. See pipeline-sides.ts for the load.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../test/support/paths.js";
import type { BenchResult } from "./bench-result.js";
import { keyBytes, valueBytes } from "./engine-records.js";
import { median, sizes } from "./engine-rounds.js";
import {
  connections,
  messagesInFlight,
  openEtcd,
  openKvix,
  openRedis,
  type PipelineSide,
  writeFor,
  writesPerMessage,
} from "./pipeline-sides.js";

const peers = { redis: openRedis, etcd: openEtcd } as const;

/** Writes by turns against one other store, KVIX_BENCH_ROUNDS turns a side. */
export async function run(name: string, peer: keyof typeof peers): Promise<BenchResult> {
  const parent = process.env["KVIX_BENCH_DIR"] ?? join(repositoryRoot, "node_modules", ".cache");
  mkdirSync(parent, { recursive: true });
  const home = mkdtempSync(join(parent, "kvix-pipeline-"));
  const sides: PipelineSide[] = [];
  try {
    for (const [folder, open] of [
      ["kvix", openKvix],
      [peer, peers[peer]],
    ] as const) {
      mkdirSync(join(home, folder));
      sides.push(await open(join(home, folder)));
    }
    const rates = sides.map((): number[] => []);
    for (const side of sides) await writeFor(side, sizes.lapMs);
    for (let round = 0; round < sizes.rounds; round += 1) {
      for (let turn = 0; turn < sides.length; turn += 1) {
        const at = (turn + round) % sides.length;
        rates[at]?.push(await writeFor(sides[at] as PipelineSide, sizes.lapMs));
      }
    }
    return resultOf(name, sides, rates);
  } finally {
    for (const side of sides) await side.end();
    rmSync(home, { recursive: true, force: true });
  }
}

function resultOf(
  name: string,
  sides: readonly PipelineSide[],
  rates: readonly (readonly number[])[],
): BenchResult {
  const [ours = [], theirs = []] = rates;
  const ratios = ours.map((rate, round) => rate / (theirs[round] ?? Number.NaN));
  return {
    name,
    ours: Math.round(median(ours)),
    theirs: Math.round(median(theirs)),
    ratio: rounded(median(ours) / median(theirs)),
    spread: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    unit: "writes/s",
    detail: {
      best: sides[1]?.name,
      rounds: ours.length,
      connections,
      inFlight: connections * messagesInFlight * writesPerMessage,
      keyBytes,
      valueBytes,
      sides: sides.map(({ name: side, manner }, at) => ({
        name: side,
        manner,
        median: Math.round(median(rates[at] ?? [])),
        lowest: Math.round(Math.min(...(rates[at] ?? []))),
        highest: Math.round(Math.max(...(rates[at] ?? []))),
      })),
    },
  };
}

const rounded = (ratio: number): number => Math.round(ratio * 100) / 100;
