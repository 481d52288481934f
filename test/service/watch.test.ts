/** Watch over the wire, on the engine: messages, back-pressure, and everything that ends a stream. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import {
  KvService,
  ResumeInfoSchema,
  WatchEventKind,
  type WatchResponse,
  WatchResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import type { StoreOptionsInput } from "../../src/engine/options.js";
import type { WatchStep } from "../../src/engine/store-watch.js";
import { encodeWatchAnswer } from "../../src/service/watch.js";
import { endingOf, framed, rawCall, rawConnection } from "../support/raw-grpc.js";
import { bytes, Rig } from "../support/store-rig.js";
import { startMemoryServer } from "./memory-server.js";

const { watch } = KvService.method;
const WATCH = "/kvix.v1.KvService/Watch";
const MIB = 1024 * 1024;

const show = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString("latin1");

async function serving(t: TestContext, options: Partial<StoreOptionsInput> = {}, server = {}) {
  const rig = await Rig.open({ segmentBytesMax: 256 * MIB, ...options });
  t.after(() => rig.store.close().catch(() => undefined));
  return { rig, ...(await startMemoryServer(t, { wrap: () => rig.store, ...server })) };
}

/** The next messages of a stream, until one has the version, or as many as asked for. */
async function next(answers: AsyncIterator<WatchResponse>, count = 1): Promise<WatchResponse[]> {
  const told: WatchResponse[] = [];
  while (told.length < count) {
    const { done, value } = await answers.next();
    assert.ok(done !== true, "it goes on");
    told.push(value);
  }
  return told;
}

/** What a stream ends with. */
async function ending(answers: AsyncIterator<WatchResponse>): Promise<KvixError> {
  for (;;) {
    try {
      const { done } = await answers.next();
      assert.ok(done !== true, "it ends with a status");
    } catch (error) {
      assert.ok(error instanceof KvixError, String(error));
      return error;
    }
  }
}

const begin = (answers: AsyncIterable<WatchResponse>) => answers[Symbol.asyncIterator]();

test("the bytes of a WatchResponse are those of the generated encoder", () => {
  const record = (key: string) => Buffer.concat([Buffer.from([0x0a, key.length]), bytes(key)]);
  const step = (events: WatchStep["events"], rest: Partial<WatchStep> = {}): WatchStep => {
    return { events, version: 0, isCurrent: false, continues: false, ...rest };
  };
  const base = { key: bytes("k"), version: 7, expiresAtMs: 0, recordBytes: 0 };
  for (const each of [
    step([]),
    step([], { version: 2 ** 48 - 1 }),
    step([{ ...base, kind: "set", recordBytes: 3, record: record("k") }], { version: 7 }),
    step([{ ...base, kind: "delete", record: record("k") }], { version: 7, continues: true }),
    step([{ ...base, kind: "expire", record: "keys-only" }], { version: 7 }),
    step(
      [
        { ...base, kind: "set", expiresAtMs: 1500, recordBytes: 400, record: "unreadable" },
        { ...base, kind: "set", recordBytes: 70_000, record: "too-large" },
      ],
      { isCurrent: true },
    ),
  ]) {
    const encoded = encodeWatchAnswer(each, 12);
    const decoded = fromBinary(WatchResponseSchema, encoded);
    assert.deepEqual(Buffer.from(toBinary(WatchResponseSchema, decoded)), Buffer.from(encoded));
    assert.deepEqual(
      [decoded.version, decoded.current, decoded.continues, decoded.storeVersion],
      [BigInt(each.version), each.isCurrent, each.continues, 12n],
    );
    for (const [index, event] of each.events.entries()) {
      const told = decoded.events[index];
      assert.equal(told?.kind, WatchEventKind[event.kind.toUpperCase() as "SET"]);
      assert.equal(show(told?.record?.key), "k");
      assert.equal(told?.recordBytes, event.recordBytes);
      assert.equal(told?.unreadable, event.record === "unreadable");
      assert.equal(told?.valueOmitted, ["unreadable", "too-large"].includes(String(event.record)));
    }
  }
});

test("Watch tells sets, deletes and expiries with their records, from the first message on (G-WATCH-1)", async (t) => {
  const { client, rig } = await serving(t);
  await rig.set("before", "0");
  const answers = begin(client.stream(watch, {}));
  const [first] = await next(answers);
  assert.deepEqual([first?.version, first?.events.length, first?.storeVersion], [1n, 0, 1n]);
  await rig.set("k", "v", { expiry: { kind: "ttl", ttlMs: 60_000 } });
  const [set] = await next(answers);
  assert.deepEqual([set?.version, set?.current, set?.continues], [2n, false, false]);
  const event = set?.events[0];
  assert.equal(event?.kind, WatchEventKind.SET);
  const { record } = await client.call(KvService.method.get, { key: bytes("k") });
  assert.deepEqual(event?.record, record, "as Get has it");
  assert.ok((event?.recordBytes ?? 0) > 4 && event?.record?.expireTime !== undefined);
  await rig.delete("k");
  const [gone] = await next(answers);
  const deleted = gone?.events[0];
  assert.equal(deleted?.kind, WatchEventKind.DELETE);
  assert.deepEqual([show(deleted?.record?.key), deleted?.record?.version], ["k", 3n]);
  assert.ok(deleted?.record?.updateTime !== undefined && deleted.recordBytes === 0);
  await rig.set("e", "1", { expiry: { kind: "ttl", ttlMs: 10 } });
  await next(answers);
  await rig.sim.clock.advance(1000);
  const [swept] = await next(answers);
  assert.equal(swept?.events[0]?.kind, WatchEventKind.EXPIRE);
  assert.equal(show(swept?.events[0]?.record?.key), "e");
  await answers.return?.();
});

test("Watch begins with the current state if it is asked to, and says where the changes begin (G-WATCH-14)", async (t) => {
  const { client, rig } = await serving(t);
  for (const key of ["b", "a", "c"]) await rig.set(key, "1");
  const answers = begin(client.stream(watch, { includeCurrent: true, end: bytes("c") }));
  const [current, began] = await next(answers, 2);
  assert.deepEqual(
    current?.events.map(({ record }) => show(record?.key)),
    ["a", "b"],
  );
  assert.deepEqual([current?.current, current?.version], [true, 0n]);
  assert.deepEqual([began?.current, began?.version, began?.events.length], [false, 3n, 0]);
  await rig.set("a", "2");
  const [change] = await next(answers);
  assert.deepEqual([change?.version, change?.events.length], [4n, 1]);
  await answers.return?.();
});

test("a commit larger than a message comes in several, all but the last of which continue (G-WATCH-4)", async (t) => {
  const { client, rig } = await serving(t, {}, { messageBytesMax: MIB });
  const value = new Uint8Array(300_000);
  const mutations = Array.from({ length: 10 }, (_, index) => {
    return { kind: "set", key: bytes(`k${index}`), value } as const;
  });
  await rig.store.commit(mutations);
  await rig.set("last", "1");
  const answers = begin(client.stream(watch, { afterVersion: 0n }));
  const told = await next(answers, 6);
  assert.deepEqual(
    told.map(({ version, continues, events }) => [Number(version), continues, events.length]),
    [
      [0, false, 0],
      [0, true, 3],
      [0, true, 3],
      [0, true, 3],
      [10, false, 1],
      [11, false, 1],
    ],
  );
  for (const answer of told) {
    assert.ok(toBinary(WatchResponseSchema, answer).length <= MIB);
  }
  await answers.return?.();
});

test("a value that fits no message is left out and marked, and one that just fits is told (G-WATCH-5)", async (t) => {
  const { client, rig } = await serving(t, {}, { messageBytesMax: MIB });
  await rig.set("large", "v".repeat(MIB));
  await rig.set("fits", "v".repeat(MIB - 200));
  for (const request of [{ afterVersion: 0n }, { includeCurrent: true }]) {
    const answers = begin(client.stream(watch, request));
    const found: Record<string, [number, boolean]> = {};
    while (Object.keys(found).length < 2) {
      for (const { record, valueOmitted, recordBytes } of (await next(answers))[0]?.events ?? []) {
        found[show(record?.key)] = [record?.value.length ?? -1, valueOmitted];
        assert.ok(recordBytes > MIB - 200);
      }
    }
    assert.deepEqual(found, { large: [0, true], fits: [MIB - 200, false] });
    await answers.return?.();
  }
});

test("what Watch may not be asked is refused and names its field (G-WATCH-9)", async (t) => {
  const { client } = await serving(t);
  for (const [request, field] of [
    [{ prefix: bytes("a"), start: bytes("b") }, "prefix"],
    [{ key: bytes("a"), prefix: bytes("b") }, "key"],
    [{ afterVersion: 2n ** 48n }, "after_version"],
    [{ afterVersion: 0n, includeCurrent: true }, "include_current"],
    [{ progressInterval: { seconds: 0n, nanos: 99_000_000 } }, "progress_interval"],
    [{ progressInterval: { seconds: 3600n, nanos: 1 } }, "progress_interval"],
    [{ progressInterval: { seconds: -1n, nanos: 0 } }, "progress_interval"],
    [{ progressInterval: { seconds: 10n ** 11n, nanos: 0 } }, "progress_interval"],
  ] as const) {
    const error = await ending(begin(client.stream(watch, request)));
    assert.equal(error.reason, "FIELD_INVALID", error.message);
    assert.equal(error.metadata["field"], field);
  }
  const answers = begin(client.stream(watch, { progressInterval: { seconds: 3600n, nanos: 0 } }));
  await next(answers);
  await answers.return?.();
});

test("HISTORY_LOST says where history begins, as a typed detail too (G-WATCH-9)", async (t) => {
  const { client, address, rig } = await serving(t);
  await rig.set("k", "1");
  const error = await ending(begin(client.stream(watch, { afterVersion: 99n })));
  assert.equal(error.reason, "HISTORY_LOST");
  assert.deepEqual([error.metadata["floor"], error.metadata["version"]], ["0", "1"]);
  assert.equal(error.resume?.historyFloor, 0);
  const session = rawConnection(t, address);
  const call = rawCall(session, WATCH).end(framed(Buffer.from([0x30, 99])));
  let bytesOfDetails = "";
  const take = (headers: Record<string, unknown>) => {
    bytesOfDetails = String(headers["grpc-status-details-bin"] ?? bytesOfDetails);
  };
  call.on("response", take).on("trailers", take);
  assert.equal((await endingOf(call)).status, status.OUT_OF_RANGE);
  const { details } = fromBinary(StatusSchema, Buffer.from(bytesOfDetails, "base64"));
  const resume = details.map((each) => anyUnpack(each, ResumeInfoSchema)).find((each) => each);
  assert.deepEqual([resume?.afterVersion, resume?.historyFloor], [99n, 0n]);
});

test("a stop ends every watch with the version to go on from (G-WATCH-15)", async (t) => {
  const { client, server, rig } = await serving(t);
  const [quiet, lively, fresh] = [{ prefix: bytes("x") }, {}, { afterVersion: 0n }].map((request) =>
    begin(client.stream(watch, request)),
  );
  assert.ok(quiet && lively && fresh);
  await Promise.all([next(quiet), next(lively), next(fresh)]);
  await rig.set("k", "1");
  await next(lively);
  await next(fresh);
  const endings = Promise.all([ending(quiet), ending(lively), ending(fresh)]);
  assert.equal(await server.stop(5000), true);
  const errors = await endings;
  assert.deepEqual(
    errors.map(({ reason, resume }) => [reason, resume?.afterVersion]),
    [
      ["STORE_CLOSING", 0],
      ["STORE_CLOSING", 1],
      ["STORE_CLOSING", 1],
    ],
  );
});

test("a watch whose client does not read is asked for no more than fits its window, and writers go on (G-WATCH-16, V11)", async (t) => {
  let steps = 0;
  const { rig, address } = await serving(t);
  const { watch: own } = rig.store;
  rig.store.watch = function counting(options) {
    const watching = own.call(rig.store, options);
    const ask = watching.next.bind(watching);
    watching.next = async () => {
      steps += 1;
      return await ask();
    };
    return watching;
  };
  const session = rawConnection(t, address);
  const call = rawCall(session, WATCH).end(framed(Buffer.from([0x30, 0])));
  call.pause();
  for (let at = 0; at < 200; at += 1) {
    await rig.set(`k${at}`, "v".repeat(30_000), { durability: "buffered" });
  }
  await rig.store.sync();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(steps < 30, `${steps} of 201 steps were asked for`);
  assert.equal(rig.store.version, 200);
  call.close();
});

test("1,000 watchers on four connections are told of a write, by one read of the log (G-WATCH-17)", async (t) => {
  const { rig, address } = await serving(t);
  const sessions = Array.from({ length: 4 }, () => rawConnection(t, address));
  let began = 0;
  let told = 0;
  for (const [at, session] of sessions.entries()) {
    for (let index = 0; index < 250; index += 1) {
      const call = rawCall(session, WATCH).end(framed(new Uint8Array(0)));
      let received = 0;
      call.on("data", (chunk: Buffer) => {
        if (received === 0) began += 1;
        received += chunk.length;
        if (received > 30) told += 1;
      });
      call.on("error", () => assert.fail(`stream ${index} of ${at} failed`));
    }
  }
  while (began < 1000) await new Promise((resolve) => setTimeout(resolve, 10));
  let reads = 0;
  rig.injector = ({ op }) => {
    if (op === "read") reads += 1;
    return undefined;
  };
  await rig.set("k", "v".repeat(100));
  while (told < 1000) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(reads <= 3, `${reads} reads`);
});
