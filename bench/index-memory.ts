/**
 * index-memory: bytes of index for each key, beyond the key, while the number
 * of keys doubles. Counted is every buffer that the index has allocated, what
 * ordered access needs and merges under way included; the resident set of the
 * process stands beside it.
 */
import { randomBytes } from "node:crypto";
import { Keydir } from "../src/engine/keydir/keydir.js";
import type { BenchResult } from "./bench-result.js";
import { keyBytes, sizeFrom, writeKey } from "./index-keys.js";

const samples = 2_000;
/** Puts for each step of upkeep that idle time would do. */
const putsPerStep = 64;

/** Grows an index to KVIX_BENCH_KEYS keys, then to twice as many. */
export async function run(): Promise<BenchResult> {
  const keys = sizeFrom("KVIX_BENCH_KEYS", 10_000_000);
  const before = process.memoryUsage().rss;
  const keydir = new Keydir({ seed: randomBytes(16) });
  const words = new Int32Array(keyBytes / 4);
  const key = new Uint8Array(words.buffer);
  const every = Math.max(1, Math.floor(keys / samples));
  let sum = 0;
  let count = 0;
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < 2 * keys; i++) {
    writeKey(words, 0, i);
    keydir.put(key, 0, keyBytes, i & 0xffff, i, 150, 0, i + 1);
    if (i % putsPerStep === 0) keydir.maintain();
    if (i < keys || i % every !== 0) continue;
    const bytes = keydir.bytes / keydir.count - keyBytes;
    sum += bytes;
    count++;
    least = Math.min(least, bytes);
    most = Math.max(most, bytes);
  }
  if (keydir.count !== 2 * keys) throw new Error("the keys are not distinct");
  const resident = (process.memoryUsage().rss - before) / keydir.count - keyBytes;
  const average = round(sum / count);
  return {
    name: "index-memory",
    ours: average,
    theirs: null,
    ratio: average,
    spread: [round(least), round(most)],
    unit: "bytes a key beyond the key",
    detail: { keys, toKeys: 2 * keys, samples: count, residentBeyondKey: round(resident) },
  };
}

function round(figure: number): number {
  return Math.round(figure * 100) / 100;
}
