/** kvix as a contender: an embedded store with its default options. */
import { openStore } from "../src/engine/open-store.js";
import type { Mutation } from "../src/engine/store.js";
import { nodeHost } from "../src/host/node-host.js";
import { type Contender, type OpenContender, runsOf } from "./engine-contender.js";

const never = { kind: "never" } as const;
const sync = { durability: "sync" } as const;
const buffered = { durability: "buffered" } as const;

/** How many records one batch of the bulk load has. */
const batchRecords = 1000;
/** The next batches are encoded while one is written. */
const batchesInFlight = 4;

/** Opens kvix. */
export const openKvix: OpenContender = async (directory, records): Promise<Contender> => {
  const open = () => openStore({ dataDir: directory }, nodeHost());
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
      get: "`get` of the engine, which answers at once from the page cache",
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
};
