/** Commits and increments of an embedded store. */
import type { Store, Mutation as StoreMutation } from "../engine/store.js";
import {
  type CommitOptions,
  type CommitResult,
  commitConditionOf,
  type IncrementOptions,
  type IncrementResult,
  int64Of,
  type Mutation,
} from "../kv/commits.js";
import { bytesOf, dateOf } from "../kv/data.js";
import { ListedRecord } from "../kv/records.js";
import { changedExpiryOf, expiryOf, touchExpiryOf } from "../kv/writes.js";

/** Makes changes together. */
export async function commitTo(
  store: Store,
  mutations: readonly Mutation[],
  options: CommitOptions,
): Promise<CommitResult> {
  const { conditions = [], durability, requestId, signal } = options;
  const result = await store.commit(mutations.map(mutationOf), {
    conditions: conditions.map((each) => ({
      key: bytesOf(each.key),
      condition: commitConditionOf(each),
    })),
    durability,
    requestId,
    signal,
  });
  return {
    applied: result.applied,
    results: result.results.map(({ version, expiresAtMs, found, value }) => ({
      version,
      expireTime: dateOf(expiresAtMs),
      found,
      value,
    })),
    unmet: result.unmet.map(({ index, current }) => ({
      index,
      current: current && new ListedRecord(current),
    })),
    repeated: result.repeated,
  };
}

/** Adds to a number. */
export async function incrementIn(
  store: Store,
  key: Uint8Array,
  delta: number | bigint,
  options: IncrementOptions,
): Promise<IncrementResult> {
  const { initial = 0, durability, requestId, signal } = options;
  const result = await store.increment(key, int64Of(delta, "delta"), {
    initial: int64Of(initial, "initial"),
    expiry: changedExpiryOf(options),
    durability,
    requestId,
    signal,
  });
  const { value, version, expiresAtMs, repeated } = result;
  return { value, version, expireTime: dateOf(expiresAtMs), repeated };
}

function mutationOf(mutation: Mutation): StoreMutation {
  const key = bytesOf(mutation.key);
  switch (mutation.kind) {
    case "set":
      return {
        kind: "set",
        key,
        value: bytesOf(mutation.value, "value"),
        expiry: expiryOf(mutation),
      };
    case "delete":
      return { kind: "delete", key };
    case "touch":
      return { kind: "touch", key, expiry: touchExpiryOf(mutation) };
    case "increment":
      return {
        kind: "increment",
        key,
        delta: int64Of(mutation.delta ?? 1, "delta"),
        initial: int64Of(mutation.initial ?? 0, "initial"),
        expiry: changedExpiryOf(mutation),
      };
  }
}
