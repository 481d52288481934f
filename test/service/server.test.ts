/** The server around the services: limits, malformed requests, cancellation, and its end. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import type { SetResult, Store } from "../../src/engine/store.js";
import { RpcClient } from "../../src/rpc/client.js";
import { methodDefinition } from "../../src/rpc/definition.js";
import { fromCallStatus } from "../../src/rpc/status.js";
import { startMemoryServer } from "./memory-server.js";

const { get, set } = KvService.method;
const key = Buffer.from("k");
const MIB = 1_048_576;

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error;
}

async function thrown(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => assert.fail("the call was answered"),
    (error: unknown) => error,
  );
}

/** Sends bytes as they are to a unary method. */
function callRaw(address: string, path: string, bytes: Buffer): Promise<unknown> {
  const client = new Client(address, credentials.createInsecure());
  const asIs = (same: Buffer) => same;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, asIs, asIs, bytes, (error, answer) => {
      client.close();
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}

/** A store whose Set waits for `release`, and what became of its signal. */
function holdSets(): {
  wrap: (store: Store) => Store;
  held: Promise<AbortSignal>;
  release: () => void;
} {
  let onHeld: (signal: AbortSignal) => void = () => undefined;
  let release: () => void = () => undefined;
  const held = new Promise<AbortSignal>((resolve) => {
    onHeld = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const wrap = (store: Store): Store => {
    const holding = Object.create(store) as Store;
    const originalSet = store.set.bind(store);
    holding.set = async (...args): Promise<SetResult> => {
      onHeld(args[3]?.signal ?? AbortSignal.abort());
      await released;
      return originalSet(...args);
    };
    holding.get = store.get.bind(store);
    holding.exists = store.exists.bind(store);
    holding.stats = store.stats.bind(store);
    Object.defineProperty(holding, "version", { get: () => store.version });
    return holding;
  };
  return { wrap, held, release };
}

test("bytes that are no request are INVALID_ARGUMENT, not a broken call", async (t) => {
  const { address } = await startMemoryServer(t);
  const error = await thrown(callRaw(address, "/kvix.v1.KvService/Get", Buffer.from([0xff, 0x01])));
  assert.ok(isServiceError(error));
  assert.equal(error.code, status.INVALID_ARGUMENT);
  assert.equal(fromCallStatus(error)?.reason, "FIELD_INVALID");
});

test("an rpc that is not there is UNIMPLEMENTED", async (t) => {
  const { address } = await startMemoryServer(t);
  const error = await thrown(callRaw(address, "/kvix.v1.KvService/Steal", Buffer.alloc(0)));
  assert.ok(isServiceError(error));
  assert.equal(error.code, status.UNIMPLEMENTED);
});

test("fields of a later proto are ignored, so newer clients are served", async (t) => {
  const { address } = await startMemoryServer(t);
  // key = "k", and field 900, varint 1.
  const request = Buffer.from([0x0a, 0x01, 0x6b, 0xa0, 0x38, 0x01]);
  assert.ok(await callRaw(address, "/kvix.v1.KvService/Get", request));
});

for (const valueBytes of [4 * MIB - 256, 4 * MIB - 100, 4 * MIB - 60, 4 * MIB, 4 * MIB + 32_768]) {
  test(`a value of ${valueBytes} bytes is either refused or can be read back by any client (P4)`, async (t) => {
    const { client, store } = await startMemoryServer(t);
    const value = Buffer.alloc(valueBytes, 7);
    try {
      await client.call(set, { key, value });
    } catch (error) {
      assert.ok(error instanceof KvixError, String(error));
      assert.equal(error.reason, "RECORD_TOO_LARGE");
      assert.equal(error.outcome, "not-applied");
      assert.equal(store.version, 0);
      assert.ok(valueBytes > 4 * MIB - 128, "refused although it fits");
      return;
    }
    assert.ok(valueBytes < 4 * MIB);
    const { record } = await client.call(get, { key });
    assert.equal(record?.value.byteLength, valueBytes);
  });
}

test("a request far above the limit is RESOURCE_EXHAUSTED by the transport (P4)", async (t) => {
  const { client, store } = await startMemoryServer(t);
  const error = await thrown(client.call(set, { key, value: Buffer.alloc(5 * MIB) }));
  assert.ok(isServiceError(error));
  assert.equal(error.code, status.RESOURCE_EXHAUSTED);
  assert.equal(store.version, 0);
});

test("a record beyond the message is RECORD_TOO_LARGE to Get and comes without its value elsewhere", async (t) => {
  const { client, store } = await startMemoryServer(t);
  await store.set(key, Buffer.alloc(4 * MIB), { kind: "never" });
  const recordBytes = store.exists(key)?.recordBytes;
  const error = await thrown(client.call(get, { key }));
  assert.ok(error instanceof KvixError);
  assert.equal(error.reason, "RECORD_TOO_LARGE");
  assert.equal(error.metadata["recordBytes"], String(recordBytes));
  const answer = await client.call(set, { key, value: Buffer.alloc(1), returnPrevious: true });
  assert.deepEqual([answer.applied, answer.valueOmitted], [true, true]);
  assert.equal(answer.recordBytes, recordBytes);
  assert.equal(answer.previous?.value.byteLength, 0);
});

test("a larger message limit carries larger values", async (t) => {
  const messageBytesMax = 9 * MIB;
  const channel = { "grpc.max_receive_message_length": messageBytesMax };
  const { client } = await startMemoryServer(t, { messageBytesMax, channel });
  await client.call(set, { key, value: Buffer.alloc(8 * MIB, 1) });
  const { record } = await client.call(get, { key });
  assert.equal(record?.value.byteLength, 8 * MIB);
});

test("a caller that gives up aborts the signal that the store was handed (P3)", {
  timeout: 20_000,
}, async (t) => {
  const { wrap, held, release } = holdSets();
  const { client } = await startMemoryServer(t, { wrap });
  const giveUp = new AbortController();
  const call = thrown(client.call(set, { key }, { signal: giveUp.signal }));
  const signal = await held;
  assert.equal(signal.aborted, false);
  const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
  giveUp.abort();
  const error = await call;
  assert.ok(isServiceError(error));
  assert.equal(error.code, status.CANCELLED);
  await aborted;
  release();
});

test("a deadline that passes aborts the signal too, and the caller is told DEADLINE_EXCEEDED (P3)", {
  timeout: 20_000,
}, async (t) => {
  const { wrap, held, release } = holdSets();
  const { client } = await startMemoryServer(t, { wrap });
  const call = thrown(client.call(set, { key }, { deadlineMs: Date.now() + 200 }));
  const signal = await held;
  const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
  const error = await call;
  assert.ok(isServiceError(error));
  assert.equal(error.code, status.DEADLINE_EXCEEDED);
  await aborted;
  release();
});

test("a call that was answered leaves the signal alone", { timeout: 20_000 }, async (t) => {
  const { wrap, held, release } = holdSets();
  const { client } = await startMemoryServer(t, { wrap });
  release();
  await client.call(set, { key });
  const signal = await held;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(signal.aborted, false);
});

test("a stop lets calls under way finish and takes no new ones (P2)", {
  timeout: 20_000,
}, async (t) => {
  const { wrap, held, release } = holdSets();
  const { client, server, address, store } = await startMemoryServer(t, { wrap });
  const call = client.call(set, { key });
  await held;
  const stopped = server.stop(5_000);
  const late = new RpcClient(address);
  t.after(() => late.close());
  const refused = await thrown(late.call(get, { key }, { deadlineMs: Date.now() + 2_000 }));
  assert.ok(isServiceError(refused));
  assert.equal(refused.code, status.UNAVAILABLE);
  release();
  assert.equal((await call).applied, true);
  assert.equal(await stopped, true);
  assert.equal(store.version, 1);
});

test("a stop cuts what is still under way after its grace time", { timeout: 20_000 }, async (t) => {
  const { wrap, held, release } = holdSets();
  const { client, server } = await startMemoryServer(t, { wrap });
  const call = thrown(client.call(set, { key }));
  await held;
  assert.equal(await server.stop(50), false);
  const soon = new Promise((resolve) => setTimeout(() => resolve("still under way"), 1_000));
  assert.ok(isServiceError(await Promise.race([call, soon])));
  release();
});

test("a stop ends a conversation that its client would keep open", {
  timeout: 20_000,
}, async (t) => {
  const { server, address } = await startMemoryServer(t);
  const call = openReflection(t, address);
  call.write({
    $typeName: "grpc.reflection.v1.ServerReflectionRequest",
    host: "",
    messageRequest: { case: "listServices", value: "" },
  });
  await new Promise((resolve) => call.once("data", resolve));
  const ended = new Promise<ServiceError>((resolve) => call.once("error", resolve));
  assert.equal(await server.stop(5_000), true);
  const error = await ended;
  assert.equal(error.code, status.UNAVAILABLE);
  assert.equal(fromCallStatus(error)?.reason, "STORE_CLOSING");
});

function openReflection(t: TestContext, address: string) {
  const method = ServerReflection.method.serverReflectionInfo;
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method, method);
  const client = new Client(address, credentials.createInsecure());
  t.after(() => client.close());
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
}

test("it listens on IPv6 as on IPv4", async (t) => {
  const { client, address } = await startMemoryServer(t, { host: "::1" });
  assert.match(address, /^\[::1\]:\d+$/);
  assert.equal((await client.call(set, { key })).applied, true);
});

test("a port that is taken is an error that names the address", async (t) => {
  const { server } = await startMemoryServer(t);
  const { startServer } = await import("../../src/service/server.js");
  const { nodeHost } = await import("../../src/host/node-host.js");
  const { MemoryStore } = await import("../support/memory-store.js");
  const { resolveServerOptions } = await import("../../src/service/server-options.js");
  const options = resolveServerOptions({ listen: server.address });
  const error = await thrown(startServer(new MemoryStore(), options, nodeHost()));
  assert.ok(error instanceof KvixError);
  assert.ok(error.message.includes(`127.0.0.1:${server.address.port}`));
});
