/**
 * What the engine benches ask of a store, so that kvix and the others do the
 * same work. One contender runs in one process.
 */
import type { Records } from "./engine-records.js";

/** The other stores. */
export const peerNames = ["lmdb", "classic-level", "better-sqlite3"] as const;

/** What is measured; `kvix-uncached` is kvix without its cache of records. */
export type ContenderName = "kvix" | "kvix-uncached" | (typeof peerNames)[number];

/** When a bulk load must have made a batch durable: before it is acknowledged, or all of them at the end. */
export type LoadDurability = "each" | "end";

/** What a store can be seen doing. */
export type Doing = "put" | "get" | "load each" | "load end";

/** An open store. Record numbers refer to the records it was opened with. */
export interface Contender {
  /** How it is used here, in a few words, for the page that shows the figures. */
  readonly manner: Readonly<Record<Doing, string>>;
  /** Writes one record; it survives power loss when the promise resolves, or on return. */
  put(index: number): Promise<unknown> | undefined;
  /** The value of one record; at once where the store can. */
  get(index: number): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  /** Writes all records in bulk; they survive power loss when the promise resolves. */
  load(durability: LoadDurability): Promise<void>;
  /** Brings what was loaded into the state in which it reads best. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a store in a directory that exists. */
export type OpenContender = (directory: string, records: Records) => Promise<Contender>;

/** How many records one batch of a bulk load has, where the store does not do better with another number. */
export const batchRecords = 1000;
/** Batches that wait for their sync while the next one is made. */
export const batchesInFlight = 4;

/** Runs `write` for one batch after the other, `batchesInFlight` of them at a time. */
export async function loadInFlight(
  records: Records,
  write: (first: number, end: number) => Promise<unknown>,
): Promise<void> {
  const inFlight: Promise<unknown>[] = [];
  for (const [first, end] of runsOf(records, batchRecords)) {
    if (inFlight.length === batchesInFlight) await inFlight.shift();
    inFlight.push(write(first, end));
  }
  await Promise.all(inFlight);
}

/** The records in runs of at most `size`, as [first, past the last]. */
export function runsOf(records: Records, size: number): [number, number][] {
  const runs: [number, number][] = [];
  for (let first = 0; first < records.count; first += size) {
    runs.push([first, Math.min(first + size, records.count)]);
  }
  return runs;
}
