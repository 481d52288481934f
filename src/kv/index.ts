/** All that a program sees of a store, whether it is embedded or a server. */
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
} from "./commits.js";
export type { Data } from "./data.js";
export type { KeyValueStore } from "./key-value-store.js";
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
} from "./reads.js";
export { KvixRecord, ListedRecord, type Omission } from "./records.js";
export type { Download, UploadOptions, UploadResult, UploadSource } from "./transfers.js";
export { type WatchBatch, WatchEvent, type WatchOptions } from "./watches.js";
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
} from "./writes.js";
