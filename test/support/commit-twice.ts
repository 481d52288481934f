/** A commit and its repeat under one id, sent together: only one of the two makes it. */
import { strict as assert } from "node:assert";
import { KvixError } from "../../src/base/kvix-error.js";
import type {
  CommitResult,
  Durability,
  Mutation,
  MutationResult,
  Store,
} from "../../src/engine/store.js";

/** Commits under an id of its own, and again at once; what either came to. */
export function commitTwice(
  store: Pick<Store, "commit">,
  mutations: readonly Mutation[],
  durability: Durability,
): Promise<readonly MutationResult[]> {
  const options = { durability, requestId: nextRequestId() };
  return madeOnce([store.commit(mutations, options), store.commit(mutations, options)]);
}

let requests = 0;

/** An id that no other request of this process bears: lives over one disk share what is remembered. */
function nextRequestId(): Uint8Array {
  requests += 1;
  return Buffer.from(`request ${requests}`.padEnd(16, "."));
}

/**
 * What a request and its repeat, sent together, came to. If either was made it was made;
 * if both failed, what one of them knows less of is what is known.
 */
async function madeOnce(
  calls: readonly Promise<CommitResult>[],
): Promise<readonly MutationResult[]> {
  const ends = await Promise.allSettled(calls);
  const made = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
  const errors = ends.flatMap((end): unknown[] => (end.status === "rejected" ? [end.reason] : []));
  const [one, other] = made;
  if (one !== undefined && other !== undefined) {
    assert.deepEqual(other.results, one.results, "a repeat is answered as the first was");
    assert.notEqual(other.repeated, one.repeated, "one of the two is the repeat");
  }
  if (one !== undefined) return one.results;
  const isUnknown = (error: unknown) => error instanceof KvixError && error.outcome === "unknown";
  throw errors.find(isUnknown) ?? errors[0];
}
