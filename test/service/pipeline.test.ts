/** Pipeline over the wire: order, results, errors, and how a stream ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { KvService, PipelineRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { fromStatus } from "../../src/rpc/status.js";
import { type HeldStore, holdWrites } from "./held-store.js";
import { startMemoryServer } from "./memory-server.js";
import { type Asked, TestPipeline } from "./pipeline-client.js";
import { refusal } from "./refusal.js";

const timeout = 30_000;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const get = (key: string): Asked => ({ case: "get", value: { key: bytes(key) } });
const set = (key: string, value: string): Asked => ({
  case: "set",
  value: { key: bytes(key), value: bytes(value) },
});
const kv = KvService.method;

async function until(condition: () => boolean): Promise<void> {
  const dueMs = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < dueMs, `never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The value that a Get's result carries. */
function valueIn(result: ReturnType<TestPipeline["resultOf"]>): string | undefined {
  assert.equal(result.case, "get");
  const { record } = result.value;
  return record && Buffer.from(record.value).toString();
}

/** A server whose sets wait for the test. */
async function startHeld(t: Parameters<typeof startMemoryServer>[0]) {
  let held: HeldStore | undefined;
  const memory = await startMemoryServer(t, {
    wrap: (store) => {
      held = holdWrites(store);
      return held.store;
    },
  });
  assert.ok(held);
  return { ...memory, held };
}

test("a read sees every write of its key that was sent before it, and none sent after it (G-PIPE-1)", {
  timeout,
}, async (t) => {
  const { client, held } = await startHeld(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const first = pipeline.send(set("a", "1"), set("a", "2"), get("a"), set("a", "3"), get("a"));
  const second = pipeline.send(get("a"), set("a", "4"), get("a"));
  // The writes behind the first read wait for it; those before it do not wait for one another.
  await until(() => held.waiting === 2);
  held.release();
  await pipeline.until(3);
  assert.equal(held.waiting, 1);
  assert.equal(valueIn(pipeline.resultOf(first[2] as bigint)), "2");
  held.release();
  await until(() => held.waiting === 1);
  held.release();
  await pipeline.until(8);
  assert.equal(valueIn(pipeline.resultOf(first[4] as bigint)), "3");
  assert.equal(valueIn(pipeline.resultOf(second[0] as bigint)), "3");
  assert.equal(valueIn(pipeline.resultOf(second[2] as bigint)), "4");
});

test("a commit is in order with every key that it names, and a read behind it sees it (G-PIPE-1)", {
  timeout,
}, async (t) => {
  const { client, held } = await startHeld(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const put = (key: string, value: string) =>
    ({ mutation: { case: "set", value: { key: bytes(key), value: bytes(value) } } }) as const;
  const ids = pipeline.send(
    set("a", "1"),
    get("a"),
    { case: "commit", value: { mutations: [put("a", "2"), put("b", "2")] } },
    get("b"),
    get("c"),
  );
  // The read of a waits for its write, the commit for that read, the read of b for the commit.
  await pipeline.until(1);
  assert.equal(pipeline.results[0]?.id, ids[4]);
  held.release();
  await pipeline.until(5);
  assert.deepEqual(
    pipeline.results.map(({ id }) => id),
    [ids[4], ids[0], ids[1], ids[2], ids[3]],
  );
  assert.equal(valueIn(pipeline.resultOf(ids[1] as bigint)), "1");
  assert.equal(valueIn(pipeline.resultOf(ids[3] as bigint)), "2");
});

test("a commit is in order with every key that it asks about, too (G-PIPE-1)", {
  timeout,
}, async (t) => {
  const { client, held } = await startHeld(t);
  const pipeline = new TestPipeline(t, client);
  const [, , commit, other] = pipeline.send(
    set("a", "1"),
    get("a"),
    {
      case: "commit",
      value: {
        conditions: [
          { key: bytes("a"), precondition: { condition: { case: "present", value: true } } },
        ],
        mutations: [{ mutation: { case: "delete", value: { key: bytes("b") } } }],
      },
    },
    get("c"),
  );
  await pipeline.until(1);
  assert.equal(pipeline.results[0]?.id, other);
  held.release();
  await pipeline.until(4);
  const result = pipeline.resultOf(commit as bigint);
  assert.ok(result.case === "commit" && result.value.applied);
});

test("operations on other keys pass one that waits (G-PIPE-2)", { timeout }, async (t) => {
  const { client, held } = await startHeld(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const ids = pipeline.send(set("a", "1"), get("a"), get("b"));
  const exists = pipeline.send({ case: "exists", value: { key: bytes("c") } });
  await pipeline.until(2);
  assert.deepEqual(
    pipeline.results.map(({ id }) => id),
    [ids[2], exists[0]],
  );
  held.release();
  await pipeline.until(4);
});

test("every operation has one result that bears its id, also where ids repeat or are left out (G-PIPE-3)", {
  timeout,
}, async (t) => {
  const { client } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const ids = [0n, 7n, 7n, 2n ** 64n - 1n, 300n];
  const operations = ids.map((id) => ({ id, operation: get("nothing") }));
  pipeline.sendBytes(
    toBinary(PipelineRequestSchema, create(PipelineRequestSchema, { operations })),
  );
  await pipeline.until(5);
  assert.deepEqual(
    pipeline.results.map(({ id }) => id),
    ids,
  );
});

test("every kind of operation is answered as a call of its own is", { timeout }, async (t) => {
  const { client } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const key = bytes("k");
  const asked: readonly Asked[] = [
    {
      case: "set",
      value: { key, value: bytes("v"), expiry: { case: "ttl", value: { seconds: 9n } } },
    },
    { case: "get", value: { key } },
    { case: "exists", value: { key } },
    { case: "touch", value: { key, expiry: { case: "persist", value: true } } },
    { case: "delete", value: { key, returnPrevious: true } },
    { case: "delete", value: { key } },
    { case: "increment", value: { key: bytes("n"), delta: 4n } },
    {
      case: "commit",
      value: { mutations: [{ mutation: { case: "increment", value: { key: bytes("n") } } }] },
    },
  ];
  for (const operation of asked) {
    pipeline.send(operation);
    await pipeline.until(pipeline.results.length + 1);
  }
  const own = await startMemoryServer(t);
  for (const [at, { result }] of pipeline.results.entries()) {
    const operation = asked[at] as Asked;
    assert.equal(result.case, operation.case);
    const answer = await own.client.call(kv[operation.case as "get"], operation.value as object);
    assert.deepEqual(result.value, answer);
  }
});

test("an operation fails with the code and the details of a call of its own, and the others go on (G-PIPE-4)", {
  timeout,
}, async (t) => {
  const { client } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const wrong: readonly Asked[] = [
    get(""),
    { case: "set", value: { key: bytes("k"), expiry: { case: "ttl", value: { seconds: -1n } } } },
    { case: "touch", value: { key: bytes("k") } },
  ];
  const ids = pipeline.send(...wrong, set("k", "v"), get("k"));
  await pipeline.until(5);
  for (const [at, operation] of wrong.entries()) {
    const own = await refusal(client.call(kv[operation.case as "get"], operation.value as object));
    const result = pipeline.resultOf(ids[at] as bigint);
    assert.equal(result.case, "error");
    assert.equal(result.value.code, status[own.row.status]);
    assert.deepEqual({ ...fromStatus(result.value), stack: "" }, { ...own, stack: "" });
  }
  assert.equal(valueIn(pipeline.resultOf(ids[4] as bigint)), "v");
});

test("an operation that names nothing, or bytes that are no request, fails alone (G-PIPE-4)", {
  timeout,
}, async (t) => {
  const { client } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  // {id: 1}, {id: 2, get: {key: cut short}}, {id: 3, get: {key: "k"}}
  pipeline.sendBytes(
    Buffer.from([
      ...[0x0a, 2, 0x08, 1],
      ...[0x0a, 7, 0x08, 2, 0x1a, 3, 0x0a, 9, 0x6b],
      ...[0x0a, 7, 0x08, 3, 0x1a, 3, 0x0a, 1, 0x6b],
    ]),
  );
  await pipeline.until(3);
  assert.equal(pipeline.reasonOf(1n), "FIELD_INVALID");
  assert.equal(pipeline.reasonOf(2n), "FIELD_INVALID");
  assert.equal(valueIn(pipeline.resultOf(3n)), undefined);
});

test("after a half-close all operations are answered, and the stream ends well (G-PIPE-5)", {
  timeout,
}, async (t) => {
  const { client, held } = await startHeld(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const ids = pipeline.send(set("a", "1"), get("a"), set("b", "1"));
  pipeline.halfClose();
  await until(() => held.waiting === 2);
  assert.equal(pipeline.ending, undefined);
  held.release();
  assert.equal(await pipeline.end(), undefined);
  assert.equal(pipeline.results.length, 3);
  assert.equal(valueIn(pipeline.resultOf(ids[1] as bigint)), "1");
});

test("after a cancel nothing is begun that was not handed to the log (G-PIPE-6)", {
  timeout,
}, async (t) => {
  const { client, held, server, store } = await startHeld(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  pipeline.send(set("a", "1"), get("a"), set("a", "2"), set("a", "3"));
  await until(() => held.waiting === 1);
  pipeline.cancel();
  await until(() => server.figures.calls === 0);
  held.release();
  await client.call(kv.get, { key: bytes("a") });
  assert.equal(held.arrived, 1);
  assert.equal(store.version, 0);
});

test("a server that stops answers what it took, and ends the stream with STORE_CLOSING (G-PIPE-8)", {
  timeout,
}, async (t) => {
  const { client, held, server } = await startHeld(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const ids = pipeline.send(set("a", "1"), get("a"));
  await until(() => held.waiting === 1);
  const stopped = server.stop(20_000);
  await until(() => server.status.state === "draining");
  // It comes too late: it is not answered, and it is not done.
  const [late] = pipeline.send(set("b", "1"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  held.release();
  const error = await pipeline.end();
  assert.ok(error instanceof KvixError && error.reason === "STORE_CLOSING", String(error));
  assert.equal(valueIn(pipeline.resultOf(ids[1] as bigint)), "1");
  assert.equal(
    pipeline.results.some(({ id }) => id === late),
    false,
  );
  assert.equal(held.arrived, 1);
  assert.equal(await stopped, true);
});

test("a message of too many operations is refused whole, behind the results of those before it (G-PIPE-9)", {
  timeout,
}, async (t) => {
  const { client, store } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  pipeline.send(set("a", "1"));
  pipeline.send(...Array.from({ length: 10_001 }, () => set("b", "1")));
  const error = await pipeline.end();
  assert.ok(error instanceof KvixError && error.reason === "FIELD_INVALID", String(error));
  assert.equal(error.metadata["field"], "operations");
  assert.equal(pipeline.results.length, 1);
  assert.equal(store.version, 1);
});

test("bytes that are no message end the stream, behind the results of those before them (G-PIPE-9)", {
  timeout,
}, async (t) => {
  const { client } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  pipeline.send(set("a", "1"));
  pipeline.sendBytes(Buffer.from([0x0a, 9, 0x08]));
  const error = await pipeline.end();
  assert.ok(error instanceof KvixError && error.reason === "FIELD_INVALID", String(error));
  assert.equal(pipeline.results.length, 1);
});

test("a message of 10,000 operations is answered in few messages", { timeout }, async (t) => {
  const { client } = await startMemoryServer(t);
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  const value = "v".repeat(100);
  pipeline.send(...Array.from({ length: 10_000 }, (_, at) => set(`key ${at}`, value)));
  await pipeline.until(10_000);
  pipeline.send(...Array.from({ length: 10_000 }, (_, at) => get(`key ${at}`)));
  await pipeline.until(20_000);
  assert.ok(pipeline.messages < 200, `${pipeline.messages} messages`);
  const keys = pipeline.results.slice(10_000).map(({ result }) => valueIn(result));
  assert.ok(keys.every((found) => found === value));
});

test("operations are counted as calls of their rpc", { timeout }, async (t) => {
  const { client } = await startMemoryServer(t);
  const { AdminService } = await import("../../gen/kvix/v1/kvix_pb.js");
  const pipeline = new TestPipeline(t, client, kv.pipeline);
  pipeline.send(set("a", "1"), get("a"), get(""));
  pipeline.halfClose();
  await pipeline.end();
  const { rpcs } = await client.call(AdminService.method.stats, {});
  const count = (name: string) => {
    const found = rpcs.find(({ method }) => method === `kvix.v1.KvService/${name}`);
    return [Number(found?.calls), Number(found?.errors)];
  };
  assert.deepEqual(count("Set"), [1, 0]);
  assert.deepEqual(count("Get"), [2, 1]);
  assert.deepEqual(count("Pipeline"), [1, 0]);
});
