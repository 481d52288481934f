/** Random gets out of a store that was loaded, brought into its best state, and is in memory. */
import type { BenchResult } from "./bench-result.js";
import { compare, sizes } from "./engine-rounds.js";

/** Gets per second, against the best of the others. */
export function run(): Promise<BenchResult> {
  return compare({
    name: "engine-get",
    unit: "gets/s",
    // Every store has caches, if only the processor's: they are filled before the clock runs.
    prepare: [
      { kind: "load", durability: "end" },
      { kind: "settle" },
      { kind: "get", milliseconds: 2 * sizes.lapMs },
    ],
    task: { kind: "get", milliseconds: sizes.lapMs },
    alsoOurs: ["kvix-uncached"],
    startsEmpty: false,
  });
}
