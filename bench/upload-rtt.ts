/**
 * upload-rtt: how fast one Upload of 64 MiB is over a connection with a round trip of
 * 20 ms, from its first byte to the answer, durable. HTTP/2 lets a client send one window
 * and then wait for the server, so the window decides; beside it, the same server with
 * the window that HTTP/2 has by default.
 *
 * Server, proxy and client are three processes; the sides take turns.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Client } from "@grpc/grpc-js";
import { uploadClient, uploadOver } from "../test/support/upload-call.js";
import type { BenchResult } from "./bench-result.js";
import { sizeFrom } from "./index-keys.js";
import { startBusy } from "./upload-load.js";

const roundTripMs = 20;
const defaultWindowBytes = 65_535;
const mebibyte = 1_048_576;
const chunkBytes = 256 * 1024;
/** The side that is slow uploads so much less: its rate does not depend on the length. */
const lessBy = 8;
const key = Buffer.from("upload");

const proxyPath = fileURLToPath(new URL("./delay-proxy.js", import.meta.url));

interface Side {
  readonly client: Client;
  readonly valueBytes: number;
  readonly rates: number[];
  readonly stop: () => Promise<void>;
}

/** Uploads KVIX_BENCH_VALUE_MIB by turns, KVIX_BENCH_ROUNDS turns a side. */
export async function run(): Promise<BenchResult> {
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 7);
  const valueBytes = sizeFrom("KVIX_BENCH_VALUE_MIB", 64) * mebibyte;
  const ours = await startSide(valueBytes);
  const theirs = await startSide(
    valueBytes / lessBy,
    "--stream-window-bytes",
    String(defaultWindowBytes),
  );
  try {
    for (const side of [ours, theirs]) await upload(side);
    for (let round = 0; round < rounds; round++) {
      const turn = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
      for (const side of turn) side.rates.push(await upload(side));
    }
  } finally {
    await ours.stop();
    await theirs.stop();
  }
  const rate = rounded(median(ours.rates));
  return {
    name: "upload-rtt",
    ours: rate,
    theirs: null,
    ratio: rate,
    spread: [rounded(Math.min(...ours.rates)), rounded(Math.max(...ours.rates))],
    unit: "MiB/s",
    detail: {
      roundTripMs,
      valueBytes,
      chunkBytes,
      rounds,
      defaultWindow: rounded(median(theirs.rates)),
      // With other work on the machine the three processes have less than they need.
      loadAverage: rounded(loadavg()[0] ?? 0),
    },
  };
}

async function startSide(length: number, ...flags: readonly string[]): Promise<Side> {
  const dataDir = mkdtempSync(join(tmpdir(), "kvix-upload-"));
  const server = await startBusy(dataDir, ...flags);
  const port = server.address.split(":").at(-1) ?? "";
  const proxy = spawn(process.execPath, [proxyPath, port, String(roundTripMs / 2)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const client = uploadClient(`127.0.0.1:${await firstLine(proxy)}`);
  const stop = async (): Promise<void> => {
    client.close();
    await server.end("SIGTERM");
    proxy.kill();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { client, valueBytes: length, rates: [], stop };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("the proxy has no output");
  for await (const line of createInterface({ input: stdout })) return line;
  throw new Error("the proxy ended");
}

/** One upload, in MiB a second. */
async function upload({ client, valueBytes: length }: Side): Promise<number> {
  const value = Buffer.alloc(length, 7);
  const startMs = performance.now();
  const { applied } = await uploadOver(client, { key }, value, chunkBytes);
  if (!applied) throw new Error("the upload was not applied");
  return length / mebibyte / ((performance.now() - startMs) / 1000);
}

function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

function rounded(figure: number): number {
  return Math.round(figure * 100) / 100;
}
