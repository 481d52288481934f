/**
 * A Store in a Map: the semantics of the whole contract, expiry, conditions and
 * request ids included, without a disk. The services are tested over it, and an
 * engine can be held against it. It forgets everything when it goes.
 *
 * Like the engine it copies what it keeps and gives what the caller owns, it
 * gives every applied write a version of its own, and a condition sees the
 * newest state. A write goes through in the turn it is made, so nothing is
 * ever pending and both durabilities are the same.
 */
import { KvixError } from "../../src/base/kvix-error.js";
import { BATCH_KEYS_MAX, EXPIRES_AT_MS_MAX } from "../../src/base/limits.js";
import { boundsOf } from "../../src/engine/key-range.js";
import {
  requireExpiry,
  requireKey,
  requireSetRun,
  requireValue,
  requireVersion,
  requireWhole,
} from "../../src/engine/request-rules.js";
import { SET_RUN_BYTES_MAX } from "../../src/engine/set-run.js";
import type {
  CommitOptions,
  CommitResult,
  DeleteResult,
  Download,
  Expiry,
  IncrementOptions,
  IncrementResult,
  KeyFacts,
  ListedRecord,
  ListOptions,
  ListPage,
  Mutation,
  Outcome,
  SetResult,
  SetRun,
  SetRunOptions,
  SetRunResult,
  Store,
  StoredRecord,
  TouchExpiry,
  TouchResult,
  UploadStart,
  WriteOptions,
} from "../../src/engine/store.js";
import type {
  BatchGetOptions,
  BatchGetResult,
  DeleteRangeOptions,
  DeleteRangeResult,
  Scan,
  ScanOptions,
} from "../../src/engine/store-ranges.js";
import type { CompactionProgress, SegmentFacts, StoreStats } from "../../src/engine/store-stats.js";
import type { WatchEvent, WatchOptions, WatchSteps } from "../../src/engine/store-watch.js";
import { watchAskOf } from "../../src/engine/watch/watch-rules.js";
import { emptyStats } from "./empty-stats.js";
import { MemoryCommits } from "./memory-commits.js";
import { batchGetOf, deleteRangeOf, scanOf } from "./memory-ranges.js";
import { type Entry, eventOf, holds, recordOf } from "./memory-records.js";
import { memoryDownload, memoryUpload } from "./memory-transfers.js";
import { MemoryHistory } from "./memory-watch.js";
import { recordsOfRun, tell } from "./set-runs.js";

/** A store that lives as long as its object. */
export class MemoryStore implements Store {
  /** Keys by their bytes, one character a byte. */
  readonly #entries = new Map<string, Entry>();
  readonly #wallMs: () => number;
  readonly #commits = new MemoryCommits({
    nowMs: () => this.#wallMs(),
    read: (key) => recordOf(key, this.#visible(key)),
    put: (key, value, expiry) => this.#put(key, value, expiry, this.#visible(key)),
    remove: (key) => this.#remove(key),
    together: (apply) => this.#together(apply),
  });
  readonly setRunBytesMax = SET_RUN_BYTES_MAX;
  readonly settings = { durability: "sync", flushIntervalMs: 100 } as const;
  readonly #history = new MemoryHistory();
  /** What the batch under way has changed; undefined: there is none. */
  #batch: WatchEvent[] | undefined;
  #version = 0;
  #isClosed = false;

  /** `wallMs`: the wall clock, in Unix milliseconds. */
  constructor(wallMs: () => number = Date.now) {
    this.#wallMs = wallMs;
  }

  get version(): number {
    return this.#version;
  }

  async get(key: Uint8Array): Promise<StoredRecord | undefined> {
    this.#requireOpen();
    requireKey(key);
    return recordOf(key, this.#visible(key));
  }

  exists(key: Uint8Array): KeyFacts | undefined {
    this.#requireOpen();
    requireKey(key);
    const record = recordOf(key, this.#visible(key));
    if (record === undefined) return undefined;
    const { version, expiresAtMs, payload } = record;
    return { version, expiresAtMs, recordBytes: payload.byteLength };
  }

  async set(
    key: Uint8Array,
    value: Uint8Array,
    expiry: Expiry,
    options: WriteOptions = {},
  ): Promise<SetResult> {
    requireKey(key);
    requireValue(value);
    requireExpiry(expiry);
    requireVersion(options.condition);
    this.#requireWritable(options);
    const standing = this.#visible(key);
    if (!holds(options.condition, standing)) {
      const current = recordOf(key, standing);
      return { applied: false, version: 0, expiresAtMs: 0, previous: undefined, current };
    }
    const { version, expiresAtMs } = this.#put(key, value, expiry, standing);
    const previous = options.returnPrevious === true ? recordOf(key, standing) : undefined;
    return { applied: true, version, expiresAtMs, previous, current: undefined };
  }

  submitSet(
    key: Uint8Array,
    value: Uint8Array,
    expiry: Expiry,
    options: WriteOptions,
    outcome: Outcome<SetResult>,
  ): void {
    tell(this.set(key, value, expiry, options), outcome);
  }

  submitSets(run: SetRun, options: SetRunOptions, outcome: Outcome<SetRunResult>): void {
    requireSetRun(run, this.setRunBytesMax);
    tell(this.#setAll(run, options), outcome);
  }

  async #setAll(run: SetRun, options: SetRunOptions): Promise<SetRunResult> {
    this.#requireWritable(options);
    const firstVersion = this.#version + 1;
    const never = { kind: "never" } as const;
    for (const { key, value } of recordsOfRun(run)) this.#put(key, value, never, undefined);
    return { firstVersion, refused: undefined };
  }

  async delete(key: Uint8Array, options: WriteOptions = {}): Promise<DeleteResult> {
    requireKey(key);
    requireVersion(options.condition);
    this.#requireWritable(options);
    const standing = this.#visible(key);
    const current = recordOf(key, standing);
    if (!holds(options.condition, standing)) {
      return { applied: false, deleted: false, version: 0, previous: undefined, current };
    }
    const version = this.#remove(key);
    const previous = options.returnPrevious === true ? current : undefined;
    return {
      applied: true,
      deleted: standing !== undefined,
      version: standing === undefined ? 0 : version,
      previous,
      current: undefined,
    };
  }

  async touch(
    key: Uint8Array,
    expiry: TouchExpiry,
    options: Omit<WriteOptions, "returnPrevious"> = {},
  ): Promise<TouchResult> {
    requireKey(key);
    requireExpiry(expiry);
    requireVersion(options.condition);
    this.#requireWritable(options);
    const standing = this.#visible(key);
    const unmoved = { found: false, version: 0, expiresAtMs: 0 };
    if (!holds(options.condition, standing)) {
      return { ...unmoved, applied: false, current: recordOf(key, standing) };
    }
    if (standing === undefined) return { ...unmoved, applied: true, current: undefined };
    const { version, expiresAtMs } = this.#put(key, standing.value, expiry, standing);
    return { applied: true, found: true, version, expiresAtMs, current: undefined };
  }

  async upload(
    key: Uint8Array,
    valueBytes: number,
    expiry: Expiry,
    options: Omit<WriteOptions, "returnPrevious"> = {},
  ): Promise<UploadStart> {
    this.#requireOpen();
    const standing = this.#visible(key);
    const unmet = { applied: false, version: 0, expiresAtMs: 0, current: recordOf(key, standing) };
    const plan = { key: key.slice(), valueBytes, expiry };
    const result = holds(options.condition, standing) ? undefined : unmet;
    return await memoryUpload(plan, options, result, (...set) => this.set(...set));
  }

  async download(key: Uint8Array): Promise<Download | undefined> {
    const record = await this.get(key);
    return record && memoryDownload(record);
  }

  /** The bytes of a page are counted as the engine counts them, roughly: 128 for each record. */
  async list(options: ListOptions): Promise<ListPage> {
    this.#requireOpen();
    const { after, limit = 1000, bytesMax = 4_194_304, reverse = false } = options;
    const { low, high } = boundsOf(options);
    const keys = Array.from(this.#entries.keys(), (name) => Buffer.from(name, "latin1"))
      .filter((key) => this.#visible(key) !== undefined)
      .filter((key) => low === undefined || Buffer.compare(key, low) >= 0)
      .filter((key) => high === undefined || Buffer.compare(key, high) < 0)
      .sort((one, other) => (reverse ? -1 : 1) * Buffer.compare(one, other))
      .filter((key) => {
        return after === undefined || Buffer.compare(key, after) * (reverse ? -1 : 1) > 0;
      });
    const records: ListedRecord[] = [];
    let bytes = 0;
    for (const key of keys) {
      const stored = recordOf(key, this.#visible(key)) as StoredRecord;
      const { version, expiresAtMs, payload } = stored;
      const recordBytes = payload.byteLength;
      const isTooLarge = recordBytes + 128 > bytesMax;
      const isBare = options.keysOnly === true || isTooLarge;
      const costBytes = (isBare ? key.length : recordBytes) + 128;
      if (records.length === limit || (records.length > 0 && bytes + costBytes > bytesMax)) {
        return { records, after: records.at(-1)?.key, version: this.#version };
      }
      bytes += costBytes;
      const record = options.keysOnly === true ? "keys-only" : isTooLarge ? "too-large" : stored;
      records.push({ key, version, expiresAtMs, recordBytes, record });
    }
    return { records, after: undefined, version: this.#version };
  }

  async batchGet(
    keys: readonly Uint8Array[],
    options: BatchGetOptions = {},
  ): Promise<BatchGetResult> {
    requireWhole("keys", keys.length, 1, BATCH_KEYS_MAX);
    return await batchGetOf(this, keys, options);
  }

  scan(options: ScanOptions = {}): Scan {
    this.#requireOpen();
    return scanOf(this, options);
  }

  async deleteRange(options: DeleteRangeOptions): Promise<DeleteRangeResult> {
    this.#requireWritable(options);
    return await deleteRangeOf(this, options);
  }

  async sync(): Promise<number> {
    this.#requireOpen();
    return this.#version;
  }

  segments(): readonly SegmentFacts[] {
    return [];
  }

  async increment(
    key: Uint8Array,
    delta: bigint,
    options: IncrementOptions = {},
  ): Promise<IncrementResult> {
    this.#requireWritable(options);
    return this.#commits.increment(key, delta, options);
  }

  async commit(mutations: readonly Mutation[], options: CommitOptions = {}): Promise<CommitResult> {
    this.#requireWritable(options);
    return this.#commits.commit(mutations, options);
  }

  watch(options: WatchOptions): WatchSteps {
    this.#requireOpen();
    watchAskOf(options);
    const standing = (): WatchEvent[] =>
      [...this.#entries.keys()].sort().flatMap((name) => {
        const key = Buffer.from(name, "latin1");
        const entry = this.#visible(key);
        return entry === undefined ? [] : [eventOf("set", key, entry)];
      });
    return this.#history.watch(options, this.#version, standing, () => this.#isClosed);
  }

  /** What `apply` changes is one batch to those who watch. */
  #together<Result>(apply: () => Result): Result {
    const changed: WatchEvent[] = [];
    this.#batch = changed;
    try {
      return apply();
    } finally {
      this.#batch = undefined;
      if (changed.length > 0) this.#history.add(changed);
    }
  }

  async *compact(): AsyncGenerator<CompactionProgress> {
    this.#requireOpen();
    yield {
      phase: "done",
      segmentsDone: 0,
      segmentsChosen: 0,
      bytesRead: 0,
      bytesWritten: 0,
      bytesReclaimed: 0,
      share: 1,
      outcome: "nothing-to-do",
      why: "",
    };
  }

  stats(): StoreStats {
    return { ...emptyStats, version: this.#version, keys: this.#entries.size };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#history.wake();
  }

  /** The entry of `key`, unless it has expired: at its very instant it is gone. */
  #visible(key: Uint8Array): Entry | undefined {
    const entry = this.#entries.get(nameOf(key));
    if (entry === undefined || entry.expiresAtMs === 0) return entry;
    return this.#wallMs() < entry.expiresAtMs ? entry : undefined;
  }

  #put(key: Uint8Array, value: Uint8Array, expiry: Expiry, standing: Entry | undefined): Entry {
    const updatedAtMs = this.#wallMs();
    const expiresAtMs = expiresAt(expiry, updatedAtMs, standing);
    const entry = { value: value.slice(), version: ++this.#version, updatedAtMs, expiresAtMs };
    this.#entries.set(nameOf(key), entry);
    this.#note(eventOf("set", key, entry));
    return entry;
  }

  /** Removing an expired key takes a version too: its tombstone. 0 if there was nothing at all. */
  #remove(key: Uint8Array): number {
    const entry = this.#entries.get(nameOf(key));
    if (entry === undefined) return 0;
    const kind = this.#visible(key) === undefined ? "expire" : "delete";
    this.#entries.delete(nameOf(key));
    const version = ++this.#version;
    const gone = { value: new Uint8Array(0), version, updatedAtMs: this.#wallMs(), expiresAtMs: 0 };
    this.#note(eventOf(kind, key, gone));
    return version;
  }

  #note(event: WatchEvent): void {
    if (this.#batch === undefined) this.#history.add([event]);
    else this.#batch.push(event);
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new KvixError("STORE_CLOSING");
  }

  #requireWritable({ signal }: Pick<WriteOptions, "signal">): void {
    this.#requireOpen();
    if (signal?.aborted === true) throw new KvixError("CANCELLED");
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString("latin1");
}

function expiresAt(expiry: Expiry, nowMs: number, standing: Entry | undefined): number {
  switch (expiry.kind) {
    case "never":
      return 0;
    case "keep":
      return standing?.expiresAtMs ?? 0;
    case "at":
      return expiry.atMs;
    case "ttl":
      if (nowMs + expiry.ttlMs <= EXPIRES_AT_MS_MAX) return nowMs + expiry.ttlMs;
      throw new KvixError("FIELD_INVALID", "ttl must end by the year 9999");
  }
}
