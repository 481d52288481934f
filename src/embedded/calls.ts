/** What a store answers, as an embedded program has it. */
import type {
  DeleteResult as StoreDeleteResult,
  SetResult as StoreSetResult,
} from "../engine/store.js";
import { dateOf } from "../kv/data.js";
import { KvixRecord } from "../kv/records.js";
import type { DeleteResult, SetResult } from "../kv/writes.js";

/** The answer to a set. */
export function setResultOf(result: StoreSetResult): SetResult {
  const { applied, version, expiresAtMs, previous, current } = result;
  return {
    applied,
    version,
    expireTime: dateOf(expiresAtMs),
    previous: previous && new KvixRecord(previous),
    current: current && new KvixRecord(current),
  };
}

/** The answer to a delete. */
export function deleteResultOf({ previous, current, ...result }: StoreDeleteResult): DeleteResult {
  return {
    ...result,
    previous: previous && new KvixRecord(previous),
    current: current && new KvixRecord(current),
  };
}
