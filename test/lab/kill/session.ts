/**
 * One connection of a client to the server, whose oracle hears of every call:
 * what was asked before it is sent, what was answered before anything else is.
 *
 *     done      answered, and judged by the oracle
 *     REASON    refused by the server, for a reason that this session allows
 *     deadline  given up by the client: the fate of a write is open
 *     gone      the connection broke, or could not be had: the same
 *
 * A refusal that is not allowed, and any answer that the oracle does not accept,
 * is thrown as an AssertionError.
 */
import assert from "node:assert/strict";
import {
  durationFromMs,
  type Timestamp,
  timestampFromMs,
  timestampMs,
} from "@bufbuild/protobuf/wkt";
import { status as grpcStatus } from "@grpc/grpc-js";
import {
  AdminService,
  Durability,
  KvService,
  type Record as WireRecord,
} from "../../../gen/kvix/v1/kvix_pb.js";
import type { Reason } from "../../../src/base/error-catalogue.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import { RpcClient } from "../../../src/rpc/client.js";
import type { Lifetime, SeenRecord, Told, Write } from "./attempts.js";
import type { Counts } from "./counts.js";
import type { KillOracle } from "./oracle.js";

const { get, set, delete: remove, touch, list } = KvService.method;

/** How a call ended. */
export type Result = "done" | "deadline" | "gone" | Reason;

/** What a session talks to, and who listens. */
export interface SessionContext {
  readonly address: string;
  readonly oracle: KillOracle;
  readonly counts: Counts;
  /** The refusals that are right at this time. */
  readonly allowed: ReadonlySet<Reason>;
}

/** How a write is sent. */
export interface WriteOptions {
  readonly isSync?: boolean;
  /** The write is to happen only if the key is absent. */
  readonly ifAbsent?: boolean;
  /** When the client gives up, in milliseconds from now. */
  readonly timeoutMs?: number | undefined;
}

/** What every key begins with that an oracle judges, so that a log that quotes one is found out. */
export const keyMark = "k3y-";

/** One at a time of reading a whole store: how many keys are asked for at once. */
const SURVEY_AT_ONCE = 32;
const INSTANT_REST_NANOS = 300_000;

/** What goes with a write that is sent. */
interface Sending {
  readonly durability: Durability;
  readonly ifAbsent: boolean;
  readonly sentAtMs: number;
}

/** One connection. */
export class Session {
  readonly #context: SessionContext;
  readonly #client: RpcClient;

  constructor(context: SessionContext) {
    this.#context = context;
    this.#client = new RpcClient(context.address, {
      // Without a pool of its own a client would share its neighbour's connection.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      // A server that was out of descriptors for a while is asked again soon.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.min_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
    });
  }

  /** The connection itself, for calls that no oracle has to hear of. */
  get client(): RpcClient {
    return this.#client;
  }

  close(): void {
    this.#client.close();
  }

  async read(key: string, timeoutMs?: number): Promise<Result> {
    const { oracle, counts } = this.#context;
    const floor = oracle.floorOf(key);
    const beganAtMs = Date.now();
    return await this.#ended(async () => {
      const { record } = await this.#client.call(get, { key: bytesOf(key) }, deadline(timeoutMs));
      oracle.read(key, record && seenOf(record), floor, beganAtMs);
      counts.add("reads");
    });
  }

  async write(
    key: string,
    write: Write,
    { isSync = true, ifAbsent = false, timeoutMs }: WriteOptions = {},
  ): Promise<Result> {
    const { oracle, counts } = this.#context;
    const attempt = oracle.begin(key, write, isSync);
    const durability = isSync ? Durability.SYNC : Durability.BUFFERED;
    const options = deadline(timeoutMs);
    const result = await this.#ended(
      async () => {
        const { sentAtMs } = attempt;
        const answer = await this.#send(key, write, { durability, ifAbsent, sentAtMs }, options);
        if (answer.applied) {
          oracle.acknowledge(attempt, answer.told);
        } else {
          oracle.refuse(attempt);
          oracle.read(
            key,
            answer.current && seenOf(answer.current),
            attempt.floor,
            attempt.sentAtMs,
          );
        }
        counts.add(isSync ? "synced writes acknowledged" : "buffered writes acknowledged");
      },
      () => oracle.refuse(attempt),
    );
    if (result === "gone" || result === "deadline") counts.add("writes of unknown fate");
    return result;
  }

  async #send(
    key: string,
    write: Write,
    { durability, ifAbsent, sentAtMs }: Sending,
    options: { readonly deadlineMs?: number },
  ): Promise<{ applied: boolean; told: Told; current?: WireRecord | undefined }> {
    const request = { key: bytesOf(key), durability };
    if (write.kind === "delete") {
      const { applied, version, current } = await this.#client.call(remove, request, options);
      return { applied, told: { version: Number(version) }, current };
    }
    const expiry = expiryOf(write, sentAtMs);
    const { applied, version, expireTime, current } =
      write.kind === "touch"
        ? await this.#client.call(
            touch,
            { ...request, expiry: expiry ?? { case: "persist", value: true } },
            options,
          )
        : await this.#client.call(
            set,
            {
              ...request,
              value: write.value,
              ...(expiry && { expiry }),
              ...(ifAbsent && { precondition: { condition: { case: "absent", value: true } } }),
            },
            options,
          );
    const told = { version: Number(version), expiresAtMs: msOf(expireTime) };
    return { applied, told, current };
  }

  /** One page of all keys: each record as if it had been read, and what is missing as absent. */
  async list(keys: readonly string[], timeoutMs?: number): Promise<Result> {
    const { oracle, counts } = this.#context;
    const floors = new Map(keys.map((key) => [key, oracle.floorOf(key)]));
    const beganAtMs = Date.now();
    return await this.#ended(async () => {
      const { records, nextPageToken } = await this.#client.call(
        list,
        { prefix: bytesOf(keyMark) },
        deadline(timeoutMs),
      );
      for (const { record, valueOmitted } of records) {
        const key = Buffer.from(record?.key ?? []).toString();
        const floor = floors.get(key);
        assert.ok(record && floor !== undefined, "a list has a key that nobody wrote");
        floors.delete(key);
        if (!valueOmitted) oracle.read(key, seenOf(record), floor, beganAtMs);
      }
      if (nextPageToken === "") {
        for (const [key, floor] of floors) oracle.read(key, undefined, floor, beganAtMs);
      }
      counts.add("lists");
    });
  }

  /** Everything acknowledged so far becomes durable. */
  async sync(timeoutMs?: number): Promise<Result> {
    const { oracle } = this.#context;
    const version = oracle.highestVersion;
    return await this.#ended(async () => {
      const { durableVersion } = await this.#client.call(
        AdminService.method.sync,
        {},
        deadline(timeoutMs),
      );
      assert.ok(Number(durableVersion) >= version, "a sync left out what was acknowledged before");
      oracle.synced(version);
    });
  }

  /** Every key as it shows when nobody writes. */
  async survey(
    keys: readonly string[],
  ): Promise<{ shown: Map<string, SeenRecord | undefined>; storeVersion: number }> {
    const shown = new Map<string, SeenRecord | undefined>();
    let storeVersion = 0;
    const waiting = keys.values();
    const work = async () => {
      for (const key of waiting) {
        const answer = await this.#client.call(get, { key: bytesOf(key) });
        shown.set(key, answer.record && seenOf(answer.record));
        storeVersion = Number(answer.storeVersion);
      }
    };
    await Promise.all(Array.from({ length: SURVEY_AT_ONCE }, work));
    return { shown, storeVersion };
  }

  /** Makes a call of `call`; `onRefused` hears that a write was not applied. */
  async #ended(call: () => Promise<void>, onRefused?: () => void): Promise<Result> {
    try {
      await call();
      return "done";
    } catch (error) {
      if (error instanceof KvixError) {
        if (error.outcome === "not-applied") onRefused?.();
        const isRight = this.#context.allowed.has(error.reason);
        assert.ok(isRight, `the server refused: ${error.message}`);
        this.#context.counts.add(`${error.reason} refusals`);
        return error.reason;
      }
      const code = codeOf(error);
      if (code === grpcStatus.DEADLINE_EXCEEDED) return "deadline";
      if (code === grpcStatus.UNAVAILABLE || code === grpcStatus.CANCELLED) return "gone";
      throw error;
    }
  }
}

/** What a request says of the expiry; undefined: nothing. */
function expiryOf({ ttlMs, isInstant }: Lifetime, sentAtMs: number) {
  if (ttlMs === undefined) return undefined;
  if (isInstant !== true) return { case: "ttl", value: durationFromMs(ttlMs) } as const;
  const { seconds, nanos } = timestampFromMs(sentAtMs + ttlMs - 1);
  // A part of a millisecond more: the record is visible until the next one begins.
  return { case: "expireTime", value: { seconds, nanos: nanos + INSTANT_REST_NANOS } } as const;
}

/** A key as bytes. */
export function bytesOf(key: string): Uint8Array {
  return Buffer.from(key);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function deadline(timeoutMs: number | undefined): { readonly deadlineMs?: number } {
  return timeoutMs === undefined ? {} : { deadlineMs: Date.now() + timeoutMs };
}

function seenOf({ value, version, expireTime }: WireRecord): SeenRecord {
  return { value, version: Number(version), expiresAtMs: msOf(expireTime) };
}

function msOf(time: Timestamp | undefined): number | undefined {
  return time && timestampMs(time);
}
