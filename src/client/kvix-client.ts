/** The client of a server: the interface of a store over one connection. */
import { AdminService, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import type {
  CommitOptions,
  CommitResult,
  IncrementOptions,
  IncrementResult,
  Mutation,
} from "../kv/commits.js";
import { bytesOf, type Data } from "../kv/data.js";
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
import type { KvixRecord, ListedRecord } from "../kv/records.js";
import type { Download, UploadOptions, UploadResult, UploadSource } from "../kv/transfers.js";
import type { WatchBatch, WatchOptions } from "../kv/watches.js";
import {
  type DeleteResult,
  expiryOf,
  type SetOptions,
  type SetResult,
  type TouchOptions,
  type TouchResult,
  touchExpiryOf,
  type WriteOptions,
} from "../kv/writes.js";
import { deleteResultOf, listedOf, recordOf, setResultOf, touchResultOf } from "./answers.js";
import { commit, increment } from "./commits.js";
import { type ClientCallOptions, Connection } from "./connection.js";
import type { ConnectOptions } from "./options.js";
import { batchGet, deleteRange, rangeFields, scan } from "./ranges.js";
import {
  durabilityField,
  preconditionField,
  setExpiryField,
  touchExpiryField,
} from "./requests.js";
import { download, upload } from "./transfers.js";
import { watch } from "./watching.js";

const kv = KvService.method;

/**
 * A client of the server at `address`. It connects with the first call, and again
 * whenever the connection breaks. Throws OPTION_INVALID.
 */
export function connect(options: ConnectOptions): KvixClient {
  return new KvixClient(new Connection(options));
}

/** A store behind a server. Every call also takes a `timeoutMs` of its own. */
export class KvixClient implements KeyValueStore {
  readonly #connection: Connection;

  /** Use `connect`. */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async get(key: Data, options: ClientCallOptions = {}): Promise<KvixRecord | undefined> {
    const request = { key: bytesOf(key) };
    const { record } = await this.#connection.operate("get", kv.get, request, "read", options);
    return recordOf(record);
  }

  async exists(key: Data, options: ClientCallOptions = {}): Promise<boolean> {
    const request = { key: bytesOf(key) };
    const answer = await this.#connection.operate("exists", kv.exists, request, "read", options);
    return answer.exists;
  }

  async set(
    key: Data,
    value: Data,
    options: SetOptions & ClientCallOptions = {},
  ): Promise<SetResult> {
    const request = {
      key: bytesOf(key),
      value: bytesOf(value, "value"),
      expiry: setExpiryField(expiryOf(options)),
      ...writeFields(options),
      returnPrevious: options.returnPrevious === true,
    };
    return setResultOf(await this.#connection.operate("set", kv.set, request, "write", options));
  }

  setX(
    key: Data,
    value: Data,
    ttlMs: number,
    options: WriteOptions & ClientCallOptions = {},
  ): Promise<SetResult> {
    return this.set(key, value, { ...options, ttlMs });
  }

  async delete(key: Data, options: WriteOptions & ClientCallOptions = {}): Promise<DeleteResult> {
    const request = {
      key: bytesOf(key),
      ...writeFields(options),
      returnPrevious: options.returnPrevious === true,
    };
    const { delete: method } = kv;
    return deleteResultOf(
      await this.#connection.operate("delete", method, request, "write", options),
    );
  }

  async touch(key: Data, options: TouchOptions & ClientCallOptions): Promise<TouchResult> {
    const request = {
      key: bytesOf(key),
      expiry: touchExpiryField(touchExpiryOf(options)),
      ...writeFields(options),
    };
    return touchResultOf(
      await this.#connection.operate("touch", kv.touch, request, "write", options),
    );
  }

  async *list(
    options: ListOptions & ClientCallOptions = {},
  ): AsyncGenerator<ListedRecord, void, undefined> {
    let after: Uint8Array | undefined;
    do {
      const page = await this.listPage(options, after);
      yield* page.records;
      after = page.after;
    } while (after !== undefined);
  }

  async listPage(
    options: ListOptions & ClientCallOptions = {},
    after?: Uint8Array,
  ): Promise<ListPage> {
    const { reverse = false, keysOnly = false, pageSize = 0 } = options;
    const request = {
      ...rangeFields(rangeOf(options)),
      reverse,
      keysOnly,
      pageSize,
      pageToken: after === undefined ? "" : Buffer.from(after).toString("latin1"),
    };
    const answer = await this.#connection.call(kv.list, request, "read", options);
    this.#connection.sawVersion(answer.storeVersion);
    const token = answer.nextPageToken;
    return {
      records: answer.records.map((listed) => listedOf(listed, keysOnly)),
      after: token === "" ? undefined : Buffer.from(token, "latin1"),
      version: Number(answer.storeVersion),
    };
  }

  /** It bears a request id, so it is sent again where its outcome is unknown. */
  async increment(
    key: Data,
    delta: number | bigint = 1,
    options: IncrementOptions & ClientCallOptions = {},
  ): Promise<IncrementResult> {
    return await increment(this.#connection, bytesOf(key), delta, options);
  }

  /** It bears a request id, so it is sent again where its outcome is unknown. */
  async commit(
    mutations: readonly Mutation[],
    options: CommitOptions & ClientCallOptions = {},
  ): Promise<CommitResult> {
    return await commit(this.#connection, mutations, options);
  }

  async batchGet(
    keys: readonly Data[],
    options: BatchGetOptions & ClientCallOptions = {},
  ): Promise<BatchGetResult> {
    return await batchGet(this.#connection, keys, options);
  }

  /** It has no deadline; `signal` ends it. */
  scan(options: ScanOptions = {}): Scan {
    return scan(this.#connection, options);
  }

  async deleteRange(options: DeleteRangeOptions & ClientCallOptions): Promise<DeleteRangeResult> {
    return await deleteRange(this.#connection, options);
  }

  /**
   * It goes on by itself when the connection breaks, for as long as it takes; `signal`
   * ends it. It throws when it cannot go on: HISTORY_LOST, for one.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<WatchBatch, void, undefined> {
    return watch(this.#connection, options);
  }

  async upload(
    key: Data,
    source: UploadSource,
    options: UploadOptions & ClientCallOptions = {},
  ): Promise<UploadResult> {
    return await upload(this.#connection, bytesOf(key), source, options);
  }

  /** The time of the call counts until its first piece is there. */
  async download(key: Data, options: ClientCallOptions = {}): Promise<Download | undefined> {
    return await download(this.#connection, bytesOf(key), options);
  }

  get version(): number {
    return this.#connection.version;
  }

  async sync(options: ClientCallOptions = {}): Promise<number> {
    const answer = await this.#connection.call(AdminService.method.sync, {}, "read", options);
    this.#connection.sawVersion(answer.durableVersion);
    return Number(answer.durableVersion);
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What goes with every write. */
function writeFields(options: WriteOptions | TouchOptions) {
  const precondition = preconditionField(options);
  return {
    ...(precondition !== undefined && { precondition }),
    durability: durabilityField(options.durability),
  };
}
