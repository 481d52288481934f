/** The client of a server: the interface of a store over one connection. */
import { AdminService, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { bytesOf, type Data } from "../kv/data.js";
import type { KeyValueStore } from "../kv/key-value-store.js";
import { type ListOptions, type ListPage, rangeOf } from "../kv/reads.js";
import type { KvixRecord, ListedRecord } from "../kv/records.js";
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
import { type ClientCallOptions, Connection } from "./connection.js";
import type { ConnectOptions } from "./options.js";
import {
  durabilityField,
  preconditionField,
  setExpiryField,
  touchExpiryField,
} from "./requests.js";

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
    const { prefix, start, end } = rangeOf(options);
    const { reverse = false, keysOnly = false, pageSize = 0 } = options;
    const request = {
      ...(prefix !== undefined && { prefix }),
      ...(start !== undefined && { start }),
      ...(end !== undefined && { end }),
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
