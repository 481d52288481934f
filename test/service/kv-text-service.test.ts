/** KvTextService over the wire: text passes, other bytes are told apart by field. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, type DescMethodUnary } from "@bufbuild/protobuf";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { GetRequestSchema, KvService, KvTextService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { type MemoryServer, startMemoryServer } from "./memory-server.js";

const { get, exists, set, delete: remove } = KvTextService.method;
const notText = new Uint8Array([0x66, 0xff, 0x6f]);

/** The method of KvTextService called with KvService's message, as a client with another proto may. */
function raw(name: "get" | "exists" | "set" | "delete"): DescMethodUnary {
  const text = KvTextService.method[name];
  const { input, output } = KvService.method[name];
  return { ...text, input, output } as unknown as DescMethodUnary;
}

async function refusal(call: Promise<unknown>): Promise<KvixError> {
  const error: unknown = await call.then(
    () => assert.fail("the call was answered"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KvixError, String(error));
  return error;
}

/** A server whose key "k" holds bytes that are no text. */
async function withStoredBytes(t: TestContext): Promise<MemoryServer> {
  const server = await startMemoryServer(t);
  await server.client.call(KvService.method.set, { key: Buffer.from("k"), value: notText });
  return server;
}

test("text goes in and comes out, in either service", async (t) => {
  const { client } = await startMemoryServer(t);
  const written = await client.call(set, { key: "schl\u00fcssel", value: "\u503c \u{1f511}" });
  assert.equal(written.applied, true);
  const { record } = await client.call(get, { key: "schl\u00fcssel" });
  assert.equal(record?.key, "schl\u00fcssel");
  assert.equal(record.value, "\u503c \u{1f511}");
  assert.equal(record.version, 1n);
  const key = Buffer.from("schl\u00fcssel");
  const bytes = await client.call(KvService.method.get, { key });
  assert.equal(Buffer.from(bytes.record?.value ?? []).toString(), "\u503c \u{1f511}");
  assert.equal((await client.call(exists, { key: "schl\u00fcssel" })).exists, true);
  assert.equal((await client.call(remove, { key: "schl\u00fcssel" })).deleted, true);
  assert.equal((await client.call(get, { key: "schl\u00fcssel" })).record, undefined);
});

test("ttl, precondition and return_previous mean what they mean in KvService", async (t) => {
  const { client, clock } = await startMemoryServer(t);
  const expiry = { case: "ttl", value: durationFromMs(250) } as const;
  const first = await client.call(set, { key: "k", value: "1", expiry });
  assert.equal(timestampMs(first.expireTime!), clock.nowMs + 250);
  const precondition = { condition: { case: "absent", value: true } } as const;
  const refused = await client.call(set, { key: "k", value: "2", precondition });
  assert.equal(refused.applied, false);
  assert.equal(refused.current?.value, "1");
  const second = await client.call(set, { key: "k", value: "2", returnPrevious: true });
  assert.equal(second.previous?.value, "1");
  clock.nowMs += 250;
  const removed = await client.call(remove, { key: "k", returnPrevious: true });
  assert.equal(removed.previous?.value, "2");
});

test("a key or a value that is no UTF-8 is refused, and the field is named", async (t) => {
  const { client, store } = await startMemoryServer(t);
  for (const name of ["get", "exists", "set", "delete"] as const) {
    const error = await refusal(client.call(raw(name), { key: notText } as never));
    assert.equal(error.reason, "FIELD_INVALID");
    assert.equal(error.metadata["field"], "key");
  }
  const request = { key: Buffer.from("k"), value: notText } as never;
  const error = await refusal(client.call(raw("set"), request));
  assert.equal(error.metadata["field"], "value");
  assert.match(error.message, /UTF-8/);
  assert.equal(store.version, 0);
});

test("half a surrogate pair and an overlong NUL are no UTF-8", async (t) => {
  const { client } = await startMemoryServer(t);
  for (const key of [
    [0xed, 0xa0, 0x80],
    [0xc0, 0x80],
  ]) {
    const request = create(GetRequestSchema, { key: new Uint8Array(key) });
    const error = await refusal(client.call(raw("get"), request as never));
    assert.equal(error.metadata["field"], "key");
  }
});

test("Get of a stored value that is no text is NOT_TEXT", async (t) => {
  const { client } = await withStoredBytes(t);
  const error = await refusal(client.call(get, { key: "k" }));
  assert.equal(error.reason, "NOT_TEXT");
  assert.equal(error.row.status, "FAILED_PRECONDITION");
  assert.equal((await client.call(exists, { key: "k" })).exists, true);
});

test("previous that is no text comes without its value, and the write is applied", async (t) => {
  const { client, store } = await withStoredBytes(t);
  const recordBytes = store.exists(Buffer.from("k"))?.recordBytes;
  const answer = await client.call(set, { key: "k", value: "text", returnPrevious: true });
  assert.equal(answer.applied, true);
  assert.equal(answer.valueOmitted, true);
  assert.equal(answer.recordBytes, recordBytes);
  assert.equal(answer.previous?.key, "k");
  assert.equal(answer.previous.value, "");
  assert.equal(answer.previous.version, 1n);
  assert.notEqual(answer.previous.updateTime, undefined);
});

test("current that is no text comes without its value, from Set and from Delete", async (t) => {
  const { client } = await withStoredBytes(t);
  const precondition = { condition: { case: "version", value: 99n } } as const;
  const refused = await client.call(set, { key: "k", value: "text", precondition });
  assert.deepEqual([refused.applied, refused.valueOmitted], [false, true]);
  assert.equal(refused.current?.version, 1n);
  const kept = await client.call(remove, { key: "k", precondition });
  assert.deepEqual([kept.applied, kept.valueOmitted], [false, true]);
  assert.equal(kept.current?.value, "");
  const removed = await client.call(remove, { key: "k", returnPrevious: true });
  assert.deepEqual([removed.deleted, removed.valueOmitted], [true, true]);
});
