/**
 * compaction-latency: what a compaction costs others. The p99 of Get and Set over
 * gRPC while a compaction runs, by that while none does; the worse of the two.
 *
 * Open loop: calls start when a clock says so, at 30 % of what the server managed
 * flat out, and a latency counts from that instant, so that a stall is seen by all
 * calls that it holds up. Server and client are two processes. The two manners take
 * turns; the store has enough dead bytes for every turn.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminService, KvService } from "../gen/kvix/v1/kvix_pb.js";
import { openStore } from "../src/engine/open-store.js";
import { nodeHost } from "../src/host/node-host.js";
import { RpcClient } from "../src/rpc/client.js";
import { ServerProcess } from "../test/support/server-process.js";
import type { BenchResult } from "./bench-result.js";
import { sizeFrom } from "./index-keys.js";

const MiB = 1_048_576;
const valueBytes = 1024;
const segmentBytesMax = 64 * MiB;
const batchRecords = 1000;
const peakInFlight = 64;
const loadShare = 0.3;
/** The machine forgets what the other manner left: writes under way, garbage. */
const restMs = 500;

/** Latencies of one lap in milliseconds, by kind of call. */
interface Lap {
  readonly get: number[];
  readonly set: number[];
}

/** Takes KVIX_BENCH_ROUNDS laps of KVIX_BENCH_LAP_MS in each manner. */
export async function run(): Promise<BenchResult> {
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 5);
  const lapMs = sizeFrom("KVIX_BENCH_LAP_MS", 5000);
  const keys = sizeFrom("KVIX_BENCH_KEYS", 2_000_000);
  const dataDir = mkdtempSync(join(tmpdir(), "kvix-latency-"));
  try {
    await fill(dataDir, keys);
    return await measure(dataDir, keys, rounds, lapMs);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** A store in which every other record of every segment is dead. */
async function fill(dataDir: string, keys: number): Promise<void> {
  const store = await openStore(
    { dataDir, liftFloors: true, segmentBytesMax, compaction: "manual", durability: "buffered" },
    nodeHost(),
  );
  const value = Buffer.alloc(valueBytes, 7);
  for (const step of [1, 2]) {
    let batch: { kind: "set"; key: Uint8Array; value: Uint8Array }[] = [];
    for (let number = 0; number < keys; number += step) {
      batch.push({ kind: "set", key: keyOf(number), value });
      if (batch.length < batchRecords) continue;
      await store.commit(batch);
      batch = [];
    }
    if (batch.length > 0) await store.commit(batch);
  }
  await store.hintsWritten();
  await store.close();
}

async function measure(
  dataDir: string,
  keys: number,
  rounds: number,
  lapMs: number,
): Promise<BenchResult> {
  const size = ["--lift-floors", "true", "--segment-bytes-max", `${segmentBytesMax}B`];
  const manual = ["--compaction", "manual", "--watch-retention", "0ms"];
  const server = await ServerProcess.start(dataDir, ...size, ...manual);
  const client = new RpcClient(server.address);
  try {
    const peak = await callsPerSecond(client, keys, lapMs);
    const rate = peak * loadShare;
    const idle: Lap[] = [];
    const busy: Lap[] = [];
    let readBytes = 0;
    await lap(client, keys, rate, lapMs);
    for (let round = 0; round < rounds; round += 1) {
      for (const isBusy of round % 2 === 0 ? [false, true] : [true, false]) {
        await sleep(restMs);
        if (isBusy)
          readBytes += await duringCompaction(client, async () => {
            busy.push(await lap(client, keys, rate, lapMs));
          });
        else idle.push(await lap(client, keys, rate, lapMs));
      }
    }
    return resultOf(idle, busy, { keys, rounds, lapMs, peak, rate, readBytes });
  } finally {
    client.close();
    await server.end("SIGTERM");
  }
}

/** Runs `work` while a compaction goes on, then cancels it; answers how many bytes it has read. */
async function duringCompaction(client: RpcClient, work: () => Promise<void>): Promise<number> {
  const giveUp = new AbortController();
  let bytesRead = 0;
  let hasEnded = false;
  const watching = (async () => {
    const options = { signal: giveUp.signal };
    for await (const { progress } of client.stream(AdminService.method.compact, {}, options)) {
      bytesRead = Number(progress?.bytesRead ?? 0);
    }
    hasEnded = true;
  })().catch((error: unknown) => {
    if (!giveUp.signal.aborted) throw error;
  });
  await work();
  if (hasEnded) console.error("the compaction ended before the lap did");
  giveUp.abort();
  await watching;
  return bytesRead;
}

/** What the server manages flat out: half gets, half sets, `peakInFlight` at once. */
async function callsPerSecond(client: RpcClient, keys: number, lapMs: number): Promise<number> {
  const endMs = performance.now() + lapMs;
  let calls = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await call(client, keys, calls % 2 === 0);
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: peakInFlight }, worker));
  return calls / (lapMs / 1000);
}

async function lap(client: RpcClient, keys: number, rate: number, lapMs: number): Promise<Lap> {
  const latencies: Lap = { get: [], set: [] };
  const startMs = performance.now();
  const total = Math.max(2, Math.floor((rate * lapMs) / 1000));
  const pending: Promise<void>[] = [];
  for (let number = 0; number < total; ) {
    const dueMs = startMs + (number * 1000) / rate;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0.2) {
      await (waitMs > 2 ? sleep(waitMs - 1) : new Promise((resolve) => setImmediate(resolve)));
      continue;
    }
    const isGet = number % 2 === 0;
    pending.push(
      call(client, keys, isGet).then(() => {
        (isGet ? latencies.get : latencies.set).push(performance.now() - dueMs);
      }),
    );
    number += 1;
  }
  await Promise.all(pending);
  return latencies;
}

const value = Buffer.alloc(valueBytes, 9);

async function call(client: RpcClient, keys: number, isGet: boolean): Promise<void> {
  const key = keyOf(Math.floor(Math.random() * keys));
  if (isGet) await client.call(KvService.method.get, { key });
  else await client.call(KvService.method.set, { key, value });
}

function keyOf(number: number): Uint8Array {
  return Buffer.from(`key${String(number).padStart(13, "0")}`);
}

function resultOf(
  idle: readonly Lap[],
  busy: readonly Lap[],
  sizes: Record<string, number>,
): BenchResult {
  const figures = (["get", "set"] as const).map((kind) => {
    const before = idle.map((each) => p99(each[kind]));
    const during = busy.map((each) => p99(each[kind]));
    const ratios = during.map((figure, round) => figure / (before[round] ?? Number.NaN));
    return { kind, idle: median(before), busy: median(during), ratios };
  });
  const worst = figures.reduce((one, other) =>
    one.busy / one.idle > other.busy / other.idle ? one : other,
  );
  const detail = Object.fromEntries(
    figures.flatMap(({ kind, idle: before, busy: during }) => [
      [`${kind}IdleP99Ms`, rounded(before)],
      [`${kind}CompactingP99Ms`, rounded(during)],
    ]),
  );
  const whole = Object.fromEntries(
    Object.entries(sizes).map(([name, size]) => [name, Math.round(size)]),
  );
  return {
    name: "compaction-latency",
    ours: rounded(worst.busy / worst.idle),
    theirs: null,
    ratio: rounded(worst.busy / worst.idle),
    spread: [rounded(Math.min(...worst.ratios)), rounded(Math.max(...worst.ratios))],
    unit: `times the p99 of an idle server (${worst.kind})`,
    detail: { ...detail, ...whole, valueBytes, segmentBytesMax },
  };
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
