/** BatchGet and DeleteRange over the wire, and BatchGet's splice held against the generated encoder. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import {
  BatchGetResponseSchema,
  Durability,
  KvService,
  RecordSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { PAGE_BYTES_MAX } from "../../src/base/limits.js";
import type { ListedRecord, Omission } from "../../src/engine/store.js";
import type { BatchGetEntry } from "../../src/engine/store-ranges.js";
import { encodeBatchGetAnswer } from "../../src/service/batch-get.js";
import { Rig } from "../support/store-rig.js";
import { startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";
import { expiries, records, versions } from "./stored-records.js";

const { batchGet, deleteRange, get, set, exists } = KvService.method;
const bytes = (content: string) => new Uint8Array(Buffer.from(content));
const show = (content: Uint8Array | undefined) => Buffer.from(content ?? []).toString("latin1");

const bare = fc.record({
  key: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  version: versions,
  expiresAtMs: expiries,
  recordBytes: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  record: fc.constantFrom<Omission>("keys-only", "too-large", "unreadable"),
});
const whole = records.map((record): ListedRecord => {
  const { version, expiresAtMs, payload } = record;
  const { key } = fromBinary(RecordSchema, payload);
  return { key, version, expiresAtMs, recordBytes: payload.byteLength, record };
});
const entries = fc.array(
  fc.oneof(whole, bare, fc.constantFrom<BatchGetEntry>("absent", "unread")),
  { maxLength: 20 },
);

function messageOf(entry: BatchGetEntry) {
  if (typeof entry === "string") return { unread: entry === "unread" };
  const { key, version, expiresAtMs, record, recordBytes } = entry;
  const expiry = expiresAtMs === 0 ? {} : { expireTime: timestampFromMs(expiresAtMs) };
  return {
    record:
      typeof record === "string"
        ? create(RecordSchema, { key, version: BigInt(version), ...expiry })
        : fromBinary(RecordSchema, record.payload),
    recordBytes,
    valueOmitted: record === "too-large" || record === "unreadable",
    unreadable: record === "unreadable",
  };
}

test("a spliced BatchGetResponse is what the generated encoder gives, byte for byte", () => {
  fc.assert(
    fc.property(entries, versions, (found, version) => {
      const answer = encodeBatchGetAnswer({ entries: found, version });
      const expected = create(BatchGetResponseSchema, {
        entries: found.map(messageOf),
        storeVersion: BigInt(version),
      });
      assert.deepEqual(
        Buffer.from(answer),
        Buffer.from(toBinary(BatchGetResponseSchema, expected)),
      );
    }),
  );
});

test("a BatchGet has what Get has under each key, in their order, at one version (G-BGET-1, G-BGET-2)", async (t) => {
  const { client } = await startMemoryServer(t);
  for (const key of ["a", "b"])
    await client.call(set, { key: bytes(key), value: bytes(`v ${key}`) });
  const keys = ["b", "none", "a", "b"].map(bytes);
  const answer = await client.call(batchGet, { keys });
  assert.equal(answer.storeVersion, 2n);
  for (const [at, key] of keys.entries()) {
    const { record } = await client.call(get, { key });
    assert.deepEqual(answer.entries[at]?.record, record);
  }
  assert.ok(answer.entries.every(({ unread, unreadable }) => !unread && !unreadable));
  const bareAnswer = await client.call(batchGet, { keys, keysOnly: true });
  const { recordBytes } = await client.call(exists, { key: bytes("b") });
  assert.equal(bareAnswer.entries[0]?.recordBytes, recordBytes);
  assert.equal(bareAnswer.entries[0]?.record?.value.length, 0);
});

test("a BatchGet that is full leaves the rest unread, within what every client takes (G-BGET-3)", async (t) => {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024, cacheBytesMax: 0 });
  const names = ["a", "b", "c", "d", "e"];
  for (const key of names) await rig.set(key, "l".repeat(key === "b" ? 5_000_000 : 1_500_000));
  const { client } = await startMemoryServer(t, {
    wrap: () => rig.store,
    messageBytesMax: 8 * 1024 * 1024,
    channel: { "grpc.max_receive_message_length": PAGE_BYTES_MAX },
  });
  t.after(() => rig.store.close());
  const shown: string[] = [];
  for (let left = names; left.length > 0; ) {
    const { entries: found } = await client.call(batchGet, { keys: left.map(bytes) });
    assert.equal(found.length, left.length);
    const read = found.filter(({ unread }) => !unread);
    shown.push(
      read.map(({ record, valueOmitted }) => `${show(record?.key)}${valueOmitted}`).join(" "),
    );
    left = left.slice(read.length);
  }
  assert.deepEqual(shown, ["afalse btrue cfalse", "dfalse efalse"]);
});

test("10,000 keys are answered, one more is refused, and a wrong key is named by its place", async (t) => {
  const { client } = await startMemoryServer(t);
  const keys = Array.from({ length: 10_001 }, (_, at) => bytes(String(at)));
  await refusal(client.call(batchGet, { keys }), "FIELD_INVALID", "keys");
  await refusal(client.call(batchGet, {}), "FIELD_INVALID", "keys");
  const { entries: found } = await client.call(batchGet, { keys: keys.slice(0, 10) });
  assert.ok(found.length === 10 && found.every(({ record }) => record === undefined));
  const wrong = [bytes("a"), new Uint8Array(0)];
  await refusal(client.call(batchGet, { keys: wrong }), "KEY_EMPTY", "keys[1]");
  await refusal(
    client.call(batchGet, { keys: [new Uint8Array(65_536)] }),
    "KEY_TOO_LARGE",
    "keys[0]",
  );
});

test("a DeleteRange counts, removes, and says whether there are more; a dry run changes nothing (G-DELRANGE-1, G-DELRANGE-3)", async (t) => {
  const rig = await Rig.open();
  const { client } = await startMemoryServer(t, { wrap: () => rig.store });
  t.after(() => rig.store.close());
  for (let at = 0; at < 30; at += 1) await rig.set(`k${at}`, "v");
  const all = { all: true } as const;
  const counted = await client.call(deleteRange, { ...all, dryRun: true, limit: 20 });
  assert.deepEqual([counted.count, counted.more, counted.storeVersion], [20, true, 30n]);
  const some = await client.call(deleteRange, { prefix: bytes("k1"), limit: 4 });
  assert.deepEqual([some.count, some.more, some.storeVersion], [4, true, 34n]);
  const { durability } = { durability: Durability.BUFFERED };
  const rest = await client.call(deleteRange, { ...all, durability });
  assert.deepEqual([rest.count, rest.more, rest.storeVersion], [26, false, 60n]);
  assert.equal(rig.store.stats().keys, 0);
});

test("a DeleteRange of nothing named, or of all and something, is refused over the wire (G-DELRANGE-2)", async (t) => {
  const { client, store } = await startMemoryServer(t);
  await client.call(set, { key: bytes("k") });
  const wrong: readonly (readonly [object, string])[] = [
    [{}, "all"],
    [{ all: true, prefix: bytes("k") }, "all"],
    [{ prefix: bytes("a"), start: bytes("a") }, "prefix"],
    [{ all: true, limit: -1 }, "limit"],
    [{ all: true, limit: 10_001 }, "limit"],
    [{ all: true, durability: 3 }, "durability"],
  ];
  for (const [request, field] of wrong) {
    const error = await refusal(client.call(deleteRange, request), "FIELD_INVALID", field);
    assert.equal(error.outcome, "not-applied");
  }
  assert.equal(store.version, 1);
});
