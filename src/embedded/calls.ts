/** What an embedded program asks and is answered, and what that is to the store. */
import { KvixError } from "../base/kvix-error.js";
import type {
  Condition,
  Durability,
  Expiry,
  DeleteResult as StoreDeleteResult,
  SetResult as StoreSetResult,
  TouchExpiry,
} from "../engine/store.js";
import { dateOf, KvixRecord, type ListedRecord } from "./records.js";

/** A key or a value: bytes as they are, a string as UTF-8. */
export type Data = Uint8Array | string;

/** When a write is applied and when it is acknowledged. At most one of the `if…` may be given. */
export interface WriteOptions {
  /** Only if the key is absent or expired. */
  readonly ifAbsent?: boolean | undefined;
  /** Only if the key is present. */
  readonly ifPresent?: boolean | undefined;
  /** Only if the key's record has this version. */
  readonly ifVersion?: number | undefined;
  /** Answer with the record that was replaced or removed. */
  readonly returnPrevious?: boolean | undefined;
  readonly durability?: Durability | undefined;
  /** Gives up (CANCELLED) as long as the write is not handed to the log. */
  readonly signal?: AbortSignal | undefined;
}

/** When a record expires. At most one may be given; without any it never does. */
export interface SetOptions extends WriteOptions {
  /** Milliseconds from now; more than 0. */
  readonly ttlMs?: number | undefined;
  /** An instant; in Unix milliseconds if a number. */
  readonly expireAt?: Date | number | undefined;
  /** Keep the expiry of the record that is replaced. */
  readonly keepTtl?: boolean | undefined;
}

/** The answer to a set. */
export interface SetResult {
  /** False: the condition was not met; `current` is the record that stands. */
  readonly applied: boolean;
  /** The version of the record written; 0 if it was not. */
  readonly version: number;
  readonly expireTime: Date | undefined;
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

/** The expiry that a touch gives: exactly one of the three. */
export interface TouchOptions extends Omit<WriteOptions, "returnPrevious"> {
  /** Milliseconds from now; more than 0. */
  readonly ttlMs?: number | undefined;
  /** An instant; in Unix milliseconds if a number. */
  readonly expireAt?: Date | number | undefined;
  /** The record never expires. */
  readonly persist?: boolean | undefined;
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

/** What to list: keys that begin with `prefix`, or keys from `start` up to before `end`, or all. */
export interface ListOptions {
  readonly prefix?: Data | undefined;
  readonly start?: Data | undefined;
  readonly end?: Data | undefined;
  /** From the last key down. */
  readonly reverse?: boolean | undefined;
  /** Without values, which spares the disk. */
  readonly keysOnly?: boolean | undefined;
  /** The most records of a page: 1 to 10,000; by default 1,000. */
  readonly pageSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One page, as it stood at one point in time. */
export interface ListPage {
  readonly records: readonly ListedRecord[];
  /** For the next page; undefined: there is none. */
  readonly after: Uint8Array | undefined;
  /** The page shows exactly what was published by this version. */
  readonly version: number;
}

const encoder = new TextEncoder();

/** A key or a value as bytes. */
export function bytesOf(data: Data): Uint8Array {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new KvixError("FIELD_INVALID", "keys and values are strings or Uint8Arrays", {
    metadata: { field: "key" },
  });
}

/** The one condition that was asked for. Throws FIELD_INVALID if there are several. */
export function conditionOf(options: WriteOptions): Condition | undefined {
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
      {
        metadata: { field: "precondition" },
      },
    );
  }
  return conditions[0];
}

/** When a record that is set expires. Throws FIELD_INVALID if several were asked for. */
export function expiryOf({ ttlMs, expireAt, keepTtl }: SetOptions): Expiry {
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
export function touchExpiryOf({ ttlMs, expireAt, persist }: TouchOptions): TouchExpiry {
  const expiries: TouchExpiry[] = [];
  if (ttlMs !== undefined) expiries.push({ kind: "ttl", ttlMs });
  if (expireAt !== undefined) expiries.push({ kind: "at", atMs: Number(expireAt) });
  if (persist === true) expiries.push({ kind: "never" });
  const [expiry] = expiries;
  if (expiry !== undefined && expiries.length === 1) return expiry;
  throw new KvixError("FIELD_INVALID", "exactly one of ttlMs, expireAt and persist must be given", {
    metadata: { field: "expiry" },
  });
}

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
