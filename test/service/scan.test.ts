/** Scan over the wire, on the engine: messages, back-pressure, and everything that ends a stream. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import {
  KvService,
  ResumeInfoSchema,
  type ScanResponse,
  ScanResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { SNAPSHOT_LEASE_MS } from "../../src/engine/snapshots/snapshots.js";
import type { Scan } from "../../src/engine/store-ranges.js";
import { endingOf, framed, rawCall, rawConnection } from "../support/raw-grpc.js";
import { Rig } from "../support/store-rig.js";
import { type MemoryServer, startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";

const { scan, get } = KvService.method;
const SCAN = "/kvix.v1.KvService/Scan";
const MESSAGE_BYTES = 65_536;

const show = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("latin1");
const name = (at: number): string => `key-${String(at).padStart(5, "0")}`;

async function filled(t: TestContext, count: number, valueBytes: number) {
  const rig = await Rig.open({ segmentBytesMax: 256 * 1024 * 1024 });
  for (let at = 0; at < count; at += 1) {
    await rig.set(name(at), "v".repeat(valueBytes), { durability: "buffered" });
  }
  const server = await startMemoryServer(t, { wrap: () => rig.store });
  t.after(() => rig.store.close().catch(() => undefined));
  return { rig, ...server };
}

/** What a stream told until it ended, and what with. */
async function told(answers: AsyncIterable<ScanResponse>, onAnswer?: (count: number) => void) {
  const keys: string[] = [];
  try {
    for await (const { records } of answers) {
      for (const { record } of records) keys.push(show(record?.key));
      onAnswer?.(keys.length);
    }
  } catch (error) {
    assert.ok(error instanceof KvixError, String(error));
    return { keys, error };
  }
  return { keys, error: undefined };
}

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve));
}

test("a Scan tells its records in order, each as Get has it, in messages of at most 64 KiB, of one version (G-SCAN-1, G-SCAN-4)", async (t) => {
  const { client, rig } = await filled(t, 300, 1000);
  const records: ScanResponse["records"] = [];
  let messages = 0;
  for await (const answer of client.stream(scan, {})) {
    assert.equal(answer.storeVersion, BigInt(rig.store.version));
    assert.ok(toBinary(ScanResponseSchema, answer).length <= MESSAGE_BYTES);
    records.push(...answer.records);
    messages += 1;
  }
  assert.deepEqual(
    records.map(({ record }) => show(record?.key)),
    Array.from({ length: 300 }, (_, at) => name(at)),
  );
  assert.ok(messages >= 5 && messages < 10, `${messages} messages`);
  const { record } = await client.call(get, { key: Buffer.from(name(7)) });
  assert.deepEqual(records[7]?.record, record);
});

test("a Scan goes down, to its limit, through a range, and with keys alone (G-SCAN-3)", async (t) => {
  const { client } = await filled(t, 50, 10);
  const all = Array.from({ length: 50 }, (_, at) => name(at));
  const keysOf = async (request: object) => (await told(client.stream(scan, request))).keys;
  assert.deepEqual(await keysOf({ reverse: true, limit: 3n }), all.toReversed().slice(0, 3));
  assert.deepEqual(await keysOf({ prefix: Buffer.from("key-0001") }), all.slice(10, 20));
  const range = { start: Buffer.from(name(5)), end: Buffer.from(name(9)) };
  assert.deepEqual(await keysOf(range), all.slice(5, 9));
  assert.deepEqual(await keysOf({ prefix: Buffer.from("x") }), []);
  for await (const { records } of client.stream(scan, { keysOnly: true })) {
    for (const { record, valueOmitted, recordBytes } of records) {
      assert.deepEqual([record?.value.length, record?.updateTime], [0, undefined]);
      assert.ok(recordBytes > 20 && !valueOmitted);
    }
  }
});

test("a record that fits no message comes without its value, one that fits is a message of its own (G-SCAN-4)", async (t) => {
  const { client, rig } = await filled(t, 2, 10);
  await rig.set("key-00000a", "l".repeat(4 * 1024 * 1024));
  await rig.set("key-00000b", "l".repeat(4 * 1024 * 1024 - 300));
  const sizes: number[][] = [];
  for await (const { records } of client.stream(scan, {})) {
    sizes.push(
      records.map(({ record, valueOmitted }) => (valueOmitted ? -1 : (record?.value.length ?? 0))),
    );
  }
  assert.deepEqual(sizes, [[10, -1], [4 * 1024 * 1024 - 300], [10]]);
});

/** A server whose scans have no end; `parts` counts what they were asked for. */
async function endless(t: TestContext): Promise<MemoryServer & { parts: () => number }> {
  let parts = 0;
  const value = Buffer.alloc(60_000, 1);
  const server = await startMemoryServer(t, {
    wrap: (store) =>
      new Proxy(store, {
        get: (target, member) => {
          const found: unknown = Reflect.get(target, member, target);
          if (member === "scan") {
            return (): Scan => ({
              after: undefined,
              next: async () => {
                parts += 1;
                const { records } = await target.list({});
                return { done: false, value: { records, version: 1 } };
              },
              return: async () => ({ done: true, value: undefined }),
              [Symbol.asyncIterator]() {
                return this;
              },
            });
          }
          return typeof found === "function" ? found.bind(target) : found;
        },
      }),
  });
  await server.store.set(Buffer.from("k"), value, { kind: "never" });
  return { ...server, parts: () => parts };
}

test("nothing is read ahead of a client that does not read (G-SCAN-8, V11)", async (t) => {
  const { client, address, parts } = await endless(t);
  const session = rawConnection(t, address);
  const request = framed(new Uint8Array(0));
  const calls = Array.from({ length: 5 }, () => rawCall(session, SCAN).end(request));
  await until(() => parts() >= 5);
  // The window of a client lets one message through, and a part of the next.
  for (let call = 0; call < 300; call += 1) await client.call(get, { key: Buffer.from("x") });
  assert.ok(parts() <= 3 * calls.length, `${parts()} parts were made`);
  for (const call of calls) call.destroy();
});

test("the gate counts one message of a stream, however many were sent (G-SCAN-8, V11)", async (t) => {
  const { client, server } = await endless(t);
  const base = server.figures.heldBytes;
  let messages = 0;
  let highest = 0;
  for await (const _answer of client.stream(scan, {})) {
    highest = Math.max(highest, server.figures.heldBytes - base);
    if (++messages === 50) break;
  }
  // The call itself counts 4 KiB.
  assert.ok(highest > 60_000 && highest < 80_000, `${highest} bytes`);
  await until(() => server.figures.heldBytes === base);
});

test("a client that leaves frees the snapshot, in the middle of a message too (G-SCAN-7)", async (t) => {
  const { client, rig, address } = await filled(t, 2000, 1000);
  for await (const _answer of client.stream(scan, {})) break;
  await until(() => rig.store.snapshots.count === 0);
  const session = rawConnection(t, address);
  const stuck = rawCall(session, SCAN).end(framed(new Uint8Array(0)));
  await until(() => rig.store.snapshots.count === 1);
  stuck.destroy();
  await until(() => rig.store.snapshots.count === 0);
  assert.equal(rig.store.stats().pins, 0);
});

test("a Scan that took too long ends with SNAPSHOT_ENDED, which says where to go on, and nothing is told twice (G-SCAN-6)", async (t) => {
  const { client, rig, logLines } = await filled(t, 3000, 1000);
  const all = Array.from({ length: 3000 }, (_, at) => name(at));
  for (const reverse of [false, true]) {
    const answers = client.stream(scan, { reverse });
    const first = await answers.next();
    assert.equal(first.done, false);
    await rig.sim.clock.advance(SNAPSHOT_LEASE_MS);
    const { keys, error } = await told(answers);
    assert.equal(error?.reason, "SNAPSHOT_ENDED");
    assert.equal(error.row.status, "ABORTED");
    const sent = [...(first.value?.records.map(({ record }) => show(record?.key)) ?? []), ...keys];
    const afterKey = error.resume?.afterKey;
    assert.equal(show(afterKey), sent.at(-1));
    const range = reverse
      ? { end: afterKey }
      : { start: Buffer.concat([afterKey ?? Buffer.alloc(0), Buffer.of(0)]) };
    const rest = await told(client.stream(scan, { ...range, reverse } as object));
    assert.deepEqual([...sent, ...rest.keys], reverse ? all.toReversed() : all);
    assert.ok(!error.message.includes("key-"), error.message);
  }
  assert.ok(!logLines.some((line) => line.includes("key-")), "V12");
});

test("a stop of the server ends a Scan with STORE_CLOSING, which says where to go on (G-SCAN-6)", async (t) => {
  const { client, rig, server } = await filled(t, 5000, 1000);
  let isStopping: Promise<boolean> | undefined;
  const { keys, error } = await told(client.stream(scan, {}), () => {
    isStopping ??= server.stop(5000);
  });
  assert.equal(error?.reason, "STORE_CLOSING");
  assert.ok(keys.length > 0 && keys.length < 5000);
  assert.equal(show(error.resume?.afterKey), keys.at(-1));
  assert.equal(await isStopping, true, "it was not waited for");
  await until(() => rig.store.snapshots.count === 0);
});

test("a Scan of a store that is closed, or of a range that makes no sense, is refused", async (t) => {
  const { client, rig } = await filled(t, 1, 10);
  const wrong: readonly (readonly [object, string])[] = [
    [{ prefix: Buffer.from("a"), start: Buffer.from("a") }, "prefix"],
    [{ start: Buffer.from("b"), end: Buffer.from("a") }, "end"],
    [{ prefix: new Uint8Array(65_536) }, "prefix"],
  ];
  for (const [request, field] of wrong) {
    await refusal(client.stream(scan, request).next(), "FIELD_INVALID", field);
  }
  await rig.store.close();
  await refusal(client.stream(scan, {}).next(), "STORE_CLOSING");
});

test("the status of a Scan bears kvix.v1.ResumeInfo beside ErrorInfo", async (t) => {
  const { address, rig } = await filled(t, 3000, 1000);
  const session = rawConnection(t, address);
  const call = rawCall(session, SCAN).end(framed(new Uint8Array(0)));
  await until(() => rig.store.snapshots.count === 1);
  await rig.sim.clock.advance(SNAPSHOT_LEASE_MS);
  let details = Buffer.alloc(0);
  call.on("trailers", (headers) => {
    details = Buffer.from(String(headers["grpc-status-details-bin"]), "base64");
  });
  const ending = await endingOf(call);
  assert.equal(ending.status, status.ABORTED);
  const { details: found } = fromBinary(StatusSchema, details);
  const resume = found.map((any) => anyUnpack(any, ResumeInfoSchema)).find((each) => each);
  assert.match(show(resume?.afterKey), /^key-\d{5}$/);
});
