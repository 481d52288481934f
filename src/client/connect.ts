/**
 * kvix from another process: the client of a `kvix serve`.
 *
 *     await using kvix = connect({ address: "127.0.0.1:5849" });
 *     await kvix.set("greeting", "hello", { ttlMs: 60_000 });
 *     const record = await kvix.get("greeting");   // record?.text() === "hello"
 *
 * It has the methods of the embedded store, and its errors; docs/client.md is a tour.
 */
export {
  type ErrorRow,
  errorCatalogue,
  type Outcome,
  type Reason,
  type Retry,
} from "../base/error-catalogue.js";
export { KvixError } from "../base/kvix-error.js";
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
} from "../kv/commits.js";
export type { Data } from "../kv/data.js";
export type { KeyValueStore } from "../kv/key-value-store.js";
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
} from "../kv/reads.js";
export { KvixRecord, ListedRecord, type Omission } from "../kv/records.js";
export type { Download, UploadOptions, UploadResult, UploadSource } from "../kv/transfers.js";
export { type WatchBatch, WatchEvent, type WatchOptions } from "../kv/watches.js";
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
} from "../kv/writes.js";
export type { ClientCallOptions } from "./connection.js";
export { connect, KvixClient } from "./kvix-client.js";
export type { ConnectOptions, TlsOptions } from "./options.js";
