/**
 * The scene of the tests of abuse: a server in a process of its own, an
 * attacker, and a well-behaved client that is served all the while.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { makeDataDir } from "../e2e/data-dir.js";
import { ServerProcess } from "../support/server-process.js";

export const MIB = 1_048_576;
export const GET = "/kvix.v1.KvService/Get";
export const SET = "/kvix.v1.KvService/Set";

const { get, set } = KvService.method;
/** How long one call of the well-behaved client may take; generous for a busy machine. */
const CALL_MS_MAX = 30_000;
const WARM_UP_CALLS = 200;

/** A server under attack, and its neighbour. */
export class Scene {
  readonly server: ServerProcess;
  readonly client: RpcClient;
  readonly #baseBytes: number;

  private constructor(server: ServerProcess, client: RpcClient, baseBytes: number) {
    this.server = server;
    this.client = client;
    this.#baseBytes = baseBytes;
  }

  /** A server that has warmed up; it ends with the test. */
  static async open(t: TestContext, ...flags: readonly string[]): Promise<Scene> {
    const server = await ServerProcess.start(makeDataDir(t), ...flags);
    t.after(() => server.end("SIGKILL"));
    const client = new RpcClient(server.address);
    t.after(() => client.close());
    for (let call = 0; call < WARM_UP_CALLS; call++) {
      await client.call(set, { key: Buffer.from(`warm-${call}`), value: Buffer.alloc(1024) });
    }
    return new Scene(server, client, server.residentBytes());
  }

  get address(): string {
    return this.server.address;
  }

  /** How much more memory the process had at its worst than after warming up, in bytes. */
  get growthBytes(): number {
    return this.server.residentBytes("highest") - this.#baseBytes;
  }

  /** Runs the attack while the neighbour sets and gets; every call of it must be answered. */
  async during(attack: () => Promise<unknown>): Promise<{ calls: number; longestMs: number }> {
    let isOver = false;
    let calls = 0;
    let longestMs = 0;
    const work = async () => {
      // At least one call after the attack, also if that was over at once.
      for (let isLast = false; !isLast; ) {
        isLast = isOver;
        const key = Buffer.from(`neighbour-${calls % 64}`);
        const startMs = performance.now();
        const deadlineMs = Date.now() + CALL_MS_MAX;
        await this.client.call(set, { key, value: key }, { deadlineMs });
        const { record } = await this.client.call(get, { key }, { deadlineMs });
        assert.deepEqual(record?.value, key);
        longestMs = Math.max(longestMs, performance.now() - startMs);
        calls += 2;
      }
    };
    const working = work();
    try {
      await attack();
    } finally {
      isOver = true;
      await working;
    }
    return { calls, longestMs: Math.round(longestMs) };
  }
}
