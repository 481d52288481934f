/**
 * From what a caller asks of a Commit or an Increment to a request for the queue:
 * checked, and with what names it, so that a repeat of it is known.
 */
import { KvixError } from "../base/kvix-error.js";
import { PAGE_BYTES_MAX } from "../base/limits.js";
import type { Entropy } from "../host/host.js";
import { keyTextOf } from "./accepted-state.js";
import { DuplicateFinder } from "./duplicate-finder.js";
import {
  inField,
  requireConditions,
  requireExpiry,
  requireKey,
  requireMutations,
  requireNumber,
  requireRequestId,
  requireWhole,
} from "./request-rules.js";
import { commitDigest, incrementDigest } from "./requests/request-digest.js";
import type { RequestIdentity } from "./requests/request-memory.js";
import type { CommitOptions, IncrementOptions, Mutation } from "./store.js";
import type { CommitRequest, IncrementRequest } from "./write-op.js";

/** What an operation, or a mutation of one, counts for beside its key and value: its objects, and its frame. */
export const OP_OVERHEAD_BYTES = 256;
/** What a condition counts for beside its key. */
const CONDITION_OVERHEAD_BYTES = 128;

/** Checks and names requests. */
export class CommitRequests {
  readonly #duplicates: DuplicateFinder;

  constructor(entropy: Entropy) {
    this.#duplicates = new DuplicateFinder(entropy);
  }

  /** Throws FIELD_INVALID, KEY_EMPTY, KEY_TOO_LARGE. */
  increment(key: Uint8Array, delta: bigint, options: IncrementOptions): IncrementRequest {
    const { initial = 0n, expiry = { kind: "keep" }, requestId } = options;
    requireKey(key);
    requireNumber("delta", delta);
    requireNumber("initial", initial);
    requireExpiry(expiry);
    const identity = identityOf(requestId, () => incrementDigest(key, expiry, delta, initial));
    const mutation = { kind: "increment", key, delta, initial, expiry } as const;
    return { kind: "increment", mutation, identity };
  }

  /**
   * The request, and what it holds in bytes. Throws FIELD_INVALID, BATCH_TOO_LARGE,
   * KEY_EMPTY, KEY_TOO_LARGE, VALUE_TOO_LARGE; `field` in the metadata says where.
   */
  commit(
    mutations: readonly Mutation[],
    options: CommitOptions,
  ): { readonly request: CommitRequest; readonly bytes: number } {
    const { conditions = [], requestId, unmetBytesMax = PAGE_BYTES_MAX } = options;
    if (mutations.length + conditions.length === 0) {
      throw wrong("mutations", "must not be empty where there are no conditions");
    }
    requireWhole("unmetBytesMax", unmetBytesMax, 0, PAGE_BYTES_MAX);
    const bytes = requireConditions(conditions) + requireMutations(mutations);
    this.#requireDistinct("conditions", conditions, () => "");
    this.#requireDistinct("mutations", mutations, (index) => `${mutations[index]?.kind}.`);
    // One without mutations changes nothing, however often it comes.
    const named = mutations.length === 0 ? undefined : requestId;
    if (requestId !== undefined) requireRequestId(requestId);
    const identity = identityOf(named, () => commitDigest(conditions, mutations));
    const overhead =
      Math.max(mutations.length - 1, 0) * OP_OVERHEAD_BYTES +
      conditions.length * CONDITION_OVERHEAD_BYTES;
    const request = { kind: "commit", conditions, mutations, identity, unmetBytesMax } as const;
    return { request, bytes: bytes + overhead };
  }

  #requireDistinct(
    field: string,
    entries: readonly { readonly key: Uint8Array }[],
    kindOf: (index: number) => string,
  ): void {
    const found = this.#duplicates.find(entries);
    if (found === undefined) return;
    const { first, second } = found;
    throw inField(`${field}[${second}].${kindOf(second)}`, () => {
      throw wrong("key", `must not be that of ${field}[${first}]`);
    });
  }
}

function wrong(field: string, detail: string): KvixError {
  return new KvixError("FIELD_INVALID", `${field} ${detail}`, { metadata: { field } });
}

/** The caller may use the memory of its id again. */
function identityOf(
  requestId: Uint8Array | undefined,
  digest: () => Uint8Array,
): RequestIdentity | undefined {
  if (requestId === undefined) return undefined;
  requireRequestId(requestId);
  const id = new Uint8Array(requestId);
  return { id, digest: digest(), name: keyTextOf(id) };
}
