/** All that a program sees of a store, whether it is embedded or a server. */
export type { Data } from "./data.js";
export type { KeyValueStore } from "./key-value-store.js";
export type { ListOptions, ListPage, RangeOptions, RangeReadOptions } from "./reads.js";
export { KvixRecord, ListedRecord, type Omission } from "./records.js";
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
