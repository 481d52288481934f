/** A scan of an embedded store, record by record, and how it is gone on with. */
import { KvixError } from "../base/kvix-error.js";
import type { Store } from "../engine/store.js";
import { rangeOf, type Scan, type ScanOptions } from "../kv/reads.js";
import { RecordScan, rangeBehind, type ScanSource } from "../kv/record-scan.js";
import { ListedRecord } from "../kv/records.js";

/** Scans a store. */
export function scanStore(store: Store, options: ScanOptions): Scan {
  const range = rangeOf(options);
  const { reverse = false, keysOnly, signal } = options;
  const source: ScanSource = {
    open: async function* (after, limit) {
      const rest = rangeBehind(range, reverse, after);
      if (rest === undefined) return;
      yield* partsOf(store.scan({ ...rest, reverse, keysOnly, limit, signal }));
    },
    isResumable: (error) => error instanceof KvixError && error.reason === "SNAPSHOT_ENDED",
  };
  return new RecordScan(source, options);
}

async function* partsOf(scan: ReturnType<Store["scan"]>) {
  for await (const { records, version } of scan) {
    yield { records: records.map((listed) => new ListedRecord(listed)), version };
  }
}
