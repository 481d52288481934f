/** The embedded door: a store behind keys and values that may be text. */
import { openStore } from "../engine/open-store.js";
import type { StoreOptionsInput } from "../engine/options.js";
import type { Store } from "../engine/store.js";
import type { CompactionProgress, SegmentFacts, StoreStats } from "../engine/store-stats.js";
import type { Host, Log } from "../host/host.js";
import { nodeHost } from "../host/node-host.js";
import type {
  CommitOptions,
  CommitResult,
  IncrementOptions,
  IncrementResult,
  Mutation,
} from "../kv/commits.js";
import { bytesOf, type Data, dateOf } from "../kv/data.js";
import type { KeyValueStore } from "../kv/key-value-store.js";
import {
  type BatchGetOptions,
  type BatchGetResult,
  type DeleteRangeOptions,
  type DeleteRangeResult,
  type ListOptions,
  type ListPage,
  rangeOf,
  type Scan,
  type ScanOptions,
} from "../kv/reads.js";
import { KvixRecord, ListedRecord } from "../kv/records.js";
import type { Download, UploadOptions, UploadResult, UploadSource } from "../kv/transfers.js";
import type { WatchBatch, WatchOptions } from "../kv/watches.js";
import {
  type CallOptions,
  conditionOf,
  type DeleteResult,
  expiryOf,
  type SetOptions,
  type SetResult,
  type TouchOptions,
  type TouchResult,
  touchExpiryOf,
  type WriteOptions,
} from "../kv/writes.js";
import { deleteResultOf, setResultOf } from "./calls.js";
import { commitTo, incrementIn } from "./commits.js";
import { scanStore } from "./scan.js";
import { downloadFrom, uploadTo } from "./transfers.js";
import { watchStore } from "./watch.js";

/** What `open` takes: the options of the store, and who is told of what happens. */
export interface OpenOptions extends StoreOptionsInput {
  /** Where log lines go, in the form of pino; by default nowhere. */
  readonly log?: Log | undefined;
  /** The machine to run on; by default this one. */
  readonly host?: Host | undefined;
}

/** Opens the store in `dataDir`, or makes one. Throws KvixErrors that say what is wrong. */
export async function open(options: OpenOptions): Promise<Kvix> {
  const { log, host, ...storeOptions } = options;
  return new Kvix(await openStore(storeOptions, host ?? nodeHost({ log })));
}

/** An open store. */
export class Kvix implements KeyValueStore {
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
    const result = await this.#store.set(bytesOf(key), bytesOf(value, "value"), expiryOf(options), {
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

  /**
   * Gives the record of `key` another expiry, if there is one. It is written anew,
   * so it costs what setting the same value costs.
   */
  async touch(key: Data, options: TouchOptions): Promise<TouchResult> {
    const { durability, signal } = options;
    const condition = conditionOf(options);
    const result = await this.#store.touch(bytesOf(key), touchExpiryOf(options), {
      condition,
      durability,
      signal,
    });
    const { applied, found, version, expiresAtMs, current } = result;
    const expireTime = dateOf(expiresAtMs);
    return { applied, found, version, expireTime, current: current && new KvixRecord(current) };
  }

  /**
   * The records of a range in key order. They are fetched page by page, and each
   * page is a point in time of its own.
   */
  async *list(options: ListOptions = {}): AsyncGenerator<ListedRecord, void, undefined> {
    let after: Uint8Array | undefined;
    do {
      const page = await this.listPage(options, after);
      yield* page.records;
      after = page.after;
    } while (after !== undefined);
  }

  /** One page of records in key order; the next one begins behind the `after` of this one. */
  async listPage(options: ListOptions = {}, after?: Uint8Array): Promise<ListPage> {
    const { reverse, keysOnly, pageSize, signal } = options;
    const page = await this.#store.list({
      ...rangeOf(options),
      reverse,
      keysOnly,
      limit: pageSize,
      after,
      signal,
    });
    return { ...page, records: page.records.map((listed) => new ListedRecord(listed)) };
  }

  async increment(
    key: Data,
    delta: number | bigint = 1,
    options: IncrementOptions = {},
  ): Promise<IncrementResult> {
    return await incrementIn(this.#store, bytesOf(key), delta, options);
  }

  async commit(mutations: readonly Mutation[], options: CommitOptions = {}): Promise<CommitResult> {
    return await commitTo(this.#store, mutations, options);
  }

  async batchGet(keys: readonly Data[], options: BatchGetOptions = {}): Promise<BatchGetResult> {
    const { keysOnly, signal } = options;
    const bytes = keys.map((key) => bytesOf(key, "keys"));
    const { entries, version } = await this.#store.batchGet(bytes, { keysOnly, signal });
    const told = entries.map((entry) => {
      if (entry === "absent") return undefined;
      return entry === "unread" ? entry : new ListedRecord(entry);
    });
    return { entries: told, version };
  }

  scan(options: ScanOptions = {}): Scan {
    return scanStore(this.#store, options);
  }

  async deleteRange(options: DeleteRangeOptions): Promise<DeleteRangeResult> {
    const { all, dryRun, limit, durability, signal } = options;
    const range = rangeOf(options);
    return await this.#store.deleteRange({ ...range, all, dryRun, limit, durability, signal });
  }

  watch(options: WatchOptions = {}): AsyncGenerator<WatchBatch, void, undefined> {
    return watchStore(this.#store, options);
  }

  async upload(
    key: Data,
    source: UploadSource,
    options: UploadOptions = {},
  ): Promise<UploadResult> {
    return await uploadTo(this.#store, bytesOf(key), source, options);
  }

  async download(key: Data, options: CallOptions = {}): Promise<Download | undefined> {
    return await downloadFrom(this.#store, bytesOf(key), options.signal);
  }

  /** The newest published version. */
  get version(): number {
    return this.#store.version;
  }

  /** Resolves to the newest durable version when everything acknowledged so far is durable. */
  sync(): Promise<number> {
    return this.#store.sync();
  }

  /**
   * Brings back the space of what was deleted and overwritten: runs a compaction,
   * or joins the one under way, and tells how far it is, last of all with an
   * outcome. Nothing happens until the first value is asked for; leaving the loop,
   * or `signal`, cancels the run, unless somebody else waits for it or the store
   * began it by itself.
   */
  compact(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncIterable<CompactionProgress> {
    return this.#store.compact(options);
  }

  /** The files that the store consists of, oldest first. */
  segments(): readonly SegmentFacts[] {
    return this.#store.segments();
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
