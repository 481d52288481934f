/** kvix as a contender: an embedded store with its default options, or without its cache. */
import { openStore } from "../src/engine/open-store.js";
import type { StoreOptionsInput } from "../src/engine/options.js";
import type { Mutation } from "../src/engine/store.js";
import { nodeHost } from "../src/host/node-host.js";
import { type Contender, type OpenContender, runsOf } from "./engine-contender.js";
import type { Records } from "./engine-records.js";

const never = { kind: "never" } as const;
const sync = { durability: "sync" } as const;
const buffered = { durability: "buffered" } as const;

/** How many records one batch of the bulk load has. */
const batchRecords = 1000;
/** The next batches are encoded while one is written. */
const batchesInFlight = 4;

/** Opens kvix as a program gets it that sets no option. */
export const openKvix: OpenContender = (directory, records) => openWith({}, directory, records);

/** Opens kvix so that every get reads the file. */
export const openUncachedKvix: OpenContender = (directory, records) =>
  openWith({ cacheBytesMax: 0 }, directory, records);

async function openWith(
  options: Omit<StoreOptionsInput, "dataDir">,
  directory: string,
  records: Records,
): Promise<Contender> {
  const open = () => openStore({ ...options, dataDir: directory }, nodeHost());
  let store = await open();
  const mutationsOf = (first: number, end: number): Mutation[] =>
    Array.from({ length: end - first }, (_, at) => ({
      kind: "set",
      key: records.key(first + at),
      value: records.value(first + at),
    }));
  return {
    manner: {
      put: "`set`, durability sync",
      get:
        options.cacheBytesMax === 0
          ? "`get` of the engine with `cacheBytesMax` 0: one `pread` each"
          : "`get` of the engine; what it has read before is in its cache of 128 MiB",
      load: `\`batch\` of ${batchRecords}, ${batchesInFlight} in flight, buffered, the last one sync`,
    },
    put: (index) => store.set(records.key(index), records.value(index), never, sync),
    get: (index) => {
      const found = store.get(records.key(index));
      return found instanceof Promise ? found.then((record) => record?.value) : found?.value;
    },
    load: async () => {
      const inFlight: Promise<unknown>[] = [];
      for (const [first, end] of runsOf(records, batchRecords)) {
        if (inFlight.length === batchesInFlight) await inFlight.shift();
        // A sync write makes every write before it durable too.
        const durability = end === records.count ? sync : buffered;
        inFlight.push(store.batch(mutationsOf(first, end), durability));
      }
      await Promise.all(inFlight);
    },
    settle: async () => {
      await store.close();
      store = await open();
    },
    close: () => store.close(),
  };
}
