/**
 * upload-latency: what an upload of 100 MiB costs those who write meanwhile. The p99 of
 * durable Sets over gRPC in laps in which one is uploaded, by that in laps in which none
 * is.
 *
 * Open loop: calls start when a clock says so, and a latency counts from that instant, so
 * that a stall is seen by all calls that it holds up. Server and client are two processes;
 * the manners take turns.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { KvService } from "../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../src/rpc/client.js";
import { uploadClient } from "../test/support/upload-call.js";
import type { BenchResult } from "./bench-result.js";
import { sizeFrom } from "./index-keys.js";
import { startBusy, uploadChunks } from "./upload-load.js";

const MiB = 1_048_576;
/** Far below what a server manages, so that only what holds it up shows. */
const setsPerSecond = 100;
const restMs = 500;
const value = Buffer.alloc(100, 7);

/** Takes KVIX_BENCH_ROUNDS laps of KVIX_BENCH_LAP_MS in each manner. */
export async function run(): Promise<BenchResult> {
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 5);
  const lapMs = sizeFrom("KVIX_BENCH_LAP_MS", 10_000);
  const valueBytes = sizeFrom("KVIX_BENCH_VALUE_MIB", 100) * MiB;
  const dataDir = mkdtempSync(join(tmpdir(), "kvix-upload-latency-"));
  const server = await startBusy(dataDir);
  const sets = new RpcClient(server.address, { "grpc.use_local_subchannel_pool": 1 });
  const uploads = uploadClient(server.address);
  const quiet: number[][] = [];
  const busy: number[][] = [];
  const uploadMs: number[] = [];
  try {
    await lap(sets, lapMs);
    for (let round = 0; round < rounds; round += 1) {
      for (const isBusy of round % 2 === 0 ? [false, true] : [true, false]) {
        await sleep(restMs);
        const startMs = performance.now();
        const upload = isBusy
          ? uploadChunks(uploads, Buffer.from("large"), valueBytes).then(() => {
              uploadMs.push(performance.now() - startMs);
            })
          : undefined;
        (isBusy ? busy : quiet).push(await lap(sets, lapMs));
        await upload;
      }
    }
  } finally {
    sets.close();
    uploads.close();
    await server.end("SIGTERM");
    rmSync(dataDir, { recursive: true, force: true });
  }
  const [before, during] = [quiet.map(p99), busy.map(p99)];
  const ratios = during.map((figure, round) => figure / (before[round] ?? Number.NaN));
  return {
    name: "upload-latency",
    ours: rounded(median(during)),
    theirs: null,
    ratio: rounded(median(during)),
    spread: [rounded(Math.min(...during)), rounded(Math.max(...during))],
    unit: "ms p99 of Set",
    detail: {
      quietP99Ms: rounded(median(before)),
      timesQuiet: rounded(median(ratios)),
      longestMs: rounded(median(busy.map((latencies) => Math.max(...latencies)))),
      uploadMs: Math.round(median(uploadMs)),
      rounds,
      lapMs,
      valueBytes,
      setsPerSecond,
      loadAverage: rounded(loadavg()[0] ?? 0),
    },
  };
}

async function lap(client: RpcClient, lapMs: number): Promise<number[]> {
  const latencies: number[] = [];
  const pending: Promise<void>[] = [];
  const startMs = performance.now();
  const total = (setsPerSecond * lapMs) / 1000;
  for (let number = 0; number < total; number += 1) {
    const dueMs = startMs + (number * 1000) / setsPerSecond;
    await sleep(Math.max(0, dueMs - performance.now()));
    const key = Buffer.from(`key${number}`);
    pending.push(
      client.call(KvService.method.set, { key, value }).then(() => {
        latencies.push(performance.now() - dueMs);
      }),
    );
  }
  await Promise.all(pending);
  return latencies;
}

function p99(latencies: readonly number[]): number {
  const sorted = [...latencies].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? Number.NaN;
}

function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function rounded(figure: number): number {
  return Math.round(figure * 100) / 100;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
