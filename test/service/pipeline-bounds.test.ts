/** What a pipeline may have on its way, and what becomes of a client that does not read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { RpcClient } from "../../src/rpc/client.js";
import { IN_FLIGHT_BYTES_MAX } from "../../src/service/pipeline.js";
import { MIB, SET } from "../abuse/scene.js";
import { messagePrefix, rawCall, rawConnection } from "../support/raw-grpc.js";
import { type HeldStore, holdWrites } from "./held-store.js";
import { startMemoryServer } from "./memory-server.js";
import { type Asked, TestPipeline } from "./pipeline-client.js";

const timeout = 60_000;
const kv = KvService.method;
const get = (key: string): Asked => ({ case: "get", value: { key: Buffer.from(key) } });
const setOf = (key: string, bytes: number): Asked => ({
  case: "set",
  value: { key: Buffer.from(key), value: Buffer.alloc(bytes, 1) },
});

async function until(condition: () => boolean): Promise<void> {
  const dueMs = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < dueMs, `never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("writes that wait are taken up to a bound in bytes, and the rest when there is room (G-PIPE-7, V11)", {
  timeout,
}, async (t) => {
  let held: HeldStore | undefined;
  const { client, server } = await startMemoryServer(t, {
    wrap: (store) => {
      held = holdWrites(store);
      return held.store;
    },
  });
  const pipeline = new TestPipeline(t, client);
  for (let at = 0; at < 24; at += 1) pipeline.send(setOf(`key ${at}`, MIB / 2));
  // Seven messages of half a MiB and what lies around them; the eighth would be beyond the bound.
  await until(() => held?.waiting === 7);
  for (let turn = 0; turn < 50; turn += 1) await client.call(kv.get, { key: Buffer.from("k") });
  assert.equal(held?.arrived, 7);
  assert.ok(server.figures.heldBytes < 2 * IN_FLIGHT_BYTES_MAX, String(server.figures.heldBytes));
  while (pipeline.results.length < 24) {
    held?.release();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(pipeline.results.every(({ result }) => result.case === "set"));
});

test("a commit counts for each of its changes, however few bytes they have (G-PIPE-7, V11)", {
  timeout,
}, async (t) => {
  let held: HeldStore | undefined;
  const { client, server } = await startMemoryServer(t, {
    wrap: (store) => {
      held = holdWrites(store, { withCommits: true });
      return held.store;
    },
  });
  const commitOf = (name: string): Asked => {
    const mutations = Array.from({ length: 5000 }, (_, at) => {
      return { mutation: { case: "delete", value: { key: Buffer.from(`${name}${at}`) } } } as const;
    });
    return { case: "commit", value: { mutations } };
  };
  const pipeline = new TestPipeline(t, client);
  for (const name of ["a", "b", "c", "d", "e", "f"]) pipeline.send(commitOf(name));
  // Each takes 1.3 MB of objects, and little more than 60 kB of a message.
  await until(() => (held?.waiting ?? 0) >= 2);
  for (let turn = 0; turn < 50; turn += 1) await client.call(kv.get, { key: Buffer.from("k") });
  assert.ok((held?.arrived ?? 6) <= 3, `${held?.arrived} commits are on their way`);
  assert.ok(server.figures.heldBytes < 2 * IN_FLIGHT_BYTES_MAX, String(server.figures.heldBytes));
  while (pipeline.results.length < 6) {
    held?.release();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(pipeline.results.every(({ result }) => result.case === "commit"));
});

test("results that nobody takes stop the reads, and go on when they are taken (G-PIPE-7, V11)", {
  timeout,
}, async (t) => {
  let reads = 0;
  const { client, address } = await startMemoryServer(t, {
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          if (name === "get") reads += 1;
          const member: unknown = Reflect.get(target, name);
          return typeof member === "function" ? member.bind(target) : member;
        },
      }),
  });
  await client.call(kv.set, { key: Buffer.from("k"), value: Buffer.alloc(MIB) });
  const own = new RpcClient(address, { "grpc.use_local_subchannel_pool": 1 });
  t.after(() => own.close());
  const pipeline = new TestPipeline(t, own);
  pipeline.isPaused = true;
  pipeline.send(...Array.from({ length: 100 }, () => get("k")));
  await until(() => reads >= 3);
  for (let turn = 0; turn < 50; turn += 1) await client.call(kv.exists, { key: Buffer.from("k") });
  // Four MiB on their way, and what grpc-js of the client has read ahead.
  assert.ok(reads < 40, `${reads} reads of 1 MiB`);
  pipeline.isPaused = false;
  await pipeline.until(100);
  assert.ok(pipeline.longestBytes <= 4 * MIB);
  assert.ok(pipeline.results.every(({ result }) => result.case === "get"));
});

test("a record that alone fills a message is answered, one beyond it is RECORD_TOO_LARGE (G-PIPE-4)", {
  timeout,
}, async (t) => {
  const { client } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client);
  const [fits] = pipeline.send(setOf("a", 4 * MIB - 200));
  const [tooLarge] = pipeline.send(setOf("b", 4 * MIB - 50));
  const [read] = pipeline.send(get("a"));
  await pipeline.until(3);
  assert.equal(pipeline.resultOf(fits as bigint).case, "set");
  assert.equal(pipeline.reasonOf(tooLarge as bigint), "RECORD_TOO_LARGE");
  assert.equal(pipeline.resultOf(read as bigint).case, "get");
  assert.ok(pipeline.longestBytes <= 4 * MIB, String(pipeline.longestBytes));
});

test("streams share the server's memory: what finds none in time is OVERLOADED, alone (G-PIPE-7, V11)", {
  timeout,
}, async (t) => {
  let held: HeldStore | undefined;
  const { address, server } = await startMemoryServer(t, {
    options: { admittedBytesMax: 16 * MIB, admissionTimeoutMs: 100 },
    wrap: (store) => {
      held = holdWrites(store);
      return held.store;
    },
  });
  // Each on a connection of its own, which may have a quarter of the memory.
  const pipelines = Array.from({ length: 12 }, () => {
    const own = new RpcClient(address, { "grpc.use_local_subchannel_pool": 1 });
    t.after(() => own.close());
    return new TestPipeline(t, own);
  });
  for (const pipeline of pipelines) {
    pipeline.send(setOf("k", MIB / 2), get("other"));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const isRefused = ({ results }: TestPipeline) =>
    results.some(({ result }) => result.case === "error");
  await until(() => pipelines.some(isRefused));
  assert.ok(server.figures.heldBytes <= 16 * MIB, String(server.figures.heldBytes));
  await until(() => {
    held?.release();
    return pipelines.every(({ results }) => results.length === 2);
  });
  assert.ok(!pipelines.every(isRefused));
  for (const pipeline of pipelines.filter(isRefused)) {
    assert.equal(pipeline.reasonOf(1n), "OVERLOADED");
    // The stream has outlived it.
    pipeline.send(get("k"));
    await pipeline.until(3);
  }
  await until(() => server.figures.heldBytes < MIB);
});

test("a message that finds no memory in time ends its stream as OVERLOADED, behind the results that are owed (G-PIPE-3)", {
  timeout,
}, async (t) => {
  let held: HeldStore | undefined;
  const { address, client, server } = await startMemoryServer(t, {
    options: { admittedBytesMax: 16 * MIB, admissionTimeoutMs: 100 },
    wrap: (store) => {
      held = holdWrites(store);
      return held.store;
    },
  });
  const holder = rawCall(rawConnection(t, address), SET);
  holder.write(messagePrefix(4 * MIB));
  await until(() => server.figures.heldBytes > 8 * MIB);
  const pipeline = new TestPipeline(t, client);
  pipeline.send(setOf("k", 10));
  await until(() => held?.waiting === 1);
  pipeline.send(setOf("k", MIB));
  await until(() => server.figures.waitingCalls === 1);
  await until(() => server.figures.waitingCalls === 0);
  assert.equal(pipeline.ending, undefined);
  held?.release();
  const error = await pipeline.end();
  assert.ok(error instanceof KvixError && error.reason === "OVERLOADED", String(error));
  assert.equal(pipeline.resultOf(1n).case, "set");
  assert.equal(held?.arrived, 1);
});

test("a message that has all the memory that its connection may have is done, for its operations need none but what goes with it (G-PIPE-7)", {
  timeout,
}, async (t) => {
  const { client, server } = await startMemoryServer(t, {
    options: { admittedBytesMax: 16 * MIB, admissionTimeoutMs: 100 },
  });
  const pipeline = new TestPipeline(t, client);
  // The share of a connection is 1.5 MiB, or one message: the second leaves nothing of it.
  for (const bytes of [MIB, 3 * MIB]) {
    const before = pipeline.results.length;
    const own = Array.from({ length: 1000 }, (_, at) => setOf(`k${at}`, bytes / 1000 - 24));
    pipeline.send(...own, get("other"), get("k9"), setOf("k9", 9));
    await pipeline.until(before + own.length + 3);
  }
  const errors = pipeline.results.filter(({ result }) => result.case === "error");
  assert.equal(errors.length, 0);
  await until(() => server.figures.heldBytes < MIB);
});
