/**
 * compaction-real: what compaction writes and leaves, measured in a store on the disk,
 * beside what compaction-zipfian simulates. The store is loaded and then overwritten
 * twelve times with keys chosen zipfian; the first two do not count. Its compaction
 * runs by its own schedule. Writes wait for it when it falls behind, as the model has
 * it: how fast it is belongs to another bench.
 *
 * Written is what the log appended, what compaction wrote, and the hints of the log's
 * segments that were seen in the directory; the space is that of all files there with the name of a
 * segment or a hint, so files that wait for their readers count.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isOverDead } from "../src/engine/compaction/policy.js";
import { openStore } from "../src/engine/open-store.js";
import type { Store } from "../src/engine/store.js";
import { nodeHost } from "../src/host/node-host.js";
import { repositoryRoot } from "../test/support/paths.js";
import type { BenchResult } from "./bench-result.js";
import { keyBytes, sizeFrom, writeKey } from "./index-keys.js";
import { KeyChoice } from "./key-choice.js";

const valueBytes = 1024;
const fullSegments = 64;
/** So many of the overwrites that count come before them, and do not. */
const warmUpShare = 0.2;
/** Below the default, because dead bytes pass it before the schedule looks again, */
const deadPercent = 27;
/** by this many percent at most: then writes wait. */
const deadPercentSlack = 3;
const inFlight = 128;
/** A run that only shows that the bench runs does not wait out the quiet minute of a start. */
const fewKeys = 50_000;
const shortIntervalMs = 5_000;
const looksPerSegment = 4;
/** How long writes wait before the bench gives up: in its first minute a store does not compact. */
const patienceMs = 120_000;

/** What was written until now, and what is there. */
interface Look {
  readonly appendedBytes: number;
  readonly writtenBytes: number;
  readonly spaceAmplification: number;
  readonly segments: number;
}

/** Overwrites KVIX_BENCH_KEYS keys in a store below the repository, KVIX_BENCH_ROUNDS times. */
export async function run(): Promise<BenchResult> {
  const keys = sizeFrom("KVIX_BENCH_KEYS", 100_000);
  const overwrites = sizeFrom("KVIX_BENCH_ROUNDS", 10);
  const home = mkdtempSync(join(repositoryRoot, ".bench-"));
  const store = await openStore(
    {
      dataDir: home,
      liftFloors: true,
      segmentBytesMax: Math.round((keys * valueBytes) / fullSegments),
      durability: "buffered",
      diskReserveBytes: 0,
      watchRetentionMs: 0,
      compactionDeadPercent: deadPercent,
      compactionBytesPerSecondMax: 2 ** 34,
      ...(keys < fewKeys ? { compactionIntervalMs: shortIntervalMs } : {}),
    },
    nodeHost(),
  );
  try {
    return await measure(store, new Directory(join(home, "segments")), { keys, overwrites });
  } finally {
    await store.close();
    rmSync(home, { recursive: true, force: true });
  }
}

interface Extent {
  readonly keys: number;
  readonly overwrites: number;
}

async function measure(
  store: Store,
  directory: Directory,
  { keys, overwrites }: Extent,
): Promise<BenchResult> {
  const warmUpWrites = Math.ceil(overwrites * warmUpShare) * keys;
  const choice = new KeyChoice("zipfian", keys, 1);
  const writer = new Writer(store);
  for (const key of choice.shuffled) await writer.write(key);
  const looks: Look[] = [];
  const lookEvery = Math.floor(keys / fullSegments / looksPerSegment);
  for (let write = 0; write < warmUpWrites + overwrites * keys; write++) {
    await writer.write(choice.next());
    if (write % lookEvery !== 0) continue;
    await keepPace(store);
    const look = directory.look(store);
    if (write >= warmUpWrites) looks.push(look);
  }
  await writer.settle();
  const [first, last] = [looks[0]!, looks.at(-1)!];
  // The figure counts at a space amplification of at most 1.5; the detail says what it was.
  const written = last.writtenBytes - first.writtenBytes;
  const ratio = round(written / (last.appendedBytes - first.appendedBytes));
  const mean = (of: (look: Look) => number) =>
    round(looks.reduce((sum, look) => sum + of(look), 0) / looks.length);
  const spaceAmplification = mean((look) => look.spaceAmplification);
  return {
    name: "compaction-real",
    ours: ratio,
    theirs: null,
    ratio,
    spread: [ratio, ratio],
    unit: "bytes written a byte",
    detail: {
      spaceAmplification,
      worstMoment: round(Math.max(...looks.map((look) => look.spaceAmplification))),
      keys,
      valueBytes,
      overwrites,
      segments: Math.round(mean((look) => look.segments)),
      deadPercent,
    },
  };
}

/** Writes with a bounded number of calls under way. */
class Writer {
  readonly #store: Store;
  readonly #value = new Uint8Array(valueBytes);
  #underWay: Promise<unknown>[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  async write(key: number): Promise<void> {
    const words = new Int32Array(keyBytes / 4);
    writeKey(words, 0, key);
    this.#underWay.push(
      this.#store.set(new Uint8Array(words.buffer), this.#value, { kind: "never" }),
    );
    if (this.#underWay.length >= inFlight) await this.settle();
  }

  async settle(): Promise<void> {
    await Promise.all(this.#underWay.splice(0));
  }
}

/** Waits while compaction has more to do than a step. */
async function keepPace(store: Store): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const { liveBytes, deadBytes, compaction } = store.stats();
    const sums = { storeBytes: liveBytes + deadBytes, storeLiveBytes: liveBytes };
    if (!isOverDead({ ...sums, deadPercent: deadPercent + deadPercentSlack })) return;
    if (performance.now() - startMs > patienceMs) {
      throw new Error(`compaction falls behind: ${compaction.state}, ${compaction.runs} runs`);
    }
    await sleep(2);
  }
}

/** The directory of the segments. */
class Directory {
  readonly #path: string;
  readonly #hints = new Set<string>();
  #hintBytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  look(store: Store): Look {
    let diskBytes = 0;
    const logHints = new Set(
      store
        .segments()
        .filter(({ role }) => role === "sealed")
        .map(({ file }) => file.replace(/seg$/, "hint")),
    );
    for (const name of readdirSync(this.#path)) {
      const isHint = name.endsWith(".hint");
      if (!isHint && !name.endsWith(".seg")) continue;
      const bytes = statSync(join(this.#path, name), { throwIfNoEntry: false })?.size ?? 0;
      diskBytes += bytes;
      // What compaction wrote counts its own hints.
      if (!isHint || !logHints.has(name) || this.#hints.has(name)) continue;
      this.#hints.add(name);
      this.#hintBytes += bytes;
    }
    const { bytesAppended, compaction, liveBytes, segments } = store.stats();
    return {
      appendedBytes: bytesAppended,
      writtenBytes: bytesAppended + compaction.bytesWritten + this.#hintBytes,
      spaceAmplification: diskBytes / liveBytes,
      segments,
    };
  }
}

function round(figure: number): number {
  return Math.round(figure * 1_000) / 1_000;
}
