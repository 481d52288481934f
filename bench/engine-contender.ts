/**
 * What the engine benches ask of a store, so that kvix and the others do the
 * same work. One contender runs in one process.
 */
import type { Records } from "./engine-records.js";

/** The other stores. */
export const peerNames = ["lmdb", "classic-level", "better-sqlite3"] as const;

/** What is measured; `kvix-uncached` is kvix without its cache of records. */
export type ContenderName = "kvix" | "kvix-uncached" | (typeof peerNames)[number];

/** An open store. Record numbers refer to the records it was opened with. */
export interface Contender {
  /** How it is used here, in a few words, for the page that shows the figures. */
  readonly manner: Readonly<Record<"put" | "get" | "load", string>>;
  /** Writes one record; it survives power loss when the promise resolves, or on return. */
  put(index: number): Promise<unknown> | undefined;
  /** The value of one record; at once where the store can. */
  get(index: number): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  /** Writes all records in bulk; they survive power loss when the promise resolves. */
  load(): Promise<void>;
  /** Brings what was loaded into the state in which it reads best. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a store in a directory that exists. */
export type OpenContender = (directory: string, records: Records) => Promise<Contender>;

/** The records in runs of at most `size`, as [first, past the last]. */
export function runsOf(records: Records, size: number): [number, number][] {
  const runs: [number, number][] = [];
  for (let first = 0; first < records.count; first += size) {
    runs.push([first, Math.min(first + size, records.count)]);
  }
  return runs;
}
