/** Touch and List over the wire, with bytes and with text. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Durability,
  KvService,
  KvTextService,
  type ListRequestSchema,
  type TouchRequestSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { EXPIRES_AT_MS_MAX, PAGE_BYTES_MAX } from "../../src/base/limits.js";
import { type MemoryServer, startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";

const { set, get, touch, list } = KvService.method;
const text = KvTextService.method;
type TouchFields = MessageInitShape<typeof TouchRequestSchema>;
type ListFields = MessageInitShape<typeof ListRequestSchema>;

const bytes = (content: string) => new Uint8Array(Buffer.from(content));
const show = (content: Uint8Array | undefined) => Buffer.from(content ?? []).toString("latin1");
const key = bytes("k");
const ttl = (ms: number) => ({ case: "ttl", value: durationFromMs(ms) }) as const;
const persist = { case: "persist", value: true } as const;

async function fill(server: MemoryServer, ...keys: readonly string[]): Promise<void> {
  for (const name of keys) {
    await server.client.call(set, { key: bytes(name), value: bytes(`value of ${name}`) });
  }
}

async function filled(t: TestContext, ...keys: readonly string[]): Promise<MemoryServer> {
  const server = await startMemoryServer(t);
  await fill(server, ...keys);
  return server;
}

test("a Touch sets an expiry by ttl or instant, or takes it away, and keeps the value", async (t) => {
  const server = await filled(t, "k");
  const { client, clock } = server;
  const inHour = clock.nowMs + 3_600_000;
  const steps: readonly (readonly [TouchFields["expiry"], number | undefined])[] = [
    [ttl(1500), clock.nowMs + 1500],
    [{ case: "ttl", value: { seconds: 0n, nanos: 1 } }, clock.nowMs + 1],
    [{ case: "expireTime", value: timestampFromMs(inHour) }, inHour],
    [persist, undefined],
  ];
  for (const [index, [expiry, expireMs]] of steps.entries()) {
    const answer = await client.call(touch, { key, expiry } as TouchFields);
    const version = BigInt(index + 2);
    assert.deepEqual([answer.applied, answer.found], [true, true]);
    assert.deepEqual([answer.version, answer.storeVersion], [version, version]);
    assert.equal(answer.expireTime && timestampMs(answer.expireTime), expireMs);
    const { record } = await client.call(get, { key });
    assert.deepEqual([show(record?.value), record?.version], ["value of k", version]);
    assert.equal(record?.expireTime && timestampMs(record.expireTime), expireMs);
  }
  const past = await client.call(touch, {
    key,
    expiry: { case: "expireTime", value: timestampFromMs(1) },
  });
  assert.deepEqual([past.found, past.applied], [true, true]);
  assert.equal((await client.call(get, { key })).record, undefined);
});

test("a Touch of an absent or expired key is applied and finds nothing", async (t) => {
  const server = await filled(t, "k");
  await server.client.call(touch, { key, expiry: ttl(10) });
  server.clock.nowMs += 10;
  for (const name of ["k", "other"]) {
    const answer = await server.client.call(touch, { key: bytes(name), expiry: persist });
    assert.deepEqual([answer.applied, answer.found, answer.version], [true, false, 0n]);
    assert.equal(answer.storeVersion, 2n);
  }
});

test("a Touch whose precondition is not met answers with the record that stands", async (t) => {
  const { client } = await filled(t, "k");
  const condition = (condition: NonNullable<TouchFields["precondition"]>["condition"]) =>
    ({ key, expiry: ttl(10), precondition: { condition } }) as TouchFields;
  for (const wrong of [
    { case: "absent", value: true },
    { case: "version", value: 7n },
  ] as const) {
    const answer = await client.call(touch, condition(wrong));
    assert.deepEqual([answer.applied, answer.found, answer.version], [false, false, 0n]);
    assert.equal(show(answer.current?.value), "value of k");
    assert.ok(answer.recordBytes > 0 && !answer.valueOmitted);
  }
  const met = await client.call(touch, condition({ case: "version", value: 1n }));
  assert.equal(met.found, true);
  const textual = await client.call(text.touch, {
    key: "k",
    expiry: ttl(10),
    precondition: { condition: { case: "absent", value: true } },
  });
  assert.equal(textual.current?.value, "value of k");
});

const yearEnd = BigInt(Math.floor(EXPIRES_AT_MS_MAX / 1000));
const wrongTouches: readonly (readonly [string, Partial<TouchFields>, string])[] = [
  ["no expiry", { expiry: { case: undefined } }, "expiry"],
  ["persist = false", { expiry: { case: "persist", value: false } }, "persist"],
  ["a ttl of zero", { expiry: ttl(0) }, "ttl"],
  ["a negative ttl", { expiry: ttl(-1) }, "ttl"],
  ["a ttl beyond 9999", { expiry: { case: "ttl", value: { seconds: yearEnd, nanos: 0 } } }, "ttl"],
  [
    "ttl.nanos of a second",
    { expiry: { case: "ttl", value: { seconds: 1n, nanos: 1_000_000_000 } } },
    "ttl.nanos",
  ],
  [
    "an expire_time beyond 9999",
    { expiry: { case: "expireTime", value: { seconds: yearEnd + 1n, nanos: 0 } } },
    "expire_time",
  ],
  [
    "negative expire_time.nanos",
    { expiry: { case: "expireTime", value: { seconds: 1n, nanos: -1 } } },
    "expire_time.nanos",
  ],
  [
    "precondition.absent = false",
    { precondition: { condition: { case: "absent", value: false } } },
    "precondition.absent",
  ],
  [
    "precondition.present = false",
    { precondition: { condition: { case: "present", value: false } } },
    "precondition.present",
  ],
  [
    "precondition.version = 2^48",
    { precondition: { condition: { case: "version", value: 2n ** 48n } } },
    "precondition.version",
  ],
  ["a durability of no name", { durability: 3 as Durability }, "durability"],
];

for (const [name, wrong, field] of wrongTouches) {
  test(`Touch refuses ${name} and names the field, in either service`, async (t) => {
    const { client, store } = await filled(t, "k");
    const fields = { expiry: ttl(1), ...wrong };
    const error = await refusal(client.call(touch, { key, ...fields }), "FIELD_INVALID", field);
    assert.ok(error.message.includes(`must be ${error.metadata["range"]}`));
    assert.equal(error.outcome, "not-applied");
    await refusal(
      client.call(text.touch, { ...fields, key: "k" } as object),
      "FIELD_INVALID",
      field,
    );
    assert.equal(store.version, 1);
  });
}

test("Touch refuses the empty key and a key of 65,536 bytes, and text that is none (I5)", async (t) => {
  const { client } = await filled(t);
  await refusal(client.call(touch, { expiry: persist }), "KEY_EMPTY");
  await refusal(client.call(text.touch, { expiry: persist }), "KEY_EMPTY");
  const long = new Uint8Array(65_536);
  await refusal(client.call(touch, { key: long, expiry: persist }), "KEY_TOO_LARGE");
  const raw = { ...text.touch, input: touch.input } as unknown as DescMethodUnary;
  const notText = { key: new Uint8Array([0xff]), expiry: persist } as Record<string, unknown>;
  await refusal(client.call(raw, notText), "FIELD_INVALID", "key");
});

/** All pages: the keys of each. */
async function pagesOf(server: MemoryServer, request: ListFields): Promise<string[][]> {
  const pages: string[][] = [];
  let pageToken = "";
  do {
    const page = await server.client.call(list, { ...request, pageToken });
    pages.push(page.records.map(({ record }) => show(record?.key)));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return pages;
}

test("a List has the records of its range in key order, page after page, up and down", async (t) => {
  const server = await filled(t, "b", "a", "ca", "cb", "c", "d", "\u00ff");
  const all = ["a", "b", "c", "ca", "cb", "d", "\u00c3\u00bf"];
  const cases: readonly (readonly [ListFields, readonly string[]])[] = [
    [{}, all],
    [{ prefix: bytes("c") }, ["c", "ca", "cb"]],
    [{ start: bytes("c"), end: bytes("d") }, ["c", "ca", "cb"]],
    [{ start: bytes("cb") }, ["cb", "d", "\u00c3\u00bf"]],
    [{ end: bytes("b") }, ["a"]],
    [{ prefix: bytes("x") }, []],
  ];
  for (const [request, expected] of cases) {
    for (const reverse of [false, true]) {
      const inOrder = reverse ? expected.toReversed() : [...expected];
      assert.deepEqual(await pagesOf(server, { ...request, reverse }), [inOrder]);
      const pages = await pagesOf(server, { ...request, reverse, pageSize: 2 });
      assert.deepEqual(pages.flat(), inOrder);
      assert.equal(pages.length, Math.max(1, Math.ceil(expected.length / 2)));
    }
  }
});

test("a listed record is what Get answers; keys_only leaves out what lies on the disk", async (t) => {
  const server = await filled(t, "a");
  await server.client.call(set, { key: bytes("b"), value: bytes("2"), expiry: ttl(5000) });
  const { records, nextPageToken, storeVersion } = await server.client.call(list, {});
  assert.deepEqual([nextPageToken, storeVersion], ["", 2n]);
  for (const [index, name] of ["a", "b"].entries()) {
    const { record } = await server.client.call(get, { key: bytes(name) });
    assert.deepEqual(records[index]?.record, record);
    assert.deepEqual([records[index]?.valueOmitted, records[index]?.unreadable], [false, false]);
  }
  const { records: keys } = await server.client.call(list, { keysOnly: true });
  for (const [index, listed] of keys.entries()) {
    const whole = records[index];
    assert.equal(listed.recordBytes, whole?.recordBytes);
    assert.equal(listed.valueOmitted, false, "it was not asked for");
    const { record } = listed;
    assert.deepEqual([record?.value.length, record?.updateTime], [0, undefined]);
    assert.deepEqual(record?.version, whole?.record?.version);
    assert.deepEqual(record?.expireTime, whole?.record?.expireTime);
  }
});

test("a page fits what every client takes, and a record that does not fit any page has no value", async (t) => {
  const server = await startMemoryServer(t, {
    messageBytesMax: 8 * 1024 * 1024,
    channel: { "grpc.max_receive_message_length": PAGE_BYTES_MAX },
  });
  const large = new Uint8Array(PAGE_BYTES_MAX / 2 - 1000);
  for (const name of ["a", "b", "c"]) {
    await server.store.set(bytes(name), large, { kind: "never" });
  }
  await server.store.set(bytes("d"), new Uint8Array(PAGE_BYTES_MAX), { kind: "never" });
  assert.deepEqual(await pagesOf(server, {}), [
    ["a", "b"],
    ["c", "d"],
  ]);
  const { records } = await server.client.call(list, { start: bytes("d") });
  assert.deepEqual(
    records.map(({ record, valueOmitted, unreadable }) => [
      show(record?.key),
      record?.value.length,
      valueOmitted,
      unreadable,
    ]),
    [["d", 0, true, false]],
  );
  assert.equal(records[0]?.recordBytes, server.store.exists(bytes("d"))?.recordBytes);
});

test("a page token goes on behind its page, whatever is written, and only for its own request", async (t) => {
  const server = await filled(t, "a", "b", "c", "d");
  const { client } = server;
  const request = { start: bytes("a"), pageSize: 2 };
  const { nextPageToken: pageToken } = await client.call(list, request);
  await fill(server, "aa", "bb", "e");
  await server.store.delete(bytes("b"));
  const next = await client.call(list, { ...request, pageSize: 10, pageToken });
  assert.deepEqual(
    next.records.map(({ record }) => show(record?.key)),
    ["bb", "c", "d", "e"],
  );
  const others: readonly ListFields[] = [
    { start: bytes("b") },
    { start: bytes("a"), end: bytes("z") },
    { prefix: bytes("a") },
    { start: bytes("a"), reverse: true },
    { start: bytes("a"), keysOnly: true },
    {},
  ];
  for (const other of others) {
    await refusal(client.call(list, { ...other, pageToken }), "FIELD_INVALID", "page_token");
  }
  const textual = await client.call(text.list, { start: "a", pageToken });
  assert.equal(textual.records.length, 4, "the two services have the same tokens");
});

const wrongLists: readonly (readonly [string, ListFields, string])[] = [
  ["a negative page_size", { pageSize: -1 }, "page_size"],
  ["the most negative page_size", { pageSize: -(2 ** 31) }, "page_size"],
  ["a page_token that is none", { pageToken: "x" }, "page_token"],
  ["a page_token of other bytes", { pageToken: "AAAAAAAAAAAAAAAA" }, "page_token"],
  ["a prefix beside a start", { prefix: bytes("a"), start: bytes("a") }, "prefix"],
  ["a prefix beside an end", { prefix: bytes("a"), end: bytes("b") }, "prefix"],
  ["an end below start", { start: bytes("b"), end: bytes("a") }, "end"],
  ["a prefix of 65,536 bytes", { prefix: new Uint8Array(65_536).fill(97) }, "prefix"],
  ["a start of 65,536 bytes", { start: new Uint8Array(65_536).fill(97) }, "start"],
  ["an end of 65,536 bytes", { end: new Uint8Array(65_536).fill(97) }, "end"],
];

for (const [name, request, field] of wrongLists) {
  test(`List refuses ${name} and names the field, in either service`, async (t) => {
    const { client } = await filled(t, "a");
    const error = await refusal(client.call(list, request), "FIELD_INVALID", field);
    assert.ok(error.message.includes(`${field} must be ${error.metadata["range"]}`));
    const { prefix, start, end, ...rest } = request;
    const asText = { prefix: show(prefix), start: show(start), end: show(end), ...rest };
    await refusal(client.call(text.list, asText as object), "FIELD_INVALID", field);
  });
}

test("a page_size of 0 is 1,000 and one above 10,000 is 10,000", async (t) => {
  const limits: (number | undefined)[] = [];
  const { client } = await startMemoryServer(t, {
    wrap: (store) =>
      new Proxy(store, {
        get: (target, name) => {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== "function") return member;
          if (name !== "list") return member.bind(target);
          return (options: { limit?: number }) => {
            limits.push(options.limit);
            return target.list(options);
          };
        },
      }),
  });
  for (const pageSize of [0, 1, 10_000, 10_001, 2 ** 31 - 1]) {
    await client.call(list, { pageSize });
  }
  assert.deepEqual(limits, [1000, 1, 10_000, 10_000, 10_000]);
});

test("KvTextService lists what is no text as raw bytes, and refuses bounds that are none", async (t) => {
  const server = await filled(t, "text");
  const notText = new Uint8Array([0x66, 0xff]);
  await server.client.call(set, { key: notText, value: bytes("v") });
  await server.client.call(set, { key: bytes("value"), value: notText });
  await server.client.call(set, { key: new Uint8Array([0xff]), value: notText });
  const { records } = await server.client.call(text.list, {});
  assert.deepEqual(
    records.map(({ record, rawKey, rawValue, valueOmitted }) => [
      record?.key,
      show(rawKey),
      record?.value,
      show(rawValue),
      valueOmitted,
    ]),
    [
      ["", "f\xff", "v", "", false],
      ["text", "", "value of text", "", false],
      ["value", "", "", "f\xff", false],
      ["", "\xff", "", "f\xff", false],
    ],
  );
  assert.ok(records.every(({ record }) => record?.version && record.updateTime));
  const keys = await server.client.call(text.list, { keysOnly: true, pageSize: 1 });
  assert.deepEqual([keys.records[0]?.record?.key, show(keys.records[0]?.rawKey)], ["", "f\xff"]);
  const rest = { keysOnly: true, pageToken: keys.nextPageToken };
  assert.equal((await server.client.call(text.list, rest)).records.length, 3);
  const raw = { ...text.list, input: list.input } as unknown as DescMethodUnary;
  for (const field of ["prefix", "start", "end"]) {
    const call = server.client.call(raw, { [field]: notText } as Record<string, unknown>);
    await refusal(call, "FIELD_INVALID", field);
  }
});
