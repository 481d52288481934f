/**
 * index-stall: the longest that one call keeps the event loop while the index
 * grows: every put and every step of upkeep is timed, whatever else the process
 * does in between (collecting garbage, waiting for a processor) included. The
 * index itself counts the bytes of pages that a step touches.
 */
import { randomBytes } from "node:crypto";
import { Keydir } from "../src/engine/keydir/keydir.js";
import type { BenchResult } from "./bench-result.js";
import { keyBytes, sizeFrom, writeKey } from "./index-keys.js";

const stepBytesMax = 65_536;
const warmUpKeys = 200_000;

interface Growth {
  readonly longestPutMs: number;
  readonly longestStepMs: number;
  readonly stepBytes: number;
  readonly putsPerSecond: number;
  /** How often the system gave the processor to somebody else. */
  readonly preemptions: number;
}

/** Grows an index to KVIX_BENCH_KEYS keys, several times. */
export async function run(): Promise<BenchResult> {
  const keys = sizeFrom("KVIX_BENCH_KEYS", 10_000_000);
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 3);
  // The compiler's first look at all this is no step of the index.
  grow(Math.min(keys, warmUpKeys));
  const growths = Array.from({ length: rounds }, () => grow(keys));
  const longest = growths
    .map(({ longestPutMs, longestStepMs }) => Math.max(longestPutMs, longestStepMs))
    .sort((left, right) => left - right);
  const median = round(longest[Math.floor((rounds - 1) / 2)]!);
  return {
    name: "index-stall",
    ours: median,
    theirs: null,
    ratio: median,
    spread: [round(longest[0]!), round(longest[rounds - 1]!)],
    unit: "ms",
    detail: { keys, rounds, growths },
  };
}

function grow(keys: number): Growth {
  const keydir = new Keydir({ seed: randomBytes(16) });
  const words = new Int32Array(keyBytes / 4);
  const key = new Uint8Array(words.buffer);
  let longestPutMs = 0;
  let longestStepMs = 0;
  const switchesBefore = process.resourceUsage().involuntaryContextSwitches;
  const startMs = performance.now();
  for (let i = 0; i < keys; i++) {
    writeKey(words, 0, i);
    const putMs = performance.now();
    keydir.put(key, 0, keyBytes, i & 0xffff, i, 150, 0, i + 1);
    const endMs = performance.now();
    longestPutMs = Math.max(longestPutMs, endMs - putMs);
  }
  const putsPerSecond = Math.round((keys / (performance.now() - startMs)) * 1_000);
  for (let more = true; more; ) {
    const stepMs = performance.now();
    more = keydir.maintain();
    longestStepMs = Math.max(longestStepMs, performance.now() - stepMs);
  }
  if (keydir.count !== keys) throw new Error("the keys are not distinct");
  const stepBytes = keydir.worstStepBytes;
  if (stepBytes > stepBytesMax) throw new Error(`a step touched ${stepBytes} bytes`);
  return {
    longestPutMs: round(longestPutMs),
    longestStepMs: round(longestStepMs),
    stepBytes,
    putsPerSecond,
    preemptions: process.resourceUsage().involuntaryContextSwitches - switchesBefore,
  };
}

function round(figure: number): number {
  return Math.round(figure * 1_000) / 1_000;
}
