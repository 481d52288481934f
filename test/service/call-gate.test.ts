/** Calls that wait for memory, over the wire: when they go on, and how they end. */
import assert from "node:assert/strict";
import { constants } from "node:http2";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { KvService, SetRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { RpcClient } from "../../src/rpc/client.js";
import type { ServerOptionsInput } from "../../src/service/server-options.js";
import { GET, MIB, SET } from "../abuse/scene.js";
import { endingOf, framed, messagePrefix, rawCall, rawConnection } from "../support/raw-grpc.js";
import { type MemoryServer, startMemoryServer } from "./memory-server.js";

const { get, set } = KvService.method;
const key = Buffer.from("k");
const large = Buffer.alloc(4 * MIB - 200, 1);
const timeout = 30_000;

/** A server with room for one message of 4 MiB at a time. */
function startSmallServer(t: TestContext, options: Partial<ServerOptionsInput> = {}) {
  const small = { admittedBytesMax: 16 * MIB, streamWindowBytes: 2 * MIB };
  return startMemoryServer(t, { options: { ...small, ...options } });
}

async function until(condition: () => boolean): Promise<void> {
  const dueMs = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < dueMs, `never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Takes all the room with an upload that says what it will send, and sends nothing. */
async function holdRoom(t: TestContext, { address, server }: MemoryServer) {
  const stream = rawCall(rawConnection(t, address), SET);
  stream.write(messagePrefix(4 * MIB));
  await until(() => server.figures.heldBytes > 8 * MIB);
  return stream;
}

async function failure(call: Promise<unknown>): Promise<{ code: number; reason: string }> {
  const error: unknown = await call.then(
    () => assert.fail("the call was answered"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof KvixError) return { code: status[error.row.status], reason: error.reason };
  return { code: (error as { code: number }).code, reason: "" };
}

/** A second client, so that the calls come on another connection. */
function anotherClient(t: TestContext, address: string): RpcClient {
  const client = new RpcClient(address, { "grpc.use_local_subchannel_pool": 1 });
  t.after(() => client.close());
  return client;
}

test("a large request waits for room without being read, and small calls pass it", {
  timeout,
}, async (t) => {
  const memory = await startSmallServer(t);
  const { client, server } = memory;
  const holder = await holdRoom(t, memory);
  const upload = client.call(set, { key, value: large });
  await until(() => server.figures.waitingCalls === 1);
  await client.call(set, { key: Buffer.from("small"), value: key });
  assert.deepEqual((await client.call(get, { key: Buffer.from("small") })).record?.value, key);
  assert.equal(server.figures.waitingCalls, 1);
  holder.close();
  assert.equal((await upload).applied, true);
  await until(() => server.figures.heldBytes === 0);
});

test("a deadline that passes while the request waits is DEADLINE_EXCEEDED, and nothing is written (P3)", {
  timeout,
}, async (t) => {
  const memory = await startSmallServer(t);
  const { client, server, store } = memory;
  await holdRoom(t, memory);
  const call = client.call(set, { key, value: large }, { deadlineMs: Date.now() + 300 });
  await until(() => server.figures.waitingCalls === 1);
  assert.equal((await failure(call)).code, status.DEADLINE_EXCEEDED);
  await until(() => server.figures.waitingCalls === 0);
  assert.equal(store.version, 0);
});

test("a deadline frees the place in the line, also if the client does not hang up", {
  timeout,
}, async (t) => {
  const memory = await startSmallServer(t);
  const { address, server } = memory;
  await holdRoom(t, memory);
  const call = rawCall(rawConnection(t, address), SET, { "grpc-timeout": "300m" });
  call.write(messagePrefix(4 * MIB));
  await until(() => server.figures.waitingCalls === 1);
  const startMs = performance.now();
  await until(() => server.figures.waitingCalls === 0);
  assert.ok(performance.now() - startMs < 5000, "it had to wait for the end of its waiting time");
});

test("a caller that gives up while its request waits leaves the line (P3)", {
  timeout,
}, async (t) => {
  const memory = await startSmallServer(t);
  const { client, server, store } = memory;
  await holdRoom(t, memory);
  const giveUp = new AbortController();
  const call = client.call(set, { key, value: large }, { signal: giveUp.signal });
  await until(() => server.figures.waitingCalls === 1);
  giveUp.abort();
  assert.equal((await failure(call)).code, status.CANCELLED);
  await until(() => server.figures.waitingCalls === 0);
  assert.equal(store.version, 0);
});

test("who waits too long, or finds the line full, is OVERLOADED and may try again", {
  timeout,
}, async (t) => {
  const memory = await startSmallServer(t, { waitingCallsMax: 2, admissionTimeoutMs: 100 });
  const { address, client, server } = memory;
  await holdRoom(t, memory);
  const first = client.call(set, { key, value: large });
  await until(() => server.figures.waitingCalls === 1);
  const second = anotherClient(t, address).call(set, { key, value: large });
  const error = await second.catch((thrown: unknown) => thrown);
  assert.ok(error instanceof KvixError);
  assert.deepEqual(
    [error.reason, error.outcome, error.retry],
    ["OVERLOADED", "not-applied", "after-delay"],
  );
  assert.equal((await failure(first)).reason, "OVERLOADED");
  assert.equal(server.figures.refusedCalls, 2);
});

test("a stop refuses those that wait with STORE_CLOSING", { timeout }, async (t) => {
  const memory = await startSmallServer(t);
  const { client, server } = memory;
  const holder = await holdRoom(t, memory);
  const upload = failure(client.call(set, { key, value: large }));
  await until(() => server.figures.waitingCalls === 1);
  const stopped = server.stop(5_000);
  assert.equal((await upload).reason, "STORE_CLOSING");
  holder.close();
  assert.equal(await stopped, true);
});

test("a request that does not arrive is REQUEST_TOO_SLOW, and its room is free again", {
  timeout,
}, async (t) => {
  const memory = await startSmallServer(t, { messageTimeoutMs: 1000 });
  const holder = await holdRoom(t, memory);
  const upload = memory.client.call(set, { key, value: large });
  const { status: code, message } = await endingOf(holder);
  assert.equal(code, status.DEADLINE_EXCEEDED);
  assert.match(message, /^REQUEST_TOO_SLOW/);
  assert.equal((await upload).applied, true);
});

test("a call of which nothing but the headers comes is REQUEST_TOO_SLOW", {
  timeout,
}, async (t) => {
  const { address } = await startSmallServer(t, { messageTimeoutMs: 1000 });
  const ending = await endingOf(rawCall(rawConnection(t, address), GET));
  assert.match(ending.message, /^REQUEST_TOO_SLOW/);
});

test("a Get of a large record waits for room before the record is read", { timeout }, async (t) => {
  const { address, client, server, store } = await startSmallServer(t);
  await store.set(key, large, { kind: "never" });
  const session = rawConnection(t, address);
  rawCall(session, GET).end(framed(Buffer.from([0x0a, 1, 0x6b])));
  // It does not read its answer, which takes most of the room.
  await until(() => server.figures.heldBytes > 4 * MIB);
  const answer = client.call(get, { key });
  await until(() => server.figures.waitingCalls === 1);
  assert.equal((await client.call(get, { key: Buffer.from("absent") })).record, undefined);
  assert.equal(server.figures.waitingCalls, 1);
  session.destroy();
  assert.equal((await answer).record?.value.byteLength, large.byteLength);
});

test("large requests with large answers do not wait for one another in a circle", {
  timeout,
}, async (t) => {
  const options = { admittedBytesMax: 64 * MIB };
  const { address, server, store } = await startSmallServer(t, options);
  await store.set(key, large, { kind: "never" });
  const sets = Array.from({ length: 10 }, () =>
    anotherClient(t, address).call(set, { key, value: large, returnPrevious: true }),
  );
  for (const { previous } of await Promise.all(sets)) {
    assert.equal(previous?.value.byteLength, large.byteLength);
  }
  await until(() => server.figures.heldBytes === 0);
});

test("an answer that is not taken is cut in time, and its room is free again", {
  timeout,
}, async (t) => {
  const { address, server, store } = await startSmallServer(t, { messageTimeoutMs: 1000 });
  await store.set(key, large.subarray(0, MIB), { kind: "never" });
  const session = rawConnection(t, address);
  const resetCodes = Array.from({ length: 2 }, () => {
    const reader = rawCall(session, GET).end(framed(Buffer.from([0x0a, 1, 0x6b])));
    return new Promise((resolve) => reader.once("close", () => resolve(reader.rstCode)));
  });
  await until(() => server.figures.heldBytes > MIB);
  const { NGHTTP2_CANCEL } = constants;
  assert.deepEqual(
    await Promise.all(resetCodes),
    resetCodes.map(() => NGHTTP2_CANCEL),
  );
  await until(() => server.figures.heldBytes === 0);
});

test("a compressed request is taken, and waits for the room that it may need", {
  timeout,
}, async (t) => {
  const memory = await startSmallServer(t);
  const { address, server, store } = memory;
  const message = gzipSync(
    toBinary(SetRequestSchema, {
      $typeName: "kvix.v1.SetRequest",
      key,
      value: large,
      returnPrevious: false,
      durability: 0,
      expiry: { case: undefined },
    }),
  );
  const holder = await holdRoom(t, memory);
  const call = rawCall(rawConnection(t, address), SET, { "grpc-encoding": "gzip" });
  call.end(framed(message, true));
  await until(() => server.figures.waitingCalls === 1);
  assert.equal(store.version, 0);
  holder.close();
  assert.equal((await endingOf(call)).status, 0);
  assert.equal(store.exists(key)?.recordBytes !== undefined, true);
  await until(() => server.figures.heldBytes === 0);
});

test("whatever becomes of calls, what they held is given back", { timeout }, async (t) => {
  const { address, client, server } = await startSmallServer(t, { messageTimeoutMs: 1000 });
  const session = rawConnection(t, address);
  const request = framed(Buffer.from([0x0a, 1, 0x6b]));
  const calls = [
    rawCall(session, "/kvix.v1.KvService/Nothing"),
    rawCall(session, "/kvix.v1.KvService/Nothing").end(request),
    rawCall(session, GET, { "content-type": "text/plain" }).end(request),
    rawCall(session, GET, { "grpc-timeout": "1m" }),
    rawCall(session, GET, { "grpc-timeout": "nonsense" }).end(request),
    rawCall(session, GET).end(Buffer.concat([request, request])),
    rawCall(session, GET).end(),
    rawCall(session, SET, { "grpc-encoding": "gzip" }).end(framed(Buffer.alloc(100, 7), true)),
    rawCall(session, SET, { "grpc-encoding": "lzma" }).end(framed(Buffer.alloc(100, 7), true)),
  ];
  const endings = calls.map(endingOf);
  for (const call of [GET, SET].map((path) => rawCall(session, path))) call.close();
  await client.call(set, { key, value: large });
  await client.call(get, { key });
  await Promise.all(endings);
  await until(() => server.figures.calls === 0);
  assert.deepEqual([server.figures.heldBytes, server.figures.waitingCalls], [0, 0]);
});

test("a client that goes on sending after its answer is asked to stop", { timeout }, async (t) => {
  const { address, server } = await startSmallServer(t);
  const stream = rawCall(rawConnection(t, address), "/kvix.v1.KvService/Nothing");
  const ending = endingOf(stream);
  const sending = setInterval(() => stream.destroyed || stream.write(Buffer.alloc(1000)), 20);
  const { status: code, resetCode } = await ending;
  clearInterval(sending);
  assert.deepEqual([code, resetCode], [status.UNIMPLEMENTED, 0]);
  await until(() => server.figures.calls === 0);
});

test("a timeout of a month is no timeout, and metadata that is too large is refused by name", {
  timeout,
}, async (t) => {
  const { address } = await startSmallServer(t);
  const request = framed(Buffer.from([0x0a, 1, 0x6b]));
  const watch = "/grpc.health.v1.Health/Watch";
  const month = rawCall(rawConnection(t, address), watch, { "grpc-timeout": "2592000S" });
  month.end(framed(Buffer.alloc(0)));
  await new Promise((resolve) => month.once("data", resolve));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(month.closed || month.destroyed, false);
  const bloated = rawCall(rawConnection(t, address), GET, { "x-bloat": "a".repeat(20_000) });
  bloated.end(request);
  const { status: code, message } = await endingOf(bloated);
  assert.equal(code, status.INVALID_ARGUMENT);
  assert.match(message, /metadata must be at most 16384 bytes/);
});
