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
      get: "`await get`, one at a time",
      load: `\`batch\` of ${batchRecords}, buffered, the last one sync`,
    },
    put: (index) => store.set(records.key(index), records.value(index), never, sync),
    get: async (index) => (await store.get(records.key(index)))?.value,
    getsLater: true,
    load: async () => {
      for (const [first, end] of runsOf(records, batchRecords)) {
        // A sync write makes every write before it durable too.
        await store.batch(mutationsOf(first, end), end === records.count ? sync : buffered);
      }
    },
    settle: async () => {
      await store.close();
      store = await open();
    },
    close: () => store.close(),
  };
};
