/**
 * index-get: what it takes to look up a random key in a large index and read
 * all fields of its entry. The key is compared byte by byte; that the right
 * entry was found is checked by its version.
 */
import { randomBytes, randomInt } from "node:crypto";
import { Keydir, NO_ENTRY } from "../src/engine/keydir/keydir.js";
import type { BenchResult } from "./bench-result.js";
import { keyBytes, sizeFrom, writeKey } from "./index-keys.js";

const lookUps = 1_000_000;

/** Looks up random keys among KVIX_BENCH_KEYS, a million in each round. */
export async function run(): Promise<BenchResult> {
  const keys = sizeFrom("KVIX_BENCH_KEYS", 10_000_000);
  const rounds = Math.max(5, sizeFrom("KVIX_BENCH_ROUNDS", 7));
  const keydir = fill(keys);
  const microseconds = Array.from({ length: rounds }, () => lookUp(keydir, keys)).sort(
    (left, right) => left - right,
  );
  const median = round(microseconds[Math.floor(rounds / 2)]!);
  return {
    name: "index-get",
    ours: median,
    theirs: null,
    ratio: median,
    spread: [round(microseconds[0]!), round(microseconds[rounds - 1]!)],
    unit: "us a look-up",
    detail: { keys, rounds, lookUps },
  };
}

function fill(keys: number): Keydir {
  const keydir = new Keydir({ seed: randomBytes(16) });
  const words = new Int32Array(keyBytes / 4);
  const key = new Uint8Array(words.buffer);
  for (let i = 0; i < keys; i++) {
    writeKey(words, 0, i);
    keydir.put(key, 0, keyBytes, i & 0xffff, i, 150, 0, i + 1);
  }
  while (keydir.maintain());
  return keydir;
}

/** One round; microseconds for each look-up. */
function lookUp(keydir: Keydir, keys: number): number {
  const numbers = new Uint32Array(lookUps);
  const words = new Int32Array(lookUps * (keyBytes / 4));
  const asked = new Uint8Array(words.buffer);
  let state = randomInt(1, 2 ** 31);
  for (let i = 0; i < lookUps; i++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    const number = Math.floor(((state >>> 0) / 2 ** 32) * keys);
    numbers[i] = number;
    writeKey(words, i * (keyBytes / 4), number);
  }
  let wrong = 0;
  const startMs = performance.now();
  for (let i = 0; i < lookUps; i++) {
    const entry = keydir.findIn(asked, i * keyBytes, (i + 1) * keyBytes);
    const number = numbers[i]!;
    if (
      entry === NO_ENTRY ||
      keydir.versionOf(entry) !== number + 1 ||
      keydir.offsetOf(entry) !== number ||
      keydir.segmentOf(entry) !== (number & 0xffff) ||
      keydir.lengthOf(entry) !== 150 ||
      keydir.expiresAtMsOf(entry) !== 0
    ) {
      wrong++;
    }
  }
  const lookUpMs = performance.now() - startMs;
  if (wrong > 0) throw new Error(`${wrong} look-ups found the wrong entry`);
  return (lookUpMs * 1_000) / lookUps;
}

function round(figure: number): number {
  return Math.round(figure * 1_000) / 1_000;
}
