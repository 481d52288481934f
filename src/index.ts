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
export {
  type ErrorRow,
  errorCatalogue,
  type Outcome,
  type Reason,
  type Retry,
} from "./base/error-catalogue.js";
export { KvixError } from "./base/kvix-error.js";
export { Kvix, type OpenOptions, open } from "./embedded/kvix.js";
export type { CompactionMode, RecoveryPolicy, StoreOptionsInput } from "./engine/options.js";
export type {
  CompactionOutcome,
  CompactionPhase,
  CompactionProgress,
  CompactionStats,
  SegmentFacts,
  StoreStats,
} from "./engine/store-stats.js";
export type { Host, Log } from "./host/host.js";
export type {
  CommitCondition,
  CommitOptions,
  CommitResult,
  IncrementOptions,
  IncrementResult,
  Mutation,
  MutationResult,
  RequestIdOptions,
  UnmetCondition,
} from "./kv/commits.js";
export type { Data } from "./kv/data.js";
export type { KeyValueStore } from "./kv/key-value-store.js";
export type {
  BatchGetOptions,
  BatchGetResult,
  DeleteRangeOptions,
  DeleteRangeResult,
  ListOptions,
  ListPage,
  RangeOptions,
  RangeReadOptions,
  Scan,
  ScanOptions,
} from "./kv/reads.js";
export { KvixRecord, ListedRecord, type Omission } from "./kv/records.js";
export type { Download, UploadOptions, UploadResult, UploadSource } from "./kv/transfers.js";
export { type WatchBatch, WatchEvent, type WatchOptions } from "./kv/watches.js";
export type {
  CallOptions,
  ConditionOptions,
  DeleteResult,
  Durability,
  SetExpiryOptions,
  SetOptions,
  SetResult,
  TouchExpiryOptions,
  TouchOptions,
  TouchResult,
  WriteOptions,
} from "./kv/writes.js";
