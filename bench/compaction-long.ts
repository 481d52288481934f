/**
 * compaction-long: a store of twenty million keys, half of them overwritten and some
 * deleted, compacted at full speed, and asked for afterwards. What is measured is how
 * fast the victims are read; a record that is not what it should be is an error.
 */
import type { BenchResult } from "./bench-result.js";
import { type CompactedStore, keyOf, withStore } from "./compaction-store.js";
import { sizeFrom } from "./index-keys.js";

const MiB = 1_048_576;
const valueBytes = 100;
const newValueBytes = 101;
const segmentBytesMax = 64 * MiB;
const overwrittenEvery = 2;
const deletedEvery = 7;
/** A prime: one record in so many is read afterwards. */
const checkedEvery = 101;

/** KVIX_BENCH_KEYS keys; one round, for it takes minutes. */
export async function run(): Promise<BenchResult> {
  const keys = sizeFrom("KVIX_BENCH_KEYS", 20_000_000);
  const options = {
    segmentBytesMax: Math.min(segmentBytesMax, Math.round((keys * valueBytes) / 10)),
    compactionBytesPerSecondMax: 2 ** 34,
  };
  return await withStore(options, async (store) => {
    await store.write(keys, 1, valueBytes);
    await store.write(keys, overwrittenEvery, newValueBytes);
    await store.write(keys, deletedEvery, undefined);
    const before = store.bytesOnDisk();
    const startMs = performance.now();
    const end = await store.compact();
    const seconds = (performance.now() - startMs) / 1000;
    const checked = await check(store, keys);
    const rate = Number((end.bytesRead / MiB / seconds).toPrecision(3));
    return {
      name: "compaction-long",
      ours: rate,
      theirs: null,
      ratio: rate,
      spread: [rate, rate],
      unit: "MiB of victims a second",
      detail: {
        keys,
        valueBytes,
        seconds: Math.round(seconds),
        victims: end.segmentsDone,
        mebibytesBefore: Math.round(before / MiB),
        mebibytesAfter: Math.round(store.bytesOnDisk() / MiB),
        mebibytesWritten: Math.round(end.bytesWritten / MiB),
        recordsChecked: checked,
        residentMebibytes: Math.round(process.memoryUsage.rss() / MiB),
      },
    };
  });
}

/** Reads some of the records. Throws if one is not as it was written last. */
async function check({ store }: CompactedStore, keys: number): Promise<number> {
  let checked = 0;
  for (let number = 0; number < keys; number += checkedEvery) {
    const record = await store.get(keyOf(number));
    const isDeleted = number % deletedEvery === 0;
    const wanted = number % overwrittenEvery === 0 ? newValueBytes : valueBytes;
    if (isDeleted ? record !== undefined : record?.value.length !== wanted) {
      throw new Error(`record ${number} is not what it was written to be`);
    }
    checked += 1;
  }
  const left = Math.ceil(keys / deletedEvery);
  if (store.stats().keys !== keys - left) throw new Error(`${store.stats().keys} keys are left`);
  return checked;
}
