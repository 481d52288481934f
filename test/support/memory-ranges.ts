/**
 * Batches of keys, scans and range deletes over a MemoryStore, by its own list, delete
 * and exists: all of it in one turn, and as plain as can be.
 */
import { KvixError } from "../../src/base/kvix-error.js";
import { boundsOf } from "../../src/engine/key-range.js";
import type { ListedRecord, Store } from "../../src/engine/store.js";
import type {
  BatchGetEntry,
  BatchGetOptions,
  BatchGetResult,
  DeleteRangeOptions,
  DeleteRangeResult,
  Scan,
  ScanOptions,
  ScanPart,
} from "../../src/engine/store-ranges.js";

/** What is read at once. */
const PAGE = { limit: 10_000, bytesMax: 4_194_304 } as const;
/** How many records a part of a scan has. */
const PART_RECORDS = 3;

type Lists = Pick<Store, "list" | "version">;

/** All records of a range, in order. */
async function allOf(store: Lists, options: ScanOptions): Promise<ListedRecord[]> {
  const { prefix, start, end, reverse, keysOnly } = options;
  const range = { prefix, start, end, reverse, keysOnly };
  const records: ListedRecord[] = [];
  let after: Uint8Array | undefined;
  do {
    const page = await store.list({ ...range, ...PAGE, after });
    records.push(...page.records);
    after = page.after;
  } while (after !== undefined);
  return records;
}

/** What stands under each key; bytes are counted roughly, 128 for each entry. */
export async function batchGetOf(
  store: Lists,
  keys: readonly Uint8Array[],
  { keysOnly = false, bytesMax = PAGE.bytesMax }: BatchGetOptions,
): Promise<BatchGetResult> {
  const entries: BatchGetEntry[] = [];
  const room = bytesMax - 128 * keys.length;
  let bytes = 0;
  let found = 0;
  for (const key of keys) {
    const end = Buffer.concat([key, Buffer.of(0)]);
    const { records } = await store.list({ start: key, end, keysOnly, ...PAGE });
    const record = records[0];
    if (record === undefined) {
      entries.push("absent");
      continue;
    }
    const isTooLarge = !keysOnly && record.recordBytes > room;
    const cost = isTooLarge || keysOnly ? key.length : record.recordBytes;
    if (found > 0 && bytes + cost > room) break;
    bytes += cost;
    found += 1;
    entries.push(isTooLarge ? { ...record, record: "too-large" } : record);
  }
  while (entries.length < keys.length) entries.push("unread");
  return { entries, version: store.version };
}

/** A scan of what stands when it is first asked. */
export function scanOf(store: Lists, options: ScanOptions): Scan {
  boundsOf(options);
  const { limit = Number.MAX_SAFE_INTEGER } = options;
  let after: Uint8Array | undefined;
  async function* parts(): AsyncGenerator<ScanPart, undefined> {
    const { version } = store;
    const records = (await allOf(store, options)).slice(0, limit);
    for (let at = 0; at < records.length; at += PART_RECORDS) {
      if (options.signal?.aborted === true) throw new KvixError("CANCELLED");
      const part = records.slice(at, at + PART_RECORDS);
      after = part.at(-1)?.key;
      yield { records: part, version };
    }
    return undefined;
  }
  const all = parts();
  return {
    get after() {
      return after;
    },
    next: () => all.next(),
    return: async () => all.return(undefined),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Removes what a list of the range has. */
export async function deleteRangeOf(
  store: Lists & Pick<Store, "delete">,
  options: DeleteRangeOptions,
): Promise<DeleteRangeResult> {
  const { prefix, start, end, all = false, limit = 10_000, dryRun = false } = options;
  const isNamed = [prefix, start, end].some((bytes) => bytes !== undefined && bytes.length > 0);
  if (all === isNamed) {
    const range = "true where no prefix, start or end is given, else left out";
    throw new KvixError("FIELD_INVALID", `all must be ${range}`, {
      metadata: { field: "all", range },
    });
  }
  const records = await allOf(store, { prefix, start, end, keysOnly: true });
  const removed = records.slice(0, limit);
  if (!dryRun) for (const { key } of removed) await store.delete(key);
  return { count: removed.length, more: records.length > removed.length };
}
