/** A watch of an embedded store, what happened together in one batch. */
import { KvixError } from "../base/kvix-error.js";
import type { Store } from "../engine/store.js";
import type { WatchEvent as StoreEvent, WatchStep } from "../engine/store-watch.js";
import { newRecordFields, parseRecord } from "../format/record.js";
import { optionalBytesOf } from "../kv/data.js";
import { rangeOf } from "../kv/reads.js";
import type { RecordParts } from "../kv/records.js";
import { WatchBatches } from "../kv/watch-batches.js";
import { type EventParts, type WatchBatch, WatchEvent, type WatchOptions } from "../kv/watches.js";

/** Watches a store. */
export async function* watchStore(
  store: Store,
  options: WatchOptions,
): AsyncGenerator<WatchBatch, void, undefined> {
  const { keysOnly, afterVersion, includeCurrent, progressIntervalMs, signal } = options;
  const key = optionalBytesOf(options.key, "key");
  const steps = store.watch({
    ...rangeOf(options),
    key,
    keysOnly,
    afterVersion,
    includeCurrent,
    progressIntervalMs,
    signal,
  });
  const batches = new WatchBatches();
  for await (const step of steps) {
    const batch = batches.take(partOf(step));
    if (batch !== undefined) yield batch;
  }
}

function partOf({ events, version, isCurrent, continues }: WatchStep) {
  return {
    events: events.map((event) => new WatchEvent(partsOf(event))),
    version,
    isCurrent,
    continues,
  };
}

function partsOf({ kind, key, version, expiresAtMs, recordBytes, record }: StoreEvent): EventParts {
  const told = kind !== "set" ? undefined : typeof record === "string" ? record : decoded(record);
  return { kind, key, version, expiresAtMs, recordBytes, record: told };
}

function decoded(payload: Uint8Array): RecordParts {
  const fields = newRecordFields();
  // The engine has verified it; what it gives is canonical.
  if (!parseRecord(payload, 0, payload.length, fields)) throw new KvixError("RECORD_CORRUPT");
  const { valueStart, valueEnd, version, updatedAtMs, expiresAtMs } = fields;
  return { value: payload.subarray(valueStart, valueEnd), version, updatedAtMs, expiresAtMs };
}
