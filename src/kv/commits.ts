/** Changes that are made together, and numbers that are added to. */
import { KvixError } from "../base/kvix-error.js";
import type { Data } from "./data.js";
import type { ListedRecord } from "./records.js";
import {
  type CallOptions,
  type Condition,
  type ConditionOptions,
  conditionOf,
  type Durability,
  type SetExpiryOptions,
  type TouchExpiryOptions,
} from "./writes.js";

/** One change of a commit; each of another key. */
export type Mutation =
  | ({ readonly kind: "set"; readonly key: Data; readonly value: Data } & SetExpiryOptions)
  | { readonly kind: "delete"; readonly key: Data }
  | ({ readonly kind: "touch"; readonly key: Data } & TouchExpiryOptions)
  | ({
      readonly kind: "increment";
      readonly key: Data;
      /** What is added; by default 1. */
      readonly delta?: number | bigint | undefined;
      /** What an absent or expired key counts as; by default 0. */
      readonly initial?: number | bigint | undefined;
    } & TouchExpiryOptions);

/** What must hold of one key; exactly one of the `if…`. */
export interface CommitCondition extends ConditionOptions {
  readonly key: Data;
}

/** What names a request, so that a repeat of it changes nothing. */
export interface RequestIdOptions {
  /**
   * 16 to 64 bytes that no other request bears. A client of a server makes one by
   * itself, so that it may send again what it has no answer to.
   */
  readonly requestId?: Uint8Array | undefined;
}

/** What goes with a commit. */
export interface CommitOptions extends CallOptions, RequestIdOptions {
  /** All of them must hold, or nothing is changed; each of another key. */
  readonly conditions?: readonly CommitCondition[] | undefined;
  readonly durability?: Durability | undefined;
}

/** What became of one change. */
export interface MutationResult {
  /** The version that it wrote; 0: it found nothing to change. */
  readonly version: number;
  /** Of a set, a touch or an increment: when the record expires; undefined: never. */
  readonly expireTime: Date | undefined;
  /** Of a delete or a touch: whether there was a record. */
  readonly found: boolean;
  /** Of an increment: the number, delta added; else 0. */
  readonly value: bigint;
}

/** A condition that did not hold. */
export interface UnmetCondition {
  /** Which one, from 0. */
  readonly index: number;
  /** The record that stands; undefined: the key is absent. */
  readonly current: ListedRecord | undefined;
}

/** The answer to a commit. */
export interface CommitResult {
  /** False: a condition did not hold, and nothing was written. */
  readonly applied: boolean;
  /** One for each mutation, in their order; none if it was not applied. */
  readonly results: readonly MutationResult[];
  /** Not applied: the conditions that did not hold. */
  readonly unmet: readonly UnmetCondition[];
  /** The request was known: this is what the first one was answered. */
  readonly repeated: boolean;
}

/** How a number is added to; without an expiry the record keeps the one it has. */
export interface IncrementOptions extends CallOptions, RequestIdOptions, TouchExpiryOptions {
  /** What an absent or expired key counts as; by default 0. */
  readonly initial?: number | bigint | undefined;
  readonly durability?: Durability | undefined;
}

/** The answer to an increment. */
export interface IncrementResult {
  /** The number, delta added. */
  readonly value: bigint;
  readonly version: number;
  readonly expireTime: Date | undefined;
  /** The request was known: this is what the first one was answered. */
  readonly repeated: boolean;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** A number of 64 bits, signed. Throws FIELD_INVALID for any other. */
export function int64Of(value: number | bigint, field: string): bigint {
  const isWhole = typeof value === "bigint" || Number.isSafeInteger(value);
  const whole = isWhole ? BigInt(value) : INT64_MAX + 1n;
  if (whole >= INT64_MIN && whole <= INT64_MAX) return whole;
  const range = "a whole number of 64 bits";
  throw new KvixError("FIELD_INVALID", `${field} must be ${range}`, { metadata: { field, range } });
}

/** The condition of one key. Throws FIELD_INVALID unless there is exactly one. */
export function commitConditionOf(condition: CommitCondition): Condition {
  const found = conditionOf(condition);
  if (found !== undefined) return found;
  const message = "exactly one of ifAbsent, ifPresent and ifVersion must be given";
  throw new KvixError("FIELD_INVALID", message, { metadata: { field: "conditions" } });
}
