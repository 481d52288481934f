/** The end of a server that has much to end: in the time it was given, and without losing anything. */
import assert from "node:assert/strict";
import type { ClientHttp2Session } from "node:http2";
import { type TestContext, test } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { RpcClient } from "../../src/rpc/client.js";
import { endingOf, framed, rawCall, rawConnection } from "../support/raw-grpc.js";
import { ServerProcess } from "../support/server-process.js";
import { makeDataDir } from "./data-dir.js";

const { get, set } = KvService.method;
const WATCH = "/grpc.health.v1.Health/Watch";
const timeout = 120_000;
/** What a busy machine may add to any time. */
const GRACE_MS = 5000;

async function start(t: TestContext, dataDir: string, ...flags: string[]): Promise<ServerProcess> {
  const server = await ServerProcess.start(dataDir, ...flags);
  t.after(() => server.end("SIGKILL"));
  return server;
}

/** Opens `count` watches and waits until each has told something. */
async function openWatches(session: ClientHttp2Session, count: number) {
  const calls = Array.from({ length: count }, () =>
    rawCall(session, WATCH).end(framed(Buffer.alloc(0))),
  );
  const told = calls.map((call) => new Promise((resolve) => call.once("data", resolve)));
  const endings = calls.map(endingOf);
  await Promise.all(told);
  return endings;
}

test("a drain with 1,000 open streams ends each with its reason, long before the drain time (P2)", {
  timeout,
}, async (t) => {
  const server = await start(t, makeDataDir(t), "--drain-timeout", "60000");
  const endings: ReturnType<typeof endingOf>[] = [];
  for (let connection = 0; connection < 4; connection++) {
    endings.push(...(await openWatches(rawConnection(t, server.address), 250)));
  }
  const startMs = performance.now();
  assert.deepEqual(await server.end("SIGTERM"), { code: 0, signal: null });
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < GRACE_MS, `${Math.round(tookMs)} ms`);
  for (const { status, message, answerBytes } of await Promise.all(endings)) {
    assert.equal(status, 14, "UNAVAILABLE");
    assert.match(message, /^STORE_CLOSING/);
    // Two answers: SERVING at the start, and NOT_SERVING before the end.
    assert.equal(answerBytes, 2 * framed(Buffer.alloc(2)).byteLength);
  }
});

test("calls and connections that never end are cut after the drain time, and the exit code is 0", {
  timeout,
}, async (t) => {
  const server = await start(t, makeDataDir(t), "--drain-timeout", "500");
  const calls = Array.from({ length: 100 }, () =>
    rawCall(rawConnection(t, server.address), "/kvix.v1.KvService/Get"),
  );
  const ended = calls.map((call) => new Promise<void>((resolve) => call.once("close", resolve)));
  const client = new RpcClient(server.address);
  t.after(() => client.close());
  await client.call(get, { key: Buffer.from("k") });
  const startMs = performance.now();
  assert.deepEqual(await server.end("SIGTERM"), { code: 0, signal: null });
  assert.ok(performance.now() - startMs < 500 + GRACE_MS);
  assert.ok(server.log.some((line) => line["msg"] === "calls were cut after the drain time"));
  await Promise.all(ended);
});

test("a kill in the midst of a drain loses nothing that was acknowledged (V1, P2)", {
  timeout,
}, async (t) => {
  const dataDir = makeDataDir(t);
  const acknowledged = new Map<string, string>();
  let server = await start(t, dataDir);
  for (let round = 0; round < 5; round++) {
    await openWatches(rawConnection(t, server.address), 100);
    let isOver = false;
    let acknowledgements = 0;
    const write = async (name: number): Promise<void> => {
      const client = new RpcClient(server.address);
      for (let count = 0; !isOver; count++) {
        const key = `${name}-${count % 10}`;
        const value = `${round}-${count}`;
        try {
          await client.call(set, { key: Buffer.from(key), value: Buffer.from(value) });
          acknowledged.set(key, value);
          acknowledgements += 1;
        } catch (error) {
          // A write of unknown fate: what stands there may be either.
          if (!(error instanceof KvixError && error.outcome === "not-applied")) {
            acknowledged.delete(key);
          }
          break;
        }
      }
      client.close();
    };
    const writers = Array.from({ length: 16 }, (_, name) => write(name));
    // Every key has been written by then, and at most 16 writes are of unknown fate.
    while (acknowledgements < 16 * 10) await new Promise((resolve) => setTimeout(resolve, 20));
    server.signal("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, round * 3));
    const { signal, code } = await server.end("SIGKILL");
    assert.ok(signal === "SIGKILL" || code === 0);
    isOver = true;
    await Promise.all(writers);
    assert.ok(acknowledged.size > 0);
    server = await start(t, dataDir);
    const reader = new RpcClient(server.address);
    for (const [key, value] of acknowledged) {
      const { record } = await reader.call(get, { key: Buffer.from(key) });
      assert.equal(Buffer.from(record?.value ?? []).toString(), value, `${key} in round ${round}`);
    }
    reader.close();
  }
});

test("a connection that has reached its age is closed while calls on it end well", {
  timeout,
}, async (t) => {
  const server = await start(t, makeDataDir(t), "--max-connection-age", "1000");
  const session = rawConnection(t, server.address);
  const goneAway = new Promise((resolve) => session.once("goaway", resolve));
  const client = new RpcClient(server.address);
  t.after(() => client.close());
  const dueMs = performance.now() + 3000;
  // grpc-js moves to a new connection by itself; no call fails.
  for (let count = 0; performance.now() < dueMs; count++) {
    await client.call(set, { key: Buffer.from("k"), value: Buffer.from(String(count)) });
  }
  assert.equal(await goneAway, 0);
});

test("a connection without calls is closed when it has been idle for long enough", {
  timeout,
}, async (t) => {
  const server = await start(t, makeDataDir(t), "--max-connection-idle", "1000");
  const session = rawConnection(t, server.address);
  await new Promise((resolve) => session.once("close", resolve));
});
