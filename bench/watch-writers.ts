/**
 * watch-writers: durable puts per second while many watch keys that nobody writes, and while
 * one watches all, against the same without watchers. One store, one process; the rounds
 * alternate. Watchers are those of the engine: what the wire costs each of them is apart.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LocalStore } from "../src/engine/local-store.js";
import { openStore } from "../src/engine/open-store.js";
import type { WatchOptions } from "../src/engine/store-watch.js";
import { nodeHost } from "../src/host/node-host.js";
import type { BenchResult } from "./bench-result.js";
import { sizeFrom } from "./index-keys.js";

const IN_FLIGHT = 128;
const VALUE_BYTES = 100;
const KEYS = 100_000;
const HOUR_MS = 3_600_000;

/** Who watches in a round. */
const scenes = {
  none: [],
  hundred: manyIdle(100),
  thousand: manyIdle(1000),
  "one of all keys": [{}],
} as const satisfies Record<string, readonly WatchOptions[]>;

type SceneName = keyof typeof scenes;

/** Puts for KVIX_BENCH_MS in every scene, KVIX_BENCH_ROUNDS times. */
export async function run(): Promise<BenchResult> {
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 5);
  const roundMs = sizeFrom("KVIX_BENCH_MS", 2000);
  const dataDir = await mkdtemp(join(process.env["KVIX_BENCH_DIR"] ?? tmpdir(), "kvix-watch-"));
  const store = await openStore({ dataDir, compaction: "manual" }, nodeHost());
  const rates = new Map<SceneName, number[]>();
  try {
    await putFor(store, roundMs);
    for (let round = 0; round < rounds; round += 1) {
      for (const name of Object.keys(scenes) as SceneName[]) {
        const rate = await watched(store, scenes[name], () => putFor(store, roundMs));
        rates.set(name, [...(rates.get(name) ?? []), rate]);
      }
    }
  } finally {
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  }
  const none = rates.get("none") ?? [];
  const thousand = rates.get("thousand") ?? [];
  const ratios = thousand.map((rate, round) => rate / (none[round] as number));
  return {
    name: "watch-writers",
    ours: Math.round(median(thousand)),
    theirs: Math.round(median(none)),
    ratio: twoPlaces(median(thousand) / median(none)),
    spread: [twoPlaces(Math.min(...ratios)), twoPlaces(Math.max(...ratios))],
    unit: "puts/s",
    detail: {
      rounds,
      roundMs,
      inFlight: IN_FLIGHT,
      valueBytes: VALUE_BYTES,
      medians: Object.fromEntries(
        Array.from(rates, ([name, each]) => [name, Math.round(median(each))]),
      ),
    },
  };
}

/** Puts, with so much in flight, for a time; answers how many a second were durable. */
async function putFor(store: LocalStore, ms: number): Promise<number> {
  const value = Buffer.alloc(VALUE_BYTES, 1);
  const startMs = performance.now();
  let puts = 0;
  const writer = async (): Promise<void> => {
    while (performance.now() - startMs < ms) {
      const key = Buffer.from(`key-${puts % KEYS}`);
      puts += 1;
      await store.set(key, value, { kind: "never" });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, writer));
  return (puts / (performance.now() - startMs)) * 1000;
}

/** Runs work while others watch; who watches all must be told of it. */
async function watched(
  store: LocalStore,
  ranges: readonly WatchOptions[],
  work: () => Promise<number>,
): Promise<number> {
  const watches = ranges.map((range) => store.watch({ ...range, progressIntervalMs: HOUR_MS }));
  let [begun, told] = [0, 0];
  const reading = watches.map(async (watch) => {
    for await (const { events } of watch) {
      if (events.length === 0) begun += 1;
      told += events.length;
    }
  });
  // What it costs to begin is not what it costs to watch.
  while (begun < watches.length) await new Promise((go) => setImmediate(go));
  const before = store.version;
  const rate = await work();
  const isAll = ranges.some(({ prefix }) => prefix === undefined);
  while (isAll && told < store.version - before) await new Promise((go) => setImmediate(go));
  if (!isAll && told > 0) throw new Error("a watch was told of a key that is not its own");
  await Promise.all([...watches.map((watch) => watch.return?.()), ...reading]);
  return rate;
}

function manyIdle(count: number): WatchOptions[] {
  return Array.from({ length: count }, (_, at) => ({ prefix: Buffer.from(`idle-${at}/`) }));
}

function median(figures: readonly number[]): number {
  return figures.toSorted((one, other) => one - other)[Math.floor(figures.length / 2)] as number;
}

function twoPlaces(figure: number): number {
  return Math.round(figure * 100) / 100;
}
