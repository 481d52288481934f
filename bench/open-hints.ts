/** open-hints: keys per second of an opening that loads the index from the hints. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { BenchResult } from "./bench-result.js";
import { measureOpening } from "./open-rounds.js";

/** Opens a store of KVIX_BENCH_KEYS keys without a checkpoint, several times. */
export function run(): Promise<BenchResult> {
  return measureOpening({
    name: "open-hints",
    keys: 4_000_000,
    isOneCore: true,
    prepare: (directory) => rmSync(join(directory, "CHECKPOINT"), { force: true }),
    check: ({ open }) => {
      const isFromHints = open.segmentsScanned <= 1 && open.segmentsFromHints > 0;
      if (!isFromHints) throw new Error("the store was not opened from its hints");
    },
  });
}
