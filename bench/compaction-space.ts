/**
 * compaction-disk: how much more disk a compaction takes at its worst moment, in
 * segments. The output of a step stands beside its victims until these are gone.
 *
 * compaction-empty: what is left of a store on the disk, and of its index, when every
 * key was deleted and the store compacted: a share of what it was.
 */
import type { BenchResult } from "./bench-result.js";
import { type CompactedStore, pause, withStore } from "./compaction-store.js";
import { sizeFrom } from "./index-keys.js";

const MiB = 1_048_576;
const valueBytes = 1024;
const segmentBytesMax = 16 * MiB;
/** No rate: what is measured are sizes. */
const compactionBytesPerSecondMax = 2 ** 34;
const sampleMs = 1;

/** The most that the disk has risen above what it was before, while a compaction ran. */
export async function runDisk(): Promise<BenchResult> {
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 5);
  const keys = sizeFrom("KVIX_BENCH_KEYS", 200_000);
  const rises: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    rises.push(await withStore(options(keys), (store) => worstRise(store, keys)));
  }
  const segments = rises.map((bytes) => bytes / options(keys).segmentBytesMax);
  return resultOf("compaction-disk", "segments beside the victims", segments, {
    keys,
    valueBytes,
    segmentBytesMax: options(keys).segmentBytesMax,
    rounds,
  });
}

/** Bytes of disk and of index that are left, as a share of those of the full store. */
export async function runEmpty(): Promise<BenchResult> {
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 5);
  const keys = sizeFrom("KVIX_BENCH_KEYS", 200_000);
  const shares: number[] = [];
  let leftBytes = 0;
  let indexBytes = 0;
  for (let round = 0; round < rounds; round += 1) {
    await withStore(options(keys), async (store) => {
      await store.write(keys, 1, valueBytes);
      const full = store.bytesOnDisk() + store.store.stats().indexBytes;
      await store.write(keys, 1, undefined);
      await store.compact();
      await untilIndexIsSmall(store);
      leftBytes = store.bytesOnDisk();
      indexBytes = store.store.stats().indexBytes;
      shares.push((leftBytes + indexBytes) / full);
    });
  }
  const detail = { keys, valueBytes, rounds, leftBytes, indexBytes };
  return resultOf("compaction-empty", "of disk and index are left", shares, detail);
}

/** At least thirty segments, however few the keys. */
function options(keys: number) {
  const bytes = Math.min(segmentBytesMax, Math.round((keys * valueBytes) / 30));
  return { segmentBytesMax: bytes, compactionBytesPerSecondMax };
}

async function worstRise(store: CompactedStore, keys: number): Promise<number> {
  await store.write(keys, 1, valueBytes);
  await store.write(keys, 2, valueBytes);
  await store.write(keys, 5, undefined);
  let lowest = store.bytesOnDisk();
  let worst = 0;
  let isOver = false;
  const compacting = store.compact().finally(() => {
    isOver = true;
  });
  while (!isOver) {
    const bytes = store.bytesOnDisk();
    worst = Math.max(worst, bytes - lowest);
    lowest = Math.min(lowest, bytes);
    await pause(sampleMs);
  }
  await compacting;
  return worst;
}

/** The index gives its memory back in idle moments. */
async function untilIndexIsSmall(store: CompactedStore): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) {
    const { indexBytes } = store.store.stats();
    await pause(100);
    if (store.store.stats().indexBytes === indexBytes && turn > 5) return;
  }
}

function resultOf(
  name: string,
  unit: string,
  figures: readonly number[],
  detail: Record<string, unknown>,
): BenchResult {
  const sorted = [...figures].sort((one, other) => one - other);
  const median = round(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN);
  const spread: [number, number] = [round(sorted[0]!), round(sorted.at(-1)!)];
  return { name, ours: median, theirs: null, ratio: median, spread, unit, detail };
}

function round(figure: number): number {
  return Math.round(figure * 100_000) / 100_000;
}
