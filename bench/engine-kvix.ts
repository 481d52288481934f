/** kvix as a contender: an embedded store with its default options, or without its cache. */
import { openStore } from "../src/engine/open-store.js";
import type { StoreOptionsInput } from "../src/engine/options.js";
import type { Mutation } from "../src/engine/store.js";
import { nodeHost } from "../src/host/node-host.js";
import {
  batchesInFlight,
  batchRecords,
  type Contender,
  loadInFlight,
  type OpenContender,
} from "./engine-contender.js";
import type { Records } from "./engine-records.js";

const never = { kind: "never" } as const;
const sync = { durability: "sync" } as const;
const buffered = { durability: "buffered" } as const;

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
          : "`get` of the engine; what it has read before is in its cache of 256 MiB",
      "load each": `\`batch\` of ${batchRecords}, sync, ${batchesInFlight} in flight`,
      "load end": `\`batch\` of ${batchRecords}, buffered, ${batchesInFlight} in flight, the last one sync`,
    },
    put: (index) => store.set(records.key(index), records.value(index), never, sync),
    get: (index) => {
      const found = store.get(records.key(index));
      return found instanceof Promise ? found.then((record) => record?.value) : found?.value;
    },
    load: (durability) =>
      loadInFlight(records, (first, end) => {
        // A sync write makes every write before it durable too.
        const isSync = durability === "each" || end === records.count;
        return store.commit(mutationsOf(first, end), isSync ? sync : buffered);
      }),
    settle: async () => {
      await store.close();
      store = await open();
    },
    close: () => store.close(),
  };
}
