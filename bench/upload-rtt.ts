/**
 * upload-rtt: how fast a value of 4 MiB is stored over a connection with a round
 * trip of 20 ms, by unary Set. HTTP/2 lets a client send one window and then wait
 * for the server, so the window decides; the other side is the same server with
 * the window that HTTP/2 has by default.
 *
 * Server, proxy and client are three processes; the sides take turns.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { KvService } from "../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../src/rpc/client.js";
import { ServerProcess } from "../test/support/server-process.js";
import type { BenchResult } from "./bench-result.js";
import { sizeFrom } from "./index-keys.js";

const roundTripMs = 20;
const defaultWindowBytes = 65_535;
const mebibyte = 1_048_576;
/** With key and framing it is the largest message that every client takes. */
const valueBytes = 4 * mebibyte - 256;
/** Uploads of one turn; of each turn the median counts. */
const uploadsPerTurn = 5;
const key = Buffer.from("upload");

const proxyPath = fileURLToPath(new URL("./delay-proxy.js", import.meta.url));

interface Side {
  readonly client: RpcClient;
  readonly rates: number[];
  readonly stop: () => Promise<void>;
}

/** Uploads by turns, KVIX_BENCH_ROUNDS turns a side. */
export async function run(): Promise<BenchResult> {
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 7);
  const ours = await startSide();
  const theirs = await startSide("--stream-window-bytes", String(defaultWindowBytes));
  try {
    for (const side of [ours, theirs]) await upload(side);
    for (let round = 0; round < rounds; round++) {
      const turn = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
      for (const side of turn) side.rates.push(await takeTurn(side));
    }
  } finally {
    await ours.stop();
    await theirs.stop();
  }
  const ratios = ours.rates.map((rate, round) => rate / (theirs.rates[round] ?? Number.NaN));
  return {
    name: "upload-rtt",
    ours: rounded(median(ours.rates)),
    theirs: rounded(median(theirs.rates)),
    ratio: rounded(median(ours.rates) / median(theirs.rates)),
    spread: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    unit: "MiB/s",
    detail: { best: "window of 64 KiB", roundTripMs, valueBytes, rounds, uploadsPerTurn },
  };
}

async function startSide(...flags: readonly string[]): Promise<Side> {
  const dataDir = mkdtempSync(join(tmpdir(), "kvix-upload-"));
  const server = await ServerProcess.start(dataDir, ...flags);
  const port = server.address.split(":").at(-1) ?? "";
  const proxy = spawn(process.execPath, [proxyPath, port, String(roundTripMs / 2)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const client = new RpcClient(`127.0.0.1:${await firstLine(proxy)}`);
  const stop = async (): Promise<void> => {
    client.close();
    await server.end("SIGTERM");
    proxy.kill();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { client, rates: [], stop };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("the proxy has no output");
  for await (const line of createInterface({ input: stdout })) return line;
  throw new Error("the proxy ended");
}

async function takeTurn(side: Side): Promise<number> {
  const rates: number[] = [];
  for (let i = 0; i < uploadsPerTurn; i++) rates.push(await upload(side));
  return median(rates);
}

/** One upload, in MiB a second. */
async function upload({ client }: Side): Promise<number> {
  const value = Buffer.alloc(valueBytes, 7);
  const startMs = performance.now();
  const { applied } = await client.call(KvService.method.set, { key, value });
  if (!applied) throw new Error("the upload was not applied");
  return valueBytes / mebibyte / ((performance.now() - startMs) / 1000);
}

function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

function rounded(figure: number): number {
  return Math.round(figure * 100) / 100;
}
