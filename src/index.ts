/**
 * kvix inside a Node program: the same store that `kvix serve` serves, without
 * a network between.
 *
 *     await using kvix = await open({ dataDir: "./data" });
 *     await kvix.set("greeting", "hello", { ttlMs: 60_000 });
 *     const record = await kvix.get("greeting");   // record?.text() === "hello"
 *
 * Keys and values are bytes or strings (as UTF-8). Bytes that are handed over
 * must not be changed until the call's promise settles. Errors are KvixErrors.
 */
import { KvixError } from "./base/kvix-error.js";
import { openStore } from "./engine/open-store.js";
import type { StoreOptionsInput } from "./engine/options.js";
import type {
  Condition,
  Durability,
  Expiry,
  Store,
  DeleteResult as StoreDeleteResult,
  StoredRecord,
  SetResult as StoreSetResult,
} from "./engine/store.js";
import type { StoreStats } from "./engine/store-stats.js";
import type { Host, Log } from "./host/host.js";
import { nodeHost } from "./host/node-host.js";

export {
  type ErrorRow,
  errorCatalogue,
  type Outcome,
  type Reason,
  type Retry,
} from "./base/error-catalogue.js";
export { KvixError } from "./base/kvix-error.js";
export type { RecoveryPolicy, StoreOptionsInput } from "./engine/options.js";
export type { Durability } from "./engine/store.js";
export type { StoreStats } from "./engine/store-stats.js";
export type { Host, Log } from "./host/host.js";

/** What `open` takes: the options of the store, and who is told of what happens. */
export interface OpenOptions extends StoreOptionsInput {
  /** Where log lines go, in the form of pino; by default nowhere. */
  readonly log?: Log | undefined;
  /** The machine to run on; by default this one. */
  readonly host?: Host | undefined;
}

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

/** A record as it is read. */
export class KvixRecord {
  readonly #stored: StoredRecord;

  constructor(stored: StoredRecord) {
    this.#stored = stored;
  }

  /** The value; the bytes are the caller's own. */
  get value(): Uint8Array {
    return this.#stored.value;
  }

  /** The value as text; throws NOT_TEXT if it is not UTF-8. */
  text(): string {
    try {
      return utf8.decode(this.#stored.value);
    } catch (cause) {
      throw new KvixError("NOT_TEXT", "", { cause });
    }
  }

  /** The version of the write that made it. */
  get version(): number {
    return this.#stored.version;
  }

  /** When it was written. */
  get updateTime(): Date {
    return new Date(this.#stored.updatedAtMs);
  }

  /** When it expires; undefined: never. */
  get expireTime(): Date | undefined {
    return this.#stored.expiresAtMs === 0 ? undefined : new Date(this.#stored.expiresAtMs);
  }
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

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Opens the store in `dataDir`, or makes one. Throws KvixErrors that say what is wrong. */
export async function open(options: OpenOptions): Promise<Kvix> {
  const { log, host, ...storeOptions } = options;
  return new Kvix(await openStore(storeOptions, host ?? nodeHost({ log })));
}

/** An open store. */
export class Kvix {
  readonly #store: Store;

  /** Use `open`. */
  constructor(store: Store) {
    this.#store = store;
  }

  /** The record of `key`; undefined if it is absent or expired. */
  async get(key: Data): Promise<KvixRecord | undefined> {
    const read = this.#store.get(bytesOf(key));
    const stored = read instanceof Promise ? await read : read;
    return stored === undefined ? undefined : new KvixRecord(stored);
  }

  /** Writes a record. Resolves when it is as durable as `durability` says. */
  async set(key: Data, value: Data, options: SetOptions = {}): Promise<SetResult> {
    const { returnPrevious, durability, signal } = options;
    const condition = conditionOf(options);
    const result = await this.#store.set(bytesOf(key), bytesOf(value), expiryOf(options), {
      condition,
      returnPrevious,
      durability,
      signal,
    });
    return setResultOf(result);
  }

  /** Writes a record that expires `ttlMs` from now. */
  setX(key: Data, value: Data, ttlMs: number, options: WriteOptions = {}): Promise<SetResult> {
    return this.set(key, value, { ...options, ttlMs });
  }

  /** Whether `key` has a record; answered from the index. */
  async exists(key: Data): Promise<boolean> {
    return this.#store.exists(bytesOf(key)) !== undefined;
  }

  /** Removes the record of `key`, if there is one. */
  async delete(key: Data, options: WriteOptions = {}): Promise<DeleteResult> {
    const { returnPrevious, durability, signal } = options;
    const condition = conditionOf(options);
    const result = await this.#store.delete(bytesOf(key), {
      condition,
      returnPrevious,
      durability,
      signal,
    });
    return deleteResultOf(result);
  }

  /** The newest published version. */
  get version(): number {
    return this.#store.version;
  }

  stats(): StoreStats {
    return this.#store.stats();
  }

  /** Finishes and syncs what was accepted, and lets the directory go. */
  close(): Promise<void> {
    return this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function bytesOf(data: Data): Uint8Array {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new KvixError("FIELD_INVALID", "keys and values are strings or Uint8Arrays", {
    metadata: { field: "key" },
  });
}

function conditionOf(options: WriteOptions): Condition | undefined {
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

function expiryOf({ ttlMs, expireAt, keepTtl }: SetOptions): Expiry {
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

function setResultOf(result: StoreSetResult): SetResult {
  const { applied, version, expiresAtMs, previous, current } = result;
  return {
    applied,
    version,
    expireTime: expiresAtMs === 0 ? undefined : new Date(expiresAtMs),
    previous: previous && new KvixRecord(previous),
    current: current && new KvixRecord(current),
  };
}

function deleteResultOf({ previous, current, ...result }: StoreDeleteResult): DeleteResult {
  return {
    ...result,
    previous: previous && new KvixRecord(previous),
    current: current && new KvixRecord(current),
  };
}
