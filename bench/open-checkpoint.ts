/** open-checkpoint: keys per second of an opening that takes the index from the checkpoint. */
import type { BenchResult } from "./bench-result.js";
import { measureOpening } from "./open-rounds.js";

/** Opens a store of KVIX_BENCH_KEYS keys with its checkpoint, several times. */
export function run(): Promise<BenchResult> {
  return measureOpening({
    name: "open-checkpoint",
    keys: 10_000_000,
    isOneCore: false,
    prepare: () => undefined,
    check: ({ open }) => {
      if (!open.fromCheckpoint) throw new Error("the store was not opened from its checkpoint");
    },
  });
}
