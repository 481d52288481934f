/** Bulk load: random records into an empty store, in the store's own bulk manner, until all are durable. */
import type { BenchResult } from "./bench-result.js";
import { compare } from "./engine-rounds.js";

/** Records loaded per second, against the best of the others. */
export function run(): Promise<BenchResult> {
  return compare({
    name: "engine-load",
    unit: "puts/s",
    prepare: [],
    task: { kind: "load" },
    startsEmpty: true,
  });
}
