/** Real stores that compactions are measured in: filled, overwritten, deleted from, and weighed. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../src/engine/open-store.js";
import type { StoreOptionsInput } from "../src/engine/options.js";
import type { Mutation, Store } from "../src/engine/store.js";
import type { CompactionProgress } from "../src/engine/store-stats.js";
import { nodeHost } from "../src/host/node-host.js";
import { repositoryRoot } from "../test/support/paths.js";
import { writeKey } from "./index-keys.js";

const batchRecords = 1000;
const batchesInFlight = 4;

/** A store of its own, which goes when `use` has ended. */
export async function withStore<Result>(
  options: Omit<StoreOptionsInput, "dataDir">,
  use: (store: CompactedStore) => Promise<Result>,
): Promise<Result> {
  const dataDir = mkdtempSync(join(repositoryRoot, ".bench-"));
  const store = await openStore(
    {
      liftFloors: true,
      durability: "buffered",
      compaction: "manual",
      watchRetentionMs: 0,
      diskReserveBytes: 0,
      ...options,
      dataDir,
    },
    nodeHost(),
  );
  try {
    return await use(new CompactedStore(store, join(dataDir, "segments")));
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** A store, and the directory of its segments. */
export class CompactedStore {
  readonly store: Store;
  readonly #directory: string;

  constructor(store: Store, directory: string) {
    this.store = store;
    this.#directory = directory;
  }

  /** The bytes of all segments and hints, as the directory has them. */
  bytesOnDisk(): number {
    let bytes = 0;
    for (const name of readdirSync(this.#directory)) {
      if (!/\.(seg|hint)(\.tmp)?$/.test(name)) continue;
      bytes += statSync(join(this.#directory, name), { throwIfNoEntry: false })?.size ?? 0;
    }
    return bytes;
  }

  /** Writes every `step`th key below `keys`, with a value of so many bytes; none: deletes it. */
  async write(keys: number, step: number, valueBytes: number | undefined): Promise<void> {
    const value = valueBytes === undefined ? undefined : Buffer.alloc(valueBytes, 7);
    const underWay = new Set<Promise<unknown>>();
    let batch: Mutation[] = [];
    const send = async (): Promise<void> => {
      const sent = this.store.commit(batch).finally(() => underWay.delete(sent));
      underWay.add(sent);
      batch = [];
      if (underWay.size >= batchesInFlight) await Promise.race(underWay);
    };
    for (let number = 0; number < keys; number += step) {
      const key = keyOf(number);
      batch.push(value === undefined ? { kind: "delete", key } : { kind: "set", key, value });
      if (batch.length === batchRecords) await send();
    }
    if (batch.length > 0) await send();
    await Promise.all(underWay);
    await this.store.sync();
    while (this.store.stats().hintsMissing > 0) await pause(10);
  }

  /** Compacts to the end; anything but that is an error. */
  async compact(): Promise<CompactionProgress> {
    let last: CompactionProgress | undefined;
    for await (const progress of this.store.compact()) last = progress;
    if (last?.outcome !== "completed") throw new Error(`${last?.outcome}: ${last?.why}`);
    return last;
  }
}

/** The key of a number: 16 bytes. */
export function keyOf(number: number): Uint8Array {
  const words = new Int32Array(4);
  writeKey(words, 0, number);
  return new Uint8Array(words.buffer);
}

/** Lets time pass. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
