/** Upload and Download over the wire, with a store on a real disk behind them. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  type DownloadResponse,
  KvService,
  UploadRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import { nodeHost } from "../../src/host/node-host.js";
import { RpcClient } from "../../src/rpc/client.js";
import { formatAddress } from "../../src/service/listener.js";
import { startServer } from "../../src/service/server.js";
import { resolveServerOptions, type ServerOptionsInput } from "../../src/service/server-options.js";
import { makeFolder } from "../support/folder.js";
import { framed, rawCall, rawConnection } from "../support/raw-grpc.js";
import { SimRandom } from "../support/sim-random.js";
import { checksumOf } from "../support/transfers.js";
import { UploadCall, uploadClient, uploadOver } from "../support/upload-call.js";

const { download, upload } = KvService.method;
const key = Buffer.from("k");
const random = new SimRandom(23);
const timeout = 60_000;

async function start(t: TestContext, options: Partial<ServerOptionsInput> = {}) {
  const folder = makeFolder();
  const dataDir = folder.path;
  const quiet = () => undefined;
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const host = nodeHost({ log });
  const store: LocalStore = await openStore({ dataDir, liftFloors: true }, host);
  const resolved = resolveServerOptions({ listen: { host: "127.0.0.1", port: 0 }, ...options });
  const server = await startServer(store, resolved, host);
  const address = formatAddress(server.address);
  const client = uploadClient(address);
  const rpc = new RpcClient(address);
  t.after(async () => {
    client.close();
    rpc.close();
    await server.stop(0);
    await store.close();
    folder.remove();
  });
  const stagingFiles = () =>
    readdirSync(join(dataDir, "segments")).filter((name) => name.startsWith("upload_"));
  return { store, server, client, rpc, stagingFiles, address };
}

async function until(condition: () => boolean): Promise<void> {
  const dueMs = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < dueMs, `never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function failed(call: Promise<unknown>): Promise<KvixError> {
  const error = await call.then(
    () => assert.fail("the call was answered"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KvixError, String(error));
  return error;
}

/** All parts of a download, and its value. */
async function downloadOver(rpc: RpcClient, name: Uint8Array) {
  const parts: DownloadResponse["part"][] = [];
  for await (const { part } of rpc.stream(download, { key: name })) parts.push(part);
  const chunks = parts.flatMap((part) => (part.case === "chunk" ? [part.value] : []));
  return { parts, value: Buffer.concat(chunks) };
}

test("a value goes up and comes down in chunks, whatever its length (G-UP-1, G-DOWN-1)", {
  timeout,
}, async (t) => {
  const { client, rpc, stagingFiles } = await start(t);
  for (const length of [0, 1, 65_536, 262_144, 5_000_000]) {
    const value = random.bytes(length);
    const answer = await uploadOver(client, { key }, value, 100_000);
    assert.equal(answer.applied, true);
    assert.equal(answer.storeVersion, answer.version);
    const { parts, value: found } = await downloadOver(rpc, key);
    assert.ok(found.equals(value), `${length}`);
    const [header] = parts;
    assert.ok(header?.case === "header");
    assert.equal(header.value.valueBytes, BigInt(length));
    assert.equal(header.value.record?.version, answer.version);
    assert.ok(Buffer.from(header.value.record?.key ?? []).equals(key));
    assert.equal(header.value.record?.value.length, 0);
    const end = parts.at(-1);
    assert.ok(end?.case === "end");
    assert.equal(end.value.crc32, checksumOf(value));
  }
  await until(() => stagingFiles().length === 0);
});

test("a download of an absent key is a header without a record, and nothing follows (G-DOWN-2)", {
  timeout,
}, async (t) => {
  const { rpc, store } = await start(t);
  await store.set(Buffer.from("other"), key, { kind: "never" });
  const { parts } = await downloadOver(rpc, key);
  assert.deepEqual(
    parts.map(({ case: kind }) => kind),
    ["header"],
  );
  const [header] = parts;
  assert.ok(header?.case === "header" && header.value.record === undefined);
  assert.equal(header.value.storeVersion, 1n);
  const error = await failed(downloadOver(rpc, Buffer.alloc(0)));
  assert.equal(error.reason, "KEY_EMPTY");
});

test("a wrong header is refused before a chunk is sent, by the field (G-UP-8)", {
  timeout,
}, async (t) => {
  const { client } = await start(t);
  const wrong: [Parameters<UploadCall["header"]>[0], string, string][] = [
    [{ key: Buffer.alloc(0), valueBytes: 1n }, "KEY_EMPTY", "key"],
    [{ key: Buffer.alloc(65_536), valueBytes: 1n }, "KEY_TOO_LARGE", "key"],
    [{ key, valueBytes: 104_857_601n }, "VALUE_TOO_LARGE", "value_bytes"],
    [{ key, valueBytes: 2n ** 64n - 1n }, "VALUE_TOO_LARGE", "value_bytes"],
    [{ key, expiry: { case: "ttl", value: { seconds: 0n } } }, "FIELD_INVALID", "ttl"],
    [{ key, expiry: { case: "keepTtl", value: false } }, "FIELD_INVALID", "keep_ttl"],
    [
      { key, precondition: { condition: { case: "version", value: 0n } } },
      "FIELD_INVALID",
      "precondition.version",
    ],
    [{ key, durability: 7 as never }, "FIELD_INVALID", "durability"],
  ];
  for (const [header, reason, field] of wrong) {
    const call = new UploadCall(client);
    void call.header(header);
    const error = await failed(call.answer);
    assert.deepEqual([error.reason, error.metadata["field"]], [reason, field]);
    assert.equal(error.outcome, "not-applied");
  }
});

test("parts in the wrong order are refused, and nothing is written (G-UP-13)", {
  timeout,
}, async (t) => {
  const { client, store, stagingFiles } = await start(t);
  const header = { case: "header", value: { key, valueBytes: 1n } } as const;
  const chunk = { case: "chunk", value: Buffer.from([1]) } as const;
  const end = { case: "end", value: { crc32: checksumOf(chunk.value) } } as const;
  const orders = [
    [chunk],
    [end],
    [{ case: undefined }],
    [header, header],
    [header, chunk, { case: undefined }],
    [header, { case: "chunk", value: Buffer.alloc(0) }],
    [header, chunk],
    [header],
    [],
    [header, chunk, end, chunk],
    [header, chunk, end, end],
  ] as const;
  for (const order of orders) {
    const call = new UploadCall(client);
    for (const part of order) void call.part(part);
    call.close();
    const error = await failed(call.answer);
    assert.equal(error.reason, "FIELD_INVALID", JSON.stringify(order.map((part) => part.case)));
    assert.match(String(error.metadata["field"]), /^(part|chunk)$/);
  }
  assert.equal(store.version, 0);
  await until(() => store.stats().uploads === 0);
  assert.deepEqual(stagingFiles(), []);
});

test("an upload that is not what was announced is UPLOAD_MISMATCH (G-UP-3)", {
  timeout,
}, async (t) => {
  const { client, store, stagingFiles } = await start(t);
  const value = random.bytes(100_000);
  for (const [valueBytes, crc32, field] of [
    [100_001n, checksumOf(value), "value_bytes"],
    [99_999n, checksumOf(value), "value_bytes"],
    [100_000n, (checksumOf(value) ^ 1) >>> 0, "crc32"],
  ] as const) {
    const call = new UploadCall(client);
    void call.header({ key, valueBytes });
    void call.chunk(value);
    void call.part({ case: "end", value: { crc32 } });
    call.close();
    const error = await failed(call.answer);
    assert.deepEqual([error.reason, error.metadata["field"]], ["UPLOAD_MISMATCH", field]);
  }
  assert.equal(store.version, 0);
  await until(() => stagingFiles().length === 0);
});

test("an unmet precondition is answered before the chunks, with the record that stands (G-UP-6)", {
  timeout,
}, async (t) => {
  const { client, store } = await start(t);
  await store.set(key, Buffer.from("standing"), { kind: "never" });
  const call = new UploadCall(client);
  const precondition = { condition: { case: "absent", value: true } } as const;
  void call.header({ key, valueBytes: 100_000_000n, precondition });
  const answer = await call.answer;
  assert.deepEqual([answer.applied, answer.version], [false, 0n]);
  assert.equal(Buffer.from(answer.current?.value ?? []).toString(), "standing");
  assert.equal(store.stats().uploads, 0);
  // One whose value no message could carry comes without it.
  await uploadOver(client, { key }, random.bytes(5_000_000));
  const large = await uploadOver(client, { key, precondition }, Buffer.alloc(1));
  assert.deepEqual([large.applied, large.valueOmitted], [false, true]);
  assert.ok(large.recordBytes > 5_000_000);
  assert.equal(large.current?.version, 2n);
});

test("an upload that is cancelled, cut off or late leaves nothing (G-UP-4)", {
  timeout,
}, async (t) => {
  const { client, store, stagingFiles, address } = await start(t);
  const begin = async (call: UploadCall): Promise<void> => {
    void call.header({ key, valueBytes: 1_000_000n });
    await call.chunk(random.bytes(500_000));
    await until(() => stagingFiles().length === 1);
  };
  const cancelled = new UploadCall(client);
  await begin(cancelled);
  cancelled.cancel();
  await until(() => store.stats().uploads === 0 && stagingFiles().length === 0);
  const late = new UploadCall(client, { deadline: Date.now() + 2_000 });
  await begin(late);
  await assert.rejects(late.answer, { code: status.DEADLINE_EXCEEDED });
  await until(() => store.stats().uploads === 0 && stagingFiles().length === 0);
  const session = rawConnection(t, address);
  const cutOff = rawCall(session, "/kvix.v1.KvService/Upload");
  const header = { case: "header", value: { key, valueBytes: 1_000_000n } } as const;
  for (const part of [header, { case: "chunk", value: random.bytes(500_000) } as const]) {
    const request = create(UploadRequestSchema, { part });
    cutOff.write(framed(toBinary(UploadRequestSchema, request)));
  }
  await until(() => stagingFiles().length === 1);
  session.destroy();
  await until(() => store.stats().uploads === 0 && stagingFiles().length === 0);
  assert.equal(store.version, 0);
});

test("a server that stops ends uploads that are being received (G-UP-4)", {
  timeout,
}, async (t) => {
  const { client, server, store, stagingFiles } = await start(t);
  const call = new UploadCall(client);
  void call.header({ key, valueBytes: 1_000_000n });
  await call.chunk(random.bytes(500_000));
  await until(() => stagingFiles().length === 1);
  const stopped = server.stop(30_000);
  assert.equal((await failed(call.answer)).reason, "STORE_CLOSING");
  assert.equal(await stopped, true);
  await until(() => stagingFiles().length === 0);
  assert.equal(store.version, 0);
});

test("an upload has the time of a request for each of its parts, and no end of its own (G-UP-14)", {
  timeout,
}, async (t) => {
  const { client, store, stagingFiles } = await start(t, { messageTimeoutMs: 1_000 });
  const value = random.bytes(600);
  const slow = new UploadCall(client);
  void slow.header({ key, valueBytes: 600n });
  const startMs = performance.now();
  for (let at = 0; at < 600; at += 100) {
    await slow.chunk(value.subarray(at, at + 100));
    await new Promise((resolve) => setTimeout(resolve, 600));
  }
  void slow.part({ case: "end", value: { crc32: checksumOf(value) } });
  slow.close();
  assert.equal((await slow.answer).applied, true);
  assert.ok(performance.now() - startMs > 3_000);
  const silent = new UploadCall(client);
  void silent.header({ key, valueBytes: 600n });
  await silent.chunk(value.subarray(0, 100));
  await until(() => stagingFiles().length === 1);
  assert.equal((await failed(silent.answer)).reason, "REQUEST_TOO_SLOW");
  await until(() => store.stats().uploads === 0);
  assert.deepEqual(stagingFiles(), []);
});

test("uploads that stand still hold no room for messages, and no message is read ahead (V11)", {
  timeout,
}, async (t) => {
  const { client, server, rpc, stagingFiles } = await start(t, {
    admittedBytesMax: 16 * 1024 * 1024,
  });
  const chunk = random.bytes(1_000_000);
  const calls = Array.from({ length: 12 }, () => new UploadCall(client));
  for (const [number, call] of calls.entries()) {
    void call.header({ key: Buffer.from(`k${number}`), valueBytes: 2_000_000n });
    await call.chunk(chunk);
  }
  await until(() => stagingFiles().length === calls.length);
  await until(() => server.figures.heldBytes < 200_000);
  const value = random.bytes(3_000_000);
  await rpc.call(KvService.method.set, { key, value });
  for (const call of calls) {
    void call.chunk(chunk);
    void call.part({ case: "end", value: { crc32: checksumOf(Buffer.concat([chunk, chunk])) } });
    call.close();
  }
  for (const call of calls) assert.equal((await call.answer).applied, true);
});

test("a slow reader of a download holds a few pieces of it, and damage is told in place of the end (G-DOWN-3, V11)", {
  timeout,
}, async (t) => {
  const { client, rpc, server } = await start(t);
  const value = random.bytes(20_000_000);
  await uploadOver(client, { key }, value);
  const stream = rpc.stream(download, { key });
  await stream.next();
  await stream.next();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(server.figures.heldBytes < 2_000_000, `${server.figures.heldBytes}`);
  await stream.return();
  await until(() => server.figures.calls === 0);
  assert.equal(upload.methodKind, "client_streaming");
});
