/**
 * Somebody who watches all ledgers, over all servers of a life, and holds what he is told
 * against them (ledger.ts). Behind the version of his last message he goes on with the
 * next server; he is refused only where the history may be gone: its segments are older
 * than what the server keeps. Then he begins with what stands.
 */
import assert from "node:assert/strict";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  KvService,
  type WatchEvent,
  WatchEventKind,
  type WatchResponse,
} from "../../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import { RpcClient } from "../../../src/rpc/client.js";
import type { Counts } from "./counts.js";
import { type Ledger, ledgerMark, type SeenKey } from "./ledger.js";
import { sleep } from "./load.js";

const progressMs = 100;

/** One who watches. */
export class LedgerWatch {
  readonly #ledgers: () => readonly Ledger[];
  readonly #counts: Counts;
  readonly #retentionMs: number;
  #version = 0;
  /** Of the last message, by the clock of the machine. */
  #heardAtMs = Date.now();
  #isAnew = false;
  /** Of a commit that is told in several messages. */
  #pieces: SeenKey[] = [];
  #stop = new AbortController();

  constructor(ledgers: () => readonly Ledger[], counts: Counts, retentionMs: number) {
    this.#ledgers = ledgers;
    this.#counts = counts;
    this.#retentionMs = retentionMs;
  }

  /** Watches on one server until it is gone, or until he is told to end. */
  async work(address: string): Promise<void> {
    this.#stop = new AbortController();
    const rpc = new RpcClient(address, { "grpc.use_local_subchannel_pool": 1 });
    try {
      while (!this.#stop.signal.aborted) {
        if (!(await this.#follow(rpc))) return;
      }
    } finally {
      rpc.close();
    }
  }

  /** Resolves when all up to a version is told. */
  async reach(version: number): Promise<void> {
    while (this.#version < version) await sleep(20);
  }

  end(): void {
    this.#stop.abort();
  }

  /** False: the server is gone. */
  async #follow(rpc: RpcClient): Promise<boolean> {
    const from = this.#isAnew ? { includeCurrent: true } : { afterVersion: BigInt(this.#version) };
    const request = {
      ...{ prefix: Buffer.from(ledgerMark), progressInterval: durationFromMs(progressMs) },
      ...from,
    };
    const { signal } = this.#stop;
    const standing: SeenKey[] = [];
    this.#pieces = [];
    try {
      for await (const answer of rpc.stream(KvService.method.watch, request, { signal })) {
        if (answer.current) standing.push(...answer.events.map(seenOf));
        else this.#hear(answer, standing);
      }
      return true;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      const isRefused = error instanceof KvixError && error.reason === "HISTORY_LOST";
      if (!isRefused) return requireGone(error);
      const silentMs = Date.now() - this.#heardAtMs;
      const mayBeGone = silentMs > this.#retentionMs;
      assert.ok(mayBeGone, `watch: refused behind ${this.#version}, heard ${silentMs} ms ago`);
      this.#counts.add("watches that began anew");
      this.#isAnew = true;
      return true;
    }
  }

  #hear({ events, version, continues }: WatchResponse, standing: readonly SeenKey[]): void {
    const reached = Number(version);
    if (this.#isAnew) {
      this.#isAnew = false;
      for (const ledger of this.#ledgers()) {
        ledger.toldAnew(standing.filter(({ key }) => ledger.keys.includes(key)));
      }
    }
    let last = this.#pieces.at(-1)?.version ?? this.#version;
    for (const event of events) {
      const seen = seenOf(event);
      assert.ok(seen.version > last, `watch: version ${seen.version} comes after ${last}`);
      last = seen.version;
      this.#pieces.push(seen);
    }
    this.#counts.add("changes watched", events.length);
    if (continues) return;
    assert.ok(reached >= last && reached >= this.#version, `watch: at ${reached}, behind ${last}`);
    for (const ledger of this.#ledgers()) {
      const own = this.#pieces.filter(({ key }) => ledger.keys.includes(key));
      ledger.told(own);
      ledger.requireTold(reached);
    }
    this.#pieces = [];
    this.#version = reached;
    this.#heardAtMs = Date.now();
  }
}

/** The server may go, and the watch may be ended; anything else it should not have said. */
function requireGone(error: unknown): false {
  const isToldSo = error instanceof KvixError;
  const mayBe = isToldSo
    ? ["STORE_CLOSING", "STORE_STARTING", "CANCELLED"].includes(error.reason)
    : true;
  assert.ok(mayBe, `watch: the server said: ${error}`);
  return false;
}

function seenOf({ kind, record }: WatchEvent): SeenKey {
  assert.equal(kind, WatchEventKind.SET, "watch: nobody deletes a ledger");
  assert.ok(record, "watch: a change without a record");
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  return { key: text(record.key), value: text(record.value), version: Number(record.version) };
}
