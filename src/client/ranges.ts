/** Many records over the wire: batches of keys, scans, ranges to remove. */
import { type BatchGetEntry, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { bytesOf, type Data } from "../kv/data.js";
import {
  type BatchGetOptions,
  type BatchGetResult,
  type DeleteRangeOptions,
  type DeleteRangeResult,
  rangeOf,
  type Scan,
  type ScanOptions,
} from "../kv/reads.js";
import { type Range, RecordScan, rangeBehind, type ScanPart } from "../kv/record-scan.js";
import { ListedRecord } from "../kv/records.js";
import { listedOf, listedPartsOf } from "./answers.js";
import type { ClientCallOptions, Connection } from "./connection.js";
import { durabilityField, invalid } from "./requests.js";

const kv = KvService.method;

/** A range as requests have it: what is left out is empty. */
export function rangeFields({ prefix, start, end }: Range) {
  return {
    ...(prefix !== undefined && { prefix }),
    ...(start !== undefined && { start }),
    ...(end !== undefined && { end }),
  };
}

/** Reads several keys at one point in time. */
export async function batchGet(
  connection: Connection,
  keys: readonly Data[],
  options: BatchGetOptions & ClientCallOptions,
): Promise<BatchGetResult> {
  const { keysOnly = false } = options;
  const bytes = keys.map((key) => bytesOf(key, "keys"));
  const request = { keys: bytes, keysOnly };
  const answer = await connection.call(kv.batchGet, request, "read", options);
  connection.sawVersion(answer.storeVersion);
  const entries = answer.entries.map((entry, at) =>
    entryOf(entry, bytes[at] as Uint8Array, keysOnly),
  );
  return { entries, version: Number(answer.storeVersion) };
}

/** Scans a range. */
export function scan(connection: Connection, options: ScanOptions): Scan {
  const range = rangeOf(options);
  const { reverse = false, keysOnly = false, signal } = options;
  requireLimit(options.limit, Number.MAX_SAFE_INTEGER);
  const source = {
    open: async function* (
      after: Uint8Array | undefined,
      limit: number | undefined,
    ): AsyncGenerator<ScanPart, void, undefined> {
      const rest = rangeBehind(range, reverse, after);
      if (rest === undefined) return;
      const request = { ...rangeFields(rest), reverse, keysOnly, limit: BigInt(limit ?? 0) };
      for await (const answer of connection.stream(kv.scan, request, signal)) {
        connection.sawVersion(answer.storeVersion);
        yield {
          records: answer.records.map((listed) => listedOf(listed, keysOnly)),
          version: Number(answer.storeVersion),
        };
      }
    },
    isResumable: (error: unknown) =>
      error instanceof KvixError &&
      (error.reason === "SNAPSHOT_ENDED" || connection.mayReconnect(error)),
    pause: (failures: number) => connection.pause(failures, signal),
  };
  return new RecordScan(source, options);
}

/** Removes the records of a range. */
export async function deleteRange(
  connection: Connection,
  options: DeleteRangeOptions & ClientCallOptions,
): Promise<DeleteRangeResult> {
  const { all = false, dryRun = false, limit, durability } = options;
  requireLimit(limit, 2 ** 31 - 1);
  const request = {
    ...rangeFields(rangeOf(options)),
    all,
    dryRun,
    limit: limit ?? 0,
    durability: durabilityField(durability),
  };
  // A dry run changes nothing.
  const repeatable = dryRun ? "read" : "write";
  const answer = await connection.call(kv.deleteRange, request, repeatable, options);
  connection.sawVersion(answer.storeVersion);
  return { count: answer.count, more: answer.more };
}

/** On the wire 0 is "no limit"; here that is said by leaving it out. */
function requireLimit(limit: number | undefined, max: number): void {
  if (limit === undefined || (Number.isSafeInteger(limit) && limit >= 1 && limit <= max)) return;
  throw invalid("limit", "1 or more, or left out");
}

function entryOf(
  entry: BatchGetEntry,
  key: Uint8Array,
  keysOnly: boolean,
): ListedRecord | undefined | "unread" {
  if (entry.unread) return "unread";
  if (entry.record === undefined && !entry.unreadable) return undefined;
  return new ListedRecord({ ...listedPartsOf(entry, keysOnly), key });
}
