/** What a program asks of a write, and what it is answered. */
import { KvixError } from "../base/kvix-error.js";
import type { KvixRecord } from "./records.js";

/** When a write is acknowledged: synced, or written. Left out: the store's own setting. */
export type Durability = "sync" | "buffered";

/** Goes with every call. */
export interface CallOptions {
  /**
   * Gives up (CANCELLED). A write of the embedded store is given up as long as it is not
   * handed to the log; of a write that was sent to a server the outcome is unknown.
   */
  readonly signal?: AbortSignal | undefined;
}

/** What must hold of a key. At most one may be given. */
export interface ConditionOptions {
  /** Only if the key is absent or expired. */
  readonly ifAbsent?: boolean | undefined;
  /** Only if the key is present. */
  readonly ifPresent?: boolean | undefined;
  /** Only if the key's record has this version. */
  readonly ifVersion?: number | undefined;
}

/** When a write is applied and when it is acknowledged. */
export interface WriteOptions extends ConditionOptions, CallOptions {
  /** Answer with the record that was replaced or removed. */
  readonly returnPrevious?: boolean | undefined;
  readonly durability?: Durability | undefined;
}

/** When a record that is set expires. At most one may be given; without any it never does. */
export interface SetExpiryOptions {
  /** Milliseconds from now; more than 0. */
  readonly ttlMs?: number | undefined;
  /** An instant; in Unix milliseconds if a number. */
  readonly expireAt?: Date | number | undefined;
  /** Keep the expiry of the record that is replaced. */
  readonly keepTtl?: boolean | undefined;
}

/** How a record is set. */
export interface SetOptions extends WriteOptions, SetExpiryOptions {}

/** The expiry that a touch gives: exactly one of the three. */
export interface TouchExpiryOptions {
  /** Milliseconds from now; more than 0. */
  readonly ttlMs?: number | undefined;
  /** An instant; in Unix milliseconds if a number. */
  readonly expireAt?: Date | number | undefined;
  /** The record never expires. */
  readonly persist?: boolean | undefined;
}

/** How a record is touched. */
export interface TouchOptions extends Omit<WriteOptions, "returnPrevious">, TouchExpiryOptions {}

/** The answer to a set. */
export interface SetResult {
  /** False: the condition was not met; `current` is the record that stands. */
  readonly applied: boolean;
  /** The version of the record written; 0 if it was not. */
  readonly version: number;
  readonly expireTime: Date | undefined;
  /** The record that was replaced, if asked for; from a server without it if a message has no room. */
  readonly previous: KvixRecord | undefined;
  readonly current: KvixRecord | undefined;
}

/** The answer to a delete. */
export interface DeleteResult {
  readonly applied: boolean;
  /** Whether there was a record to remove. */
  readonly deleted: boolean;
  readonly version: number;
  readonly previous: KvixRecord | undefined;
  readonly current: KvixRecord | undefined;
}

/** The answer to a touch. */
export interface TouchResult {
  /** False: the condition was not met; `current` is the record that stands. */
  readonly applied: boolean;
  /** Whether there was a record to touch. */
  readonly found: boolean;
  /** The version that the record has now; 0 if nothing was written. */
  readonly version: number;
  readonly expireTime: Date | undefined;
  readonly current: KvixRecord | undefined;
}

/** A condition as it is asked of a store. */
export type Condition =
  | { readonly kind: "absent" }
  | { readonly kind: "present" }
  | { readonly kind: "version"; readonly version: number };

/** An expiry as it is asked of a store. */
export type Expiry =
  | { readonly kind: "never" }
  | { readonly kind: "ttl"; readonly ttlMs: number }
  | { readonly kind: "at"; readonly atMs: number }
  | { readonly kind: "keep" };

/** The expiry that a touch gives. */
export type TouchExpiry = Exclude<Expiry, { kind: "keep" }>;

/** The one condition that was asked for. Throws FIELD_INVALID if there are several. */
export function conditionOf(options: ConditionOptions): Condition | undefined {
  const conditions: Condition[] = [];
  if (options.ifAbsent === true) conditions.push({ kind: "absent" });
  if (options.ifPresent === true) conditions.push({ kind: "present" });
  if (options.ifVersion !== undefined) {
    conditions.push({ kind: "version", version: options.ifVersion });
  }
  if (conditions.length > 1) {
    throw new KvixError(
      "FIELD_INVALID",
      "only one of ifAbsent, ifPresent and ifVersion may be given",
      { metadata: { field: "precondition" } },
    );
  }
  return conditions[0];
}

/** When a record that is set expires. Throws FIELD_INVALID if several were asked for. */
export function expiryOf({ ttlMs, expireAt, keepTtl }: SetExpiryOptions): Expiry {
  const expiries: Expiry[] = [];
  if (ttlMs !== undefined) expiries.push({ kind: "ttl", ttlMs });
  if (expireAt !== undefined) expiries.push({ kind: "at", atMs: Number(expireAt) });
  if (keepTtl === true) expiries.push({ kind: "keep" });
  if (expiries.length > 1) {
    throw new KvixError("FIELD_INVALID", "only one of ttlMs, expireAt and keepTtl may be given", {
      metadata: { field: "expiry" },
    });
  }
  return expiries[0] ?? { kind: "never" };
}

/** When a record that is touched expires. Throws FIELD_INVALID unless one was asked for. */
export function touchExpiryOf(options: TouchExpiryOptions): TouchExpiry {
  const expiry = changedExpiryOf(options);
  if (expiry !== undefined) return expiry;
  throw new KvixError("FIELD_INVALID", "exactly one of ttlMs, expireAt and persist must be given", {
    metadata: { field: "expiry" },
  });
}

/** The same, where none may be given: the expiry stays. Throws FIELD_INVALID if there are several. */
export function changedExpiryOf(options: TouchExpiryOptions): TouchExpiry | undefined {
  const { ttlMs, expireAt, persist } = options;
  const expiries: TouchExpiry[] = [];
  if (ttlMs !== undefined) expiries.push({ kind: "ttl", ttlMs });
  if (expireAt !== undefined) expiries.push({ kind: "at", atMs: Number(expireAt) });
  if (persist === true) expiries.push({ kind: "never" });
  if (expiries.length <= 1) return expiries[0];
  throw new KvixError("FIELD_INVALID", "only one of ttlMs, expireAt and persist may be given", {
    metadata: { field: "expiry" },
  });
}
