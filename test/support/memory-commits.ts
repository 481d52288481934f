/**
 * Commits, increments and request ids of a MemoryStore, without the code of the
 * engine: what a digest is of is the one thing that they share.
 */

import { KvixError } from "../../src/base/kvix-error.js";
import { EXPIRES_AT_MS_MAX } from "../../src/base/limits.js";
import { requireRequestId } from "../../src/engine/request-rules.js";
import {
  commitDigest,
  expiryOf,
  incrementDigest,
} from "../../src/engine/requests/request-digest.js";
import type {
  CommitOptions,
  CommitResult,
  Condition,
  Expiry,
  IncrementOptions,
  IncrementResult,
  Mutation,
  MutationResult,
  StoredRecord,
  UnmetCondition,
} from "../../src/engine/store.js";

/** The store as commits see it. */
export interface CommitAccess {
  readonly nowMs: () => number;
  /** The visible record. */
  readonly read: (key: Uint8Array) => StoredRecord | undefined;
  readonly put: (
    key: Uint8Array,
    value: Uint8Array,
    expiry: Expiry,
  ) => { readonly version: number; readonly expiresAtMs: number };
  /** Removes what stands, expired or not; its version, 0 if nothing did. */
  readonly remove: (key: Uint8Array) => number;
  /** Runs `apply`, whose changes are one batch to those who watch. */
  readonly together: <Result>(apply: () => Result) => Result;
}

/** What a request was answered. */
interface Known {
  readonly digest: Uint8Array;
  readonly results: readonly MutationResult[];
}

/** Makes commits, each once under its id. */
export class MemoryCommits {
  readonly #access: CommitAccess;
  readonly #requests = new Map<string, Known>();

  constructor(access: CommitAccess) {
    this.#access = access;
  }

  increment(key: Uint8Array, delta: bigint, options: IncrementOptions): IncrementResult {
    const { initial = 0n, expiry = { kind: "keep" }, requestId } = options;
    const mutation = { kind: "increment", key, delta, initial, expiry } as const;
    const digest = incrementDigest(key, expiry, delta, initial);
    const { results, repeated } = this.#once(requestId, digest, () => {
      return this.#mutate([mutation], () => "key");
    });
    const [result] = results;
    if (result === undefined) throw new Error("an increment without a result");
    const { value, version, expiresAtMs } = result;
    return { value, version, expiresAtMs, repeated };
  }

  commit(mutations: readonly Mutation[], options: CommitOptions): CommitResult {
    const { conditions = [], requestId } = options;
    if (mutations.length === 0 && conditions.length === 0) {
      throw new KvixError("FIELD_INVALID", "a commit must have mutations or conditions", {
        metadata: { field: "mutations" },
      });
    }
    const digest = commitDigest(conditions, mutations);
    requireDistinct("mutations", mutations);
    requireDistinct("conditions", conditions);
    let unmet: UnmetCondition[] = [];
    const { results, repeated } = this.#once(requestId, digest, () => {
      unmet = conditions.flatMap(({ key, condition }, index): UnmetCondition[] => {
        const record = this.#access.read(key);
        if (holds(condition, record)) return [];
        if (record === undefined) return [{ index, current: undefined }];
        const { version, expiresAtMs, payload } = record;
        const facts = { key, version, expiresAtMs, recordBytes: payload.byteLength };
        return [{ index, current: { ...facts, record } }];
      });
      if (unmet.length > 0) return undefined;
      return this.#mutate(mutations, (index) => `mutations[${index}].increment.key`);
    });
    return { applied: unmet.length === 0, results, unmet, repeated };
  }

  /** Applies it, unless it was applied under this id before; undefined is remembered by nobody. */
  #once(
    requestId: Uint8Array | undefined,
    digest: Uint8Array,
    apply: () => MutationResult[] | undefined,
  ): { readonly results: readonly MutationResult[]; readonly repeated: boolean } {
    if (requestId !== undefined) requireRequestId(requestId);
    const id = requestId && Buffer.from(requestId).toString("latin1");
    const known = id === undefined ? undefined : this.#requests.get(id);
    if (known !== undefined) {
      const isSame = Buffer.compare(known.digest, digest) === 0;
      if (isSame) return { results: known.results, repeated: true };
      throw new KvixError("REQUEST_ID_REUSED", "", { metadata: { field: "request_id" } });
    }
    const results = apply();
    if (id !== undefined && results !== undefined && results.length > 0) {
      this.#requests.set(id, { digest, results });
    }
    return { results: results ?? [], repeated: false };
  }

  #mutate(mutations: readonly Mutation[], fieldOf: (index: number) => string): MutationResult[] {
    const { nowMs, read, put, remove, together } = this.#access;
    const plans = mutations.map((mutation, index) => {
      const standing = read(mutation.key);
      const expiry = mutation.kind === "delete" ? undefined : expiryOf(mutation);
      if (expiry?.kind === "ttl" && nowMs() + expiry.ttlMs > EXPIRES_AT_MS_MAX) {
        throw new KvixError("FIELD_INVALID", "ttl must end by the year 9999");
      }
      const isSum = mutation.kind === "increment";
      const number = isSum ? added(mutation, standing, fieldOf(index)) : 0n;
      return { mutation, standing, number };
    });
    const change = ({ mutation, standing, number }: (typeof plans)[number]): MutationResult => {
      const { key, kind } = mutation;
      const found = standing !== undefined && (kind === "delete" || kind === "touch");
      const none = { version: 0, expiresAtMs: 0, found, value: 0n };
      if (kind === "delete") {
        const version = remove(key);
        return { ...none, version: found ? version : 0 };
      }
      if (kind === "touch" && standing === undefined) return none;
      const kept = kind === "touch" ? standing?.value : undefined;
      const written = kind === "set" ? mutation.value : kept;
      const value = written ?? Buffer.from(number.toString());
      const { version, expiresAtMs } = put(key, value, expiryOf(mutation));
      return { version, expiresAtMs, found, value: number };
    };
    return together(() => plans.map(change));
  }
}

function holds(condition: Condition, standing: StoredRecord | undefined): boolean {
  if (condition.kind === "version") return standing?.version === condition.version;
  return (condition.kind === "present") === (standing !== undefined);
}

/** Throws FIELD_INVALID if two of them have the same key. */
function requireDistinct(field: string, entries: readonly { readonly key: Uint8Array }[]): void {
  const names = new Set(entries.map(({ key }) => Buffer.from(key).toString("latin1")));
  if (names.size < entries.length) {
    throw new KvixError("FIELD_INVALID", `${field} must name each key once`);
  }
}

/** The sum; throws NOT_A_NUMBER or NUMBER_OVERFLOW. */
function added(
  { initial, delta }: Extract<Mutation, { kind: "increment" }>,
  standing: { readonly value: Uint8Array } | undefined,
  field: string,
): bigint {
  const text = standing && Buffer.from(standing.value).toString("latin1");
  const isBad = text !== undefined && !/^-?[0-9]{1,19}$/.test(text);
  const before = isBad ? undefined : text === undefined ? initial : BigInt(text);
  const isNumber = text === undefined || before?.toString() === text;
  if (before === undefined || !isNumber || BigInt.asIntN(64, before) !== before) {
    throw new KvixError("NOT_A_NUMBER", "", { metadata: { field } });
  }
  const sum = before + delta;
  if (BigInt.asIntN(64, sum) === sum) return sum;
  throw new KvixError("NUMBER_OVERFLOW", "", { metadata: { field } });
}
