/**
 * Acceptance of a Commit and of an Increment, in one synchronous step:
 *
 *     request_id known?   -> the first answer, or REQUEST_ID_REUSED
 *     a condition unmet?  -> what stands; nothing is remembered
 *     plan every mutation against what stood before all of them
 *     room for versions, frames, keys and the request?
 *     append: one BATCH frame, versions in the order of the mutations
 *
 * All that may refuse comes before the append. A refusal that tells of what
 * stands (NOT_A_NUMBER, and the like) is an answer: it waits, as any answer does,
 * until what it saw is durable.
 */
import { KvixError } from "../base/kvix-error.js";
import { BATCH_BYTES_MAX } from "../base/limits.js";
import { encodeBatchResult, type MemberResult } from "../format/batch-result.js";
import { encodeNumber, isNumber, parseNumber } from "../format/number-text.js";
import { type Acceptance, batchTooLarge, type Draft, NOTHING } from "./acceptance.js";
import { isBlind, isMet, resolveExpiry, UNSEEN } from "./acceptance-rules.js";
import type { AcceptedKey } from "./accepted-state.js";
import { appendedBytes, mayBeNumber } from "./commit-size.js";
import { inField } from "./request-rules.js";
import { expiryOf } from "./requests/request-digest.js";
import type { RequestIdentity } from "./requests/request-memory.js";
import type { Mutation } from "./store.js";
import type { CommitRequest, IncrementRequest, UnmetKey, WriteOp } from "./write-op.js";

type Increment = Extract<Mutation, { kind: "increment" }>;

/** What a mutation appends over what stands. */
interface Change {
  readonly key: Uint8Array;
  readonly standing: AcceptedKey;
  /** Undefined: a tombstone. */
  readonly value: Uint8Array | undefined;
  readonly expiresAtMs: number;
}

/** What becomes of a mutation: what it appends, if anything, and its answer but for the version. */
interface Plan {
  readonly change: Change | undefined;
  readonly found: boolean;
  readonly number: bigint;
}

/** What a commit or an increment is to do. */
interface Task {
  readonly op: WriteOp;
  readonly mutations: readonly Mutation[];
  readonly identity: RequestIdentity | undefined;
  /** What stands in front of the field names of a mutation, in errors. */
  readonly prefixOf: (index: number) => string;
}

/** Thrown by a plan: a refusal that tells of what stands. */
class Refusal extends Error {
  readonly error: KvixError;

  constructor(error: KvixError) {
    super(error.message);
    this.error = error;
  }
}

/** Evaluates commits and increments. */
export class CommitEvaluator {
  readonly #acceptance: Acceptance;

  constructor(acceptance: Acceptance) {
    this.#acceptance = acceptance;
  }

  increment(op: WriteOp, { mutation, identity }: IncrementRequest): void {
    if (identity !== undefined && this.#isKnown(op, identity)) return;
    this.#apply({ op, mutations: [mutation], identity, prefixOf: () => "" });
  }

  commit(op: WriteOp, request: CommitRequest): void {
    const { conditions, mutations, identity } = request;
    if (identity !== undefined && this.#isKnown(op, identity)) return;
    const nowMs = this.#acceptance.context.wallMs();
    const unmet: UnmetKey[] = [];
    let dependsOn = 0;
    for (const [index, { key, condition }] of conditions.entries()) {
      const standing = this.#acceptance.look(key, nowMs);
      this.#acceptance.observe(op, standing);
      dependsOn = Math.max(dependsOn, op.dependsOn);
      if (isMet(condition, standing)) continue;
      const { version, expiresAtMs, isVisible } = standing;
      const place = isVisible ? standing.place : undefined;
      unmet.push({ index, key, version, expiresAtMs, place });
    }
    op.dependsOn = dependsOn;
    if (unmet.length > 0) op.answer = { kind: "unmet", unmet };
    else if (mutations.length === 0) op.answer = { kind: "members", results: [], repeated: false };
    else {
      const prefixOf = (index: number) => `mutations[${index}].${mutations[index]?.kind}.`;
      this.#apply({ op, mutations, identity, prefixOf });
    }
  }

  /** Whether the request is a repeat, or bears the id of another; it is answered then. */
  #isKnown(op: WriteOp, identity: RequestIdentity): boolean {
    const known = this.#acceptance.context.state.requests.find(identity);
    if (known === undefined) return false;
    op.dependsOn = known.version;
    if (known.kind === "published") op.answer = { kind: "repeat", first: known };
    else if (Buffer.compare(known.digest, identity.digest) === 0) {
      op.answer = { kind: "members", results: known.results, repeated: true };
    } else op.answer = { kind: "refused", error: requestIdReused() };
    return true;
  }

  #apply(task: Task): void {
    const { op } = task;
    const nowMs = this.#acceptance.context.wallMs();
    try {
      this.#append(task, this.#plan(task, nowMs), nowMs);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      op.answer = { kind: "refused", error: error.error };
      this.#acceptance.observe(op, undefined);
    }
  }

  /** What becomes of every mutation. Throws Refusal, and KvixErrors. */
  #plan(task: Task, nowMs: number): readonly Plan[] {
    const { op, mutations, identity, prefixOf } = task;
    const acceptance = this.#acceptance;
    // Mutations of one commit never meet in a key, so each sees what stood before all of them.
    const hasIndexRoom = acceptance.hasIndexRoom(op.costBytes, mutations.length);
    const standings = mutations.map((mutation) =>
      hasIndexRoom && isBlind(mutation) ? UNSEEN : acceptance.look(mutation.key, nowMs),
    );
    const bytes = appendedBytes(mutations, standings);
    if (bytes > BATCH_BYTES_MAX) throw new Refusal(batchTooLarge(bytes));
    const plans = mutations.map((mutation, index) => {
      const standing = standings[index] as AcceptedKey;
      return this.#planOne(op, mutation, standing, nowMs, prefixOf(index));
    });
    if (identity === undefined || plans.some(({ change }) => change !== undefined)) return plans;
    // It would leave nothing by which a repeat is known: the tombstone of a key that is not there.
    const [mutation, standing] = [mutations[0] as Mutation, standings[0] as AcceptedKey];
    const change = { key: mutation.key, standing, value: undefined, expiresAtMs: 0 };
    return plans.map((plan, index) => (index === 0 ? { ...plan, change } : plan));
  }

  #planOne(
    op: WriteOp,
    mutation: Mutation,
    standing: AcceptedKey,
    nowMs: number,
    prefix: string,
  ): Plan {
    const { key, kind } = mutation;
    if (kind === "delete") {
      const tombstone = { key, standing, value: undefined, expiresAtMs: 0 };
      const isThere = standing.exists || this.#acceptance.context.hasUnread;
      const change = isThere ? tombstone : undefined;
      return { change, found: standing.isVisible, number: 0n };
    }
    if (kind === "touch" && !standing.isVisible) {
      return { change: undefined, found: false, number: 0n };
    }
    const expiresAtMs = inField(prefix, () => {
      return resolveExpiry(expiryOf(mutation), standing, nowMs);
    });
    const number = kind === "increment" ? this.#add(op, mutation, standing, prefix) : 0n;
    const value =
      kind === "set"
        ? mutation.value
        : kind === "touch"
          ? this.#acceptance.context.values.take(op, standing)
          : encodeNumber(number);
    return { change: { key, standing, value, expiresAtMs }, found: kind === "touch", number };
  }

  #add(op: WriteOp, mutation: Increment, standing: AcceptedKey, prefix: string): bigint {
    const { key, initial, delta } = mutation;
    const metadata = { field: `${prefix}key` };
    let before: bigint | undefined = initial;
    if (standing.isVisible) {
      const { values } = this.#acceptance.context;
      before = mayBeNumber(key, standing) ? parseNumber(values.take(op, standing)) : undefined;
    }
    if (before === undefined) throw new Refusal(new KvixError("NOT_A_NUMBER", "", { metadata }));
    const sum = before + delta;
    if (!isNumber(sum)) throw new Refusal(new KvixError("NUMBER_OVERFLOW", "", { metadata }));
    return sum;
  }

  #append({ op, identity }: Task, plans: readonly Plan[], nowMs: number): void {
    const acceptance = this.#acceptance;
    const { state, versions } = acceptance.context;
    const drafts: Draft[] = [];
    const results: MemberResult[] = [];
    const newKeys = { count: 0, bytes: 0 };
    let bytes = 0;
    for (const { change, found, number } of plans) {
      let version = 0;
      let expiresAtMs = 0;
      if (change !== undefined) {
        const { key, standing } = change;
        if (change.value !== undefined) acceptance.requireIndexRoom(key, standing, newKeys);
        const draft = this.#draft(change, acceptance.nextVersion + drafts.length, nowMs);
        const { entry } = draft;
        if (entry.newKeyBytes > 0) newKeys.count += 1;
        newKeys.bytes += entry.newKeyBytes;
        bytes += entry.length;
        drafts.push(draft);
        expiresAtMs = change.expiresAtMs;
        // The tombstone of what nobody could see any more is not told of.
        version = change.value !== undefined || found ? entry.version : 0;
      }
      results.push({ version, expiresAtMs, found, value: number });
    }
    const [first] = drafts;
    if (first === undefined) acceptance.observe(op, undefined);
    else {
      versions.requireRoomFor(drafts.length);
      acceptance.requireSpace(op, Math.max(op.costBytes, bytes));
      if (identity !== undefined) state.requests.requireRoom();
      const isFrame = op.request.kind === "increment" && identity === undefined;
      const result = identity === undefined ? NOTHING : encodeBatchResult(results);
      if (isFrame) acceptance.append(op, first, nowMs);
      else acceptance.appendBatch(op, drafts, { identity, result }, nowMs);
      if (identity !== undefined) {
        const { version } = (drafts.at(-1) as Draft).entry;
        const { digest } = identity;
        state.requests.begin(identity, { kind: "pending", digest, results, version });
      }
    }
    op.answer = { kind: "members", results, repeated: false };
  }

  #draft({ key, value, standing, expiresAtMs }: Change, version: number, nowMs: number): Draft {
    const acceptance = this.#acceptance;
    if (value !== undefined) {
      return acceptance.draftRecord(key, value, version, expiresAtMs, nowMs, standing);
    }
    const isExpired = standing.exists && !standing.isVisible;
    return acceptance.draftTombstone(key, version, nowMs, isExpired);
  }
}

/** The error for an id that another request bore. */
export function requestIdReused(): KvixError {
  return new KvixError("REQUEST_ID_REUSED", "", { metadata: { field: "request_id" } });
}
