/**
 * The store on this machine's disk: the parts of the engine, put together.
 *
 *   reads:   keydir -> record reader
 *   writes:  write queue -> log -> publisher
 *   beside:  expiry sweep, hint keeper
 */

import { KvixError } from "../base/kvix-error.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import { PLACES_PER_RECORD } from "../format/plain-frames.js";
import { hasExpired } from "./accepted-state.js";
import { CommitRequests, OP_OVERHEAD_BYTES } from "./commit-requests.js";
import { Downloads } from "./downloads.js";
import { NO_ENTRY } from "./keydir/keydir.js";
import { letGo } from "./let-go.js";
import type { LogReaders } from "./log-readers.js";
import { ManyRecords } from "./many-records.js";
import {
  requireExpiry,
  requireKey,
  requireSetRun,
  requireValue,
  requireVersion,
} from "./request-rules.js";
import { segmentFacts } from "./segment-facts.js";
import { SET_RUN_BYTES_MAX } from "./set-run.js";
import { Snapshots } from "./snapshots/snapshots.js";
import { statsOf } from "./stats-of.js";
import type {
  CommitOptions,
  CommitResult,
  DeleteResult,
  Download,
  Expiry,
  IncrementOptions,
  IncrementResult,
  KeyFacts,
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
} from "./store.js";
import type { StoreParts } from "./store-parts.js";
import type {
  BatchGetOptions,
  BatchGetResult,
  DeleteRangeOptions,
  DeleteRangeResult,
  Scan,
  ScanOptions,
} from "./store-ranges.js";
import type { CompactionProgress, SegmentFacts, StoreSettings, StoreStats } from "./store-stats.js";
import type { WatchOptions } from "./store-watch.js";
import type { Sweep } from "./sweep.js";
import type { Watch } from "./watch/watch.js";
import { Watches } from "./watch/watches.js";
import { WriteOp, type WriteRequest, type WriteResult } from "./write-op.js";

/** A store in two directories of this machine. */
export class LocalStore implements Store {
  readonly #parts: StoreParts;
  readonly #sweep: Sweep;
  readonly #commits: CommitRequests;
  readonly #downloads: Downloads;
  readonly #many: ManyRecords;
  /** Opens snapshots. */
  readonly snapshots: Snapshots;
  readonly #watches: Watches;
  #closing: Promise<void> | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#commits = new CommitRequests(parts.host.entropy);
    const { clock } = parts.host;
    this.#downloads = new Downloads({ ...parts, clock });
    this.snapshots = new Snapshots({ ...parts, clock });
    this.#watches = new Watches(parts, this.snapshots);
    this.#many = new ManyRecords({
      ...parts,
      clock,
      snapshots: this.snapshots,
      remove: (key, options) => this.delete(key, options),
      settle: (options) => this.#submit({ kind: "flush" }, 0, options),
    });
    this.#sweep = parts.sweepWith((key, version) => this.#expire(key, version));
    this.#sweep.start();
    parts.compactor.start();
  }

  /** Opens readers of the log. */
  get logReaders(): LogReaders {
    return this.#parts.logReaders;
  }

  get version(): number {
    return this.#parts.publisher.version;
  }

  get settings(): StoreSettings {
    const { durability, flushIntervalMs } = this.#parts.options;
    return { durability, flushIntervalMs };
  }

  get(key: Uint8Array): StoredRecord | undefined | Promise<StoredRecord> {
    this.#requireOpen();
    requireKey(key);
    const { keydir, segments, reader } = this.#parts;
    const entry = keydir.find(key);
    if (entry === NO_ENTRY || this.#isHidden(entry)) return undefined;
    const segment = segments.at(keydir.segmentOf(entry));
    const offset = keydir.offsetOf(entry);
    const length = keydir.lengthOf(entry);
    return reader.read(segment, offset, length, key, keydir.versionOf(entry));
  }

  exists(key: Uint8Array): KeyFacts | undefined {
    this.#requireOpen();
    requireKey(key);
    const { keydir } = this.#parts;
    const entry = keydir.find(key);
    if (entry === NO_ENTRY || this.#isHidden(entry)) return undefined;
    return {
      version: keydir.versionOf(entry),
      expiresAtMs: keydir.expiresAtMsOf(entry),
      recordBytes: keydir.lengthOf(entry) - FRAME_HEADER_BYTES,
    };
  }

  set(
    key: Uint8Array,
    value: Uint8Array,
    expiry: Expiry,
    options: WriteOptions = {},
  ): Promise<SetResult> {
    return new Promise((resolve, reject) =>
      this.submitSet(key, value, expiry, options, { resolve, reject }),
    );
  }

  submitSet(
    key: Uint8Array,
    value: Uint8Array,
    expiry: Expiry,
    options: WriteOptions,
    outcome: Outcome<SetResult>,
  ): void {
    requireKey(key);
    requireValue(value);
    requireExpiry(expiry);
    requireVersion(options.condition);
    const { condition, returnPrevious = false } = options;
    const request = { kind: "set", key, value, expiry, condition, returnPrevious } as const;
    const op = this.#opOf(request, key.length + value.length, options);
    // A set is answered with what a set is answered with.
    this.#parts.queue.enter(op, outcome as Outcome<WriteResult>, options.signal);
  }

  get setRunBytesMax(): number {
    // A run is written as one, so it fits a segment.
    return Math.min(SET_RUN_BYTES_MAX, this.#parts.options.segmentBytesMax);
  }

  submitSets(run: SetRun, options: SetRunOptions, outcome: Outcome<SetRunResult>): void {
    const runBytes = requireSetRun(run, this.setRunBytesMax);
    const overhead = (run.places.length / PLACES_PER_RECORD) * OP_OVERHEAD_BYTES;
    const op = this.#opOf({ kind: "sets", run, runBytes }, runBytes + overhead, options);
    // A run is answered with what a run is answered with.
    this.#parts.queue.enter(op, outcome as Outcome<WriteResult>, options.signal);
  }

  async delete(key: Uint8Array, options: WriteOptions = {}): Promise<DeleteResult> {
    requireKey(key);
    requireVersion(options.condition);
    const { condition, returnPrevious = false } = options;
    const request = { kind: "delete", key, condition, returnPrevious } as const;
    return (await this.#submit(request, key.length, options)) as DeleteResult;
  }

  async touch(
    key: Uint8Array,
    expiry: TouchExpiry,
    options: Omit<WriteOptions, "returnPrevious"> = {},
  ): Promise<TouchResult> {
    requireKey(key);
    requireExpiry(expiry);
    requireVersion(options.condition);
    const { keydir } = this.#parts;
    const entry = keydir.find(key);
    const recordBytes = entry === NO_ENTRY ? 0 : keydir.lengthOf(entry);
    const request = { kind: "touch", key, expiry, condition: options.condition } as const;
    return (await this.#submit(request, key.length + recordBytes, options)) as TouchResult;
  }

  async upload(
    key: Uint8Array,
    valueBytes: number,
    expiry: Expiry,
    options: Omit<WriteOptions, "returnPrevious"> = {},
  ): Promise<UploadStart> {
    this.#requireOpen();
    const { condition, signal } = options;
    const durability = options.durability ?? this.#parts.options.durability;
    // Its key is needed for longer than a call is under way.
    const own = new Uint8Array(key);
    const plan = { key: own, valueBytes, expiry, condition, durability, signal };
    return await this.#parts.uploads.begin(plan);
  }

  async download(
    key: Uint8Array,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Download | undefined> {
    this.#requireOpen();
    requireKey(key);
    const { keydir, segments } = this.#parts;
    const entry = keydir.find(key);
    if (entry === NO_ENTRY || this.#isHidden(entry)) return undefined;
    const place = {
      key,
      segment: segments.at(keydir.segmentOf(entry)),
      offset: keydir.offsetOf(entry),
      length: keydir.lengthOf(entry),
      version: keydir.versionOf(entry),
    };
    return await this.#downloads.begin(place, options.signal);
  }

  async increment(
    key: Uint8Array,
    delta: bigint,
    options: IncrementOptions = {},
  ): Promise<IncrementResult> {
    const request = this.#commits.increment(key, delta, options);
    return (await this.#submit(request, key.length, options)) as IncrementResult;
  }

  async commit(mutations: readonly Mutation[], options: CommitOptions = {}): Promise<CommitResult> {
    const { request, bytes } = this.#commits.commit(mutations, options);
    return (await this.#submit(request, bytes, options)) as CommitResult;
  }

  async list(options: ListOptions): Promise<ListPage> {
    this.#requireOpen();
    return await this.#many.lister.list(options);
  }

  async batchGet(
    keys: readonly Uint8Array[],
    options: BatchGetOptions = {},
  ): Promise<BatchGetResult> {
    this.#requireOpen();
    return await this.#many.batches.get(keys, options);
  }

  scan(options: ScanOptions = {}): Scan {
    this.#requireOpen();
    return this.#many.scanner.scan(options);
  }

  async deleteRange(options: DeleteRangeOptions): Promise<DeleteRangeResult> {
    this.#requireOpen();
    return await this.#many.rangeDeleter.deleteRange(options);
  }

  compact(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncIterable<CompactionProgress> {
    this.#requireOpen();
    return this.#parts.compactor.compact(options);
  }

  watch(options: WatchOptions): Watch {
    this.#requireOpen();
    return this.#watches.open(options);
  }

  async sync(): Promise<number> {
    await this.flush();
    return this.#parts.queue.durableVersion;
  }

  /** Resolves when everything acknowledged so far is durable. */
  flush(): Promise<void> {
    this.#requireOpen();
    return this.#parts.queue.flush();
  }

  /** Resolves when all hints are written. */
  hintsWritten(): Promise<void> {
    return this.#parts.hints.idle();
  }

  stats(): StoreStats {
    return statsOf(this.#parts, this.#sweep, this.#many.pageBytes);
  }

  segments(): readonly SegmentFacts[] {
    const { segments, damage } = this.#parts;
    return segmentFacts(segments, damage);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #isHidden(entry: number): boolean {
    const expiresAtMs = this.#parts.keydir.expiresAtMsOf(entry);
    return expiresAtMs !== 0 && hasExpired(expiresAtMs, this.#parts.host.clock.wallMs());
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new KvixError("STORE_CLOSING");
  }

  #submit(
    request: WriteRequest,
    bytes: number,
    options: Pick<WriteOptions, "durability" | "signal">,
  ): Promise<WriteResult> {
    return this.#parts.queue.submit(this.#opOf(request, bytes, options), options.signal);
  }

  #opOf(request: WriteRequest, bytes: number, options: Pick<WriteOptions, "durability">): WriteOp {
    this.#requireOpen();
    const durability = options.durability ?? this.#parts.options.durability;
    return new WriteOp(request, durability, bytes + OP_OVERHEAD_BYTES);
  }

  async #expire(key: Uint8Array, version: number): Promise<boolean> {
    const op = new WriteOp({ kind: "expire", key, version }, "buffered", key.length);
    return await this.#parts.queue.submit(op).then(
      () => op.frameBytes > 0,
      () => false,
    );
  }

  async #close(): Promise<void> {
    const { queue, uploads, hints, log, latch, segments, locks, versions, host } = this.#parts;
    const { space, keeper } = this.#parts;
    const failures: unknown[] = [];
    const attempt = async (step: () => Promise<void>): Promise<void> => {
      await step().catch((error: unknown) => failures.push(error));
    };
    this.#downloads.close();
    uploads.stop();
    this.#watches.close();
    this.#many.close();
    this.snapshots.close();
    this.#parts.logReaders.close();
    this.#parts.upkeep.stop();
    await attempt(() => this.#sweep.stop());
    await attempt(() => this.#parts.compactor.stop());
    await attempt(() => this.#parts.steps.stop());
    await attempt(() => uploads.idle());
    await attempt(() => queue.close());
    await attempt(() => hints.stop());
    const newestMs = Math.max(this.#parts.newestTimestampMs(), host.clock.wallMs());
    await attempt(() => log.markClean(versions.last, newestMs, this.#parts.saveCheckpoint));
    await attempt(() => space.idle());
    await letGo(host.log, [
      () => log.close(),
      ...Array.from(segments.all(), (segment) => () => segment.file?.close()),
      // Reads that were under way have ended with that; damage that they found is still saved.
      () => keeper.close(),
      ...locks.map((lock) => () => lock.release()),
    ]);
    if (latch.isClosed) throw latch.uncertain();
    if (failures.length > 0) throw failures[0];
  }
}
