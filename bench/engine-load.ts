/**
 * Bulk load: random records into an empty store, in atomic batches of 1,000. Either
 * every batch survives power loss when it is acknowledged, as a service needs it that
 * reports what it has stored; or nothing is promised before the last one.
 */
import type { BenchResult } from "./bench-result.js";
import type { LoadDurability } from "./engine-contender.js";
import { compare } from "./engine-rounds.js";

/** Records loaded per second, against the best of the others. */
export function run(name: string, durability: LoadDurability): Promise<BenchResult> {
  return compare({
    name,
    unit: "puts/s",
    prepare: [],
    task: { kind: "load", durability },
    startsEmpty: true,
  });
}
