/**
 * Measures how long a store takes to open: it is written once, and then opened
 * by one new process after the other, the compiler's first look at everything
 * included. Warm: the files are in the page cache. Cold: they were dropped from
 * it before.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LocalStore } from "../src/engine/local-store.js";
import { openStore } from "../src/engine/open-store.js";
import type { StoreOptionsInput } from "../src/engine/options.js";
import type { OpenStats } from "../src/engine/store-stats.js";
import { nodeHost } from "../src/host/node-host.js";
import { repositoryRoot } from "../test/support/paths.js";
import type { BenchResult } from "./bench-result.js";
import { median } from "./engine-rounds.js";
import { keyBytes, sizeFrom, writeKey } from "./index-keys.js";

/** What one opening took. */
export interface Opening {
  readonly milliseconds: number;
  readonly keys: number;
  readonly open: OpenStats;
  /** The most memory that the process had, in bytes. */
  readonly peakBytes: number;
}

/** What is to be measured. */
export interface OpeningBench {
  readonly name: string;
  /** Keys of the store, unless the environment says otherwise. */
  readonly keys: number;
  /** Whether the processes are held to one core, where that is possible. */
  readonly isOneCore: boolean;
  /** Brings the directory of the closed store into the state that is opened. */
  readonly prepare: (directory: string) => void;
  /** Throws if an opening did not go the way that is measured. */
  readonly check: (opening: Opening) => void;
}

const valueBytes = 16;
const batchRecords = 1000;
const batchesInFlight = 4;
const segmentBytesMax = 64 * 1024 * 1024;
const never = { kind: "never" } as const;

/** How the store of an opening bench is written and opened. */
export function benchStoreOptions(dataDir: string): StoreOptionsInput {
  return { dataDir, segmentBytesMax, liftFloors: true, diskReserveBytes: 0, compaction: "manual" };
}

/** Writes a store, and opens it in several rounds. The figure is million keys per second, warm. */
export async function measureOpening(bench: OpeningBench): Promise<BenchResult> {
  const keys = sizeFrom("KVIX_BENCH_KEYS", bench.keys);
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 5);
  const isPinned = bench.isOneCore && canPin;
  const parent = process.env["KVIX_BENCH_DIR"] ?? join(repositoryRoot, "node_modules", ".cache");
  mkdirSync(parent, { recursive: true });
  const home = mkdtempSync(join(parent, "kvix-open-"));
  try {
    const { closeMs } = await writeStore(home, keys);
    bench.prepare(home);
    const openOnce = (): Opening => {
      const opening = openInProcess(home, isPinned);
      if (opening.keys !== keys) throw new Error(`${opening.keys} of ${keys} keys were found`);
      bench.check(opening);
      return opening;
    };
    openOnce();
    const warm = Array.from({ length: rounds }, openOnce);
    const cold = dropFromPageCache(home) ? openOnce() : undefined;
    const rates = warm.map(({ milliseconds }) => keys / milliseconds / 1000);
    const ours = rounded(median(rates));
    return {
      name: bench.name,
      ours,
      theirs: null,
      ratio: ours,
      spread: [rounded(Math.min(...rates)), rounded(Math.max(...rates))],
      unit: "million keys/s",
      detail: {
        keys,
        keyBytes,
        valueBytes,
        segments: warm[0]?.open.segments,
        rounds,
        cold: cold === undefined ? "not measured" : rounded(keys / cold.milliseconds / 1000),
        closeMs: Math.round(closeMs),
        peakMiB: Math.round(Math.max(...warm.map(({ peakBytes }) => peakBytes)) / 2 ** 20),
        oneCore: isPinned,
      },
    };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Writes `keys` records into sealed segments with hints; the active one has next to nothing. */
async function writeStore(directory: string, keys: number): Promise<{ closeMs: number }> {
  const store = await openStore(benchStoreOptions(directory), nodeHost());
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < keys) {
      const first = next;
      next = Math.min(first + batchRecords, keys);
      await store.commit(mutationsOf(first, next), { durability: "buffered" });
    }
  };
  await Promise.all(Array.from({ length: batchesInFlight }, writer));
  await sealActive(store);
  await store.hintsWritten();
  const startMs = performance.now();
  await store.close();
  return { closeMs: performance.now() - startMs };
}

function mutationsOf(first: number, end: number) {
  return Array.from({ length: end - first }, (_, at) => {
    const words = new Int32Array(keyBytes / 4);
    writeKey(words, 0, first + at);
    const key = new Uint8Array(words.buffer);
    return { kind: "set", key, value: key.subarray(0, valueBytes), expiry: never } as const;
  });
}

/** Overwrites one key by a value that fills the segment, and then by one that begins the next. */
async function sealActive(store: LocalStore): Promise<void> {
  const words = new Int32Array(keyBytes / 4);
  writeKey(words, 0, 0);
  const key = new Uint8Array(words.buffer);
  const active = store.segments().find(({ role }) => role === "active");
  const frameBytesMax = 256;
  const room = segmentBytesMax - (active?.bytes ?? 0) - 2 * frameBytesMax;
  if (room > 0) await store.set(key, new Uint8Array(room), never);
  await store.set(key, new Uint8Array(4 * frameBytesMax), never);
}

/** Whether processes can be held to one core here. */
const canPin = spawnSync("taskset", ["-c", "0", "true"]).status === 0;

function openInProcess(directory: string, isPinned: boolean): Opening {
  const program = fileURLToPath(new URL("./open-side.js", import.meta.url));
  const command = [process.execPath, program, directory];
  const [file = "", ...rest] = isPinned ? ["taskset", "-c", "0", ...command] : command;
  const output = execFileSync(file, rest, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Opening;
}

/** Asks the system to forget the files of a folder; false where it cannot be asked. */
function dropFromPageCache(directory: string): boolean {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .every(({ parentPath, name }) => {
      const path = join(parentPath, name);
      const how = ["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"];
      return spawnSync("dd", [`of=${path}`, ...how]).status === 0;
    });
}

const rounded = (figure: number): number => Math.round(figure * 1000) / 1000;
