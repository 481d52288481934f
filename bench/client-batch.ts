/**
 * client-batch: 128 concurrent gets through the TypeScript client, its calls on one
 * Pipeline, against the same client with a call for each. The server has a process of
 * its own; the sides take turns.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type KvixClient } from "../src/client/connect.js";
import { ServerProcess } from "../test/support/server-process.js";
import type { BenchResult } from "./bench-result.js";
import { keyBytes, Records, valueBytes } from "./engine-records.js";
import { median, sizes } from "./engine-rounds.js";

const inFlight = 128;
/** They fit the server's cache: the wire is what is measured. */
const recordsMax = 20_000;

/** Reads by turns, KVIX_BENCH_ROUNDS turns a side. */
export async function run(): Promise<BenchResult> {
  const dataDir = mkdtempSync(join(tmpdir(), "kvix-client-"));
  const server = await ServerProcess.start(dataDir);
  const { address } = server;
  const sides = [connect({ address }), connect({ address, batching: false })] as const;
  const rates: [number[], number[]] = [[], []];
  try {
    const records = new Records(Math.min(recordsMax, sizes.records));
    await load(sides[0], records);
    for (const side of sides) await read(side, records);
    for (let round = 0; round < sizes.rounds; round += 1) {
      for (const at of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        rates[at].push(await read(sides[at], records));
      }
    }
  } finally {
    for (const side of sides) await side.close();
    await server.end("SIGTERM");
    rmSync(dataDir, { recursive: true, force: true });
  }
  const [ours, theirs] = rates;
  const ratios = ours.map((rate, round) => rate / (theirs[round] ?? Number.NaN));
  return {
    name: "client-batch",
    ours: Math.round(median(ours)),
    theirs: Math.round(median(theirs)),
    ratio: rounded(median(ours) / median(theirs)),
    spread: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    unit: "gets/s",
    detail: { best: "without batching", rounds: ours.length, inFlight, keyBytes, valueBytes },
  };
}

async function load(kvix: KvixClient, records: Records): Promise<void> {
  for (let first = 0; first < records.count; first += 1000) {
    const end = Math.min(first + 1000, records.count);
    const numbers = Array.from({ length: end - first }, (_, at) => first + at);
    await Promise.all(numbers.map((at) => kvix.set(records.key(at), records.value(at))));
  }
}

/** Reads for the time of a lap, and answers how many gets a second. */
async function read(kvix: KvixClient, records: Records): Promise<number> {
  const startMs = performance.now();
  const endMs = startMs + sizes.lapMs;
  let done = 0;
  let next = 0;
  const reader = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const at = (next++ * 7919) % records.count;
      const record = await kvix.get(records.key(at));
      if (record?.value.length !== valueBytes) throw new Error("a record was not found whole");
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, reader));
  return (done / (performance.now() - startMs)) * 1000;
}

const rounded = (ratio: number): number => Math.round(ratio * 100) / 100;
