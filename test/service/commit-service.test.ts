/** Commit and Increment over the wire: every field of their messages, and what they refuse. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type CommitConditionSchema,
  type CommitRequestSchema,
  CommitResponseSchema,
  IncrementResponseSchema,
  KvService,
  type MutationSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { CommitResult, ListedRecord } from "../../src/engine/store.js";
import { encodeCommitAnswer, encodeIncrementAnswer } from "../../src/service/commit-answers.js";
import { type MemoryServer, startMemoryServer } from "./memory-server.js";
import { refusal } from "./refusal.js";

const { commit, increment, set, get, delete: remove } = KvService.method;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const show = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString();
const requestId = bytes("a request's name");

type MutationInit = MessageInitShape<typeof MutationSchema>;
type ConditionInit = MessageInitShape<typeof CommitConditionSchema>;

const setOf = (key: string, value: string, more: object = {}): MutationInit => ({
  mutation: { case: "set", value: { key: bytes(key), value: bytes(value), ...more } },
});
const deleteOf = (key: string): MutationInit => ({
  mutation: { case: "delete", value: { key: bytes(key) } },
});
const incrementOf = (key: string, more: object = {}): MutationInit => ({
  mutation: { case: "increment", value: { key: bytes(key), ...more } },
});
const touchOf = (key: string, seconds: bigint): MutationInit => ({
  mutation: {
    case: "touch",
    value: { key: bytes(key), expiry: { case: "ttl", value: { seconds } } },
  },
});
const absent = (key: string): ConditionInit => ({
  key: bytes(key),
  precondition: { condition: { case: "absent", value: true } },
});

const put = (server: MemoryServer, key: string, value: string) =>
  server.client.call(set, { key: bytes(key), value: bytes(value) });

async function readBack({ client }: MemoryServer, key: string): Promise<string | undefined> {
  const { record } = await client.call(get, { key: bytes(key) });
  return record && show(record.value);
}

test("an Increment adds one, or what it is told, to a number in decimal text (G-INC-1)", async (t) => {
  const server = await startMemoryServer(t);
  const { client } = server;
  const key = bytes("n");
  const first = await client.call(increment, { key });
  assert.deepEqual(
    [first.value, first.version, first.repeated, first.storeVersion],
    [1n, 1n, false, 1n],
  );
  assert.equal(first.expireTime, undefined);
  assert.equal((await client.call(increment, { key, delta: -5n })).value, -4n);
  assert.equal((await client.call(increment, { key, delta: 0n })).value, -4n);
  assert.equal(await readBack(server, "n"), "-4");
  const other = { key: bytes("m"), initial: 10n, delta: 2n };
  assert.equal((await client.call(increment, other)).value, 12n);
  assert.equal((await client.call(increment, other)).value, 14n, "initial is for an absent key");
});

test("an Increment keeps the expiry, or sets it, or takes it away (G-INC-4)", async (t) => {
  const { client, clock } = await startMemoryServer(t);
  const key = bytes("n");
  const ask = (more: object = {}) => client.call(increment, { key, ...more });
  const ttl = { expiry: { case: "ttl", value: { seconds: 60n } } };
  const expiresAtMs = clock.nowMs + 60_000;
  const at = async (more?: object) => {
    const { expireTime } = await ask(more);
    return expireTime && timestampMs(expireTime);
  };
  assert.equal(await at(), undefined);
  assert.equal(await at(ttl), expiresAtMs);
  clock.nowMs += 1000;
  assert.equal(await at(), expiresAtMs);
  assert.equal(await at({ expiry: { case: "persist", value: true } }), undefined);
  await ask(ttl);
  clock.nowMs += 60_000;
  assert.equal((await ask({ initial: 7n })).value, 8n, "an expired number is absent");
});

test("an Increment of what is no number, or of too large a one, is refused (G-INC-2 G-INC-3)", async (t) => {
  const server = await startMemoryServer(t);
  const { client } = server;
  for (const value of ["", "abc", "01", "+1", " 1", "1.5", "-0", "9223372036854775808"]) {
    await put(server, "n", value);
    const error = await refusal(client.call(increment, { key: bytes("n") }), "NOT_A_NUMBER");
    assert.deepEqual([error.row.status, error.outcome], ["FAILED_PRECONDITION", "not-applied"]);
    assert.equal(await readBack(server, "n"), value);
  }
  await put(server, "n", "9223372036854775807");
  const error = await refusal(client.call(increment, { key: bytes("n") }), "NUMBER_OVERFLOW");
  assert.deepEqual([error.row.status, error.outcome], ["OUT_OF_RANGE", "not-applied"]);
  await put(server, "n", "-9223372036854775808");
  await refusal(client.call(increment, { key: bytes("n"), delta: -1n }), "NUMBER_OVERFLOW");
  const least = await client.call(increment, { key: bytes("n"), delta: 0n });
  assert.equal(least.value, -(2n ** 63n));
});

test("a Commit makes its changes together, and answers for each (G-COMMIT-1 G-COMMIT-3)", async (t) => {
  const server = await startMemoryServer(t);
  await put(server, "old", "1");
  await put(server, "t", "1");
  const answer = await server.client.call(commit, {
    conditions: [absent("new")],
    mutations: [
      setOf("new", "2", { expiry: { case: "ttl", value: { seconds: 5n } } }),
      deleteOf("old"),
      deleteOf("nothing"),
      touchOf("t", 9n),
      incrementOf("n", { delta: -3n }),
    ],
  });
  assert.deepEqual([answer.applied, answer.unmet, answer.repeated], [true, [], false]);
  const results = answer.results.map(({ version, expireTime, found, value }) => {
    const ms = expireTime && timestampMs(expireTime) - server.clock.nowMs;
    return [version, ms, found, value];
  });
  assert.deepEqual(results, [
    [3n, 5000, false, 0n],
    [4n, undefined, true, 0n],
    [0n, undefined, false, 0n],
    [5n, 9000, true, 0n],
    [6n, undefined, false, -3n],
  ]);
  assert.equal(answer.storeVersion, 6n);
  assert.equal(await readBack(server, "old"), undefined);
});

test("a Commit whose conditions do not hold answers with what stands (G-COMMIT-4)", async (t) => {
  const server = await startMemoryServer(t);
  await put(server, "a", "value of a");
  const answer = await server.client.call(commit, {
    conditions: [
      absent("b"),
      absent("a"),
      { key: bytes("c"), precondition: { condition: { case: "version", value: 3n } } },
    ],
    mutations: [setOf("b", "1")],
  });
  assert.deepEqual([answer.applied, answer.results], [false, []]);
  const [first, second] = answer.unmet;
  assert.deepEqual([first?.index, show(first?.current?.value)], [1, "value of a"]);
  assert.ok((first?.recordBytes ?? 0) > 0 && first?.valueOmitted === false);
  assert.deepEqual([second?.index, second?.current, second?.valueOmitted], [2, undefined, false]);
  assert.equal(await readBack(server, "b"), undefined);
});

test("a repeat by request_id is told as one, and another request under it is refused (G-REQID-1 G-REQID-2)", async (t) => {
  const server = await startMemoryServer(t);
  const { client } = server;
  const request: MessageInitShape<typeof CommitRequestSchema> = {
    mutations: [
      incrementOf("n"),
      setOf("a", "1", { expiry: { case: "ttl", value: { seconds: 5n } } }),
    ],
    requestId,
  };
  const first = await client.call(commit, request);
  server.clock.nowMs += 1000;
  await client.call(remove, { key: bytes("a") });
  const repeat = await client.call(commit, request);
  assert.deepEqual([first.repeated, repeat.repeated], [false, true]);
  assert.deepEqual(repeat.results, first.results);
  assert.equal(repeat.storeVersion, 3n);
  const other = client.call(commit, { ...request, mutations: [incrementOf("n")] });
  const error = await refusal(other, "REQUEST_ID_REUSED");
  assert.deepEqual([error.row.status, error.outcome], ["INVALID_ARGUMENT", "not-applied"]);
  const id = bytes("another request's name");
  const one = await client.call(increment, { key: bytes("n"), requestId: id });
  const again = await client.call(increment, { key: bytes("n"), requestId: id });
  assert.deepEqual(
    [one.value, again.value, again.repeated, again.version],
    [2n, 2n, true, one.version],
  );
});

test("a Commit that says nothing of a mutation or a condition, or is empty, is refused by path (G-COMMIT-6)", async (t) => {
  const { client, store } = await startMemoryServer(t);
  const wrong: [MessageInitShape<typeof CommitRequestSchema>, string][] = [
    [{ mutations: [deleteOf("a"), {}] }, "mutations[1].mutation"],
    [{ conditions: [absent("a"), { key: bytes("b") }] }, "conditions[1].precondition"],
    [{ conditions: [{ key: bytes("b"), precondition: {} }] }, "conditions[0].precondition"],
    [
      { mutations: [{ mutation: { case: "touch", value: { key: bytes("a") } } }] },
      "mutations[0].touch.expiry",
    ],
  ];
  for (const [request, field] of wrong)
    await refusal(client.call(commit, request), "FIELD_INVALID", field);
  assert.equal(store.version, 0);
});

test("a Commit of a record that no Get could answer is refused by path (G-COMMIT-6)", async (t) => {
  const { client } = await startMemoryServer(t, { messageBytesMax: 1_048_576 });
  const mutations = [setOf("a", "1"), setOf("b", "x".repeat(1_048_516))];
  const error = await refusal(client.call(commit, { mutations }), "RECORD_TOO_LARGE");
  assert.deepEqual([error.outcome, error.metadata["field"]], ["not-applied", "mutations[1].set"]);
});

test("the answers are those of the generated encoder", () => {
  const record = { payload: bytes("not decoded") };
  const listed = (more: Partial<ListedRecord>) =>
    ({
      key: bytes("k"),
      version: 7,
      expiresAtMs: 1500,
      recordBytes: 300,
      record,
      ...more,
    }) as never;
  const answers: CommitResult[] = [
    {
      applied: true,
      results: [
        { version: 5, expiresAtMs: 0, found: false, value: 0n },
        { version: 0, expiresAtMs: 0, found: true, value: -(2n ** 63n) },
        {
          version: 2 ** 48 - 1,
          expiresAtMs: 253_402_300_799_999,
          found: true,
          value: 2n ** 63n - 1n,
        },
      ],
      unmet: [],
      repeated: true,
    },
    {
      applied: false,
      results: [],
      unmet: [
        { index: 0, current: undefined },
        { index: 300, current: listed({ record: "too-large" }) },
        { index: 9999, current: listed({ record: "too-large", key: new Uint8Array(0) }) },
      ],
      repeated: false,
    },
    { applied: true, results: [], unmet: [], repeated: false },
  ];
  for (const answer of answers) {
    const encoded = encodeCommitAnswer(answer, 9);
    const message = fromBinary(CommitResponseSchema, encoded);
    assert.deepEqual(Buffer.from(toBinary(CommitResponseSchema, message)), Buffer.from(encoded));
    assert.equal(message.results.length, answer.results.length);
    for (const [index, { version, value, found }] of answer.results.entries()) {
      const { version: told, value: number, found: was } = message.results[index] as never;
      assert.deepEqual([told, number, was], [BigInt(version), value, found]);
    }
  }
  const [none, bare, marked] = fromBinary(
    CommitResponseSchema,
    encodeCommitAnswer(answers[1] as CommitResult, 9),
  ).unmet;
  assert.deepEqual([none?.current, none?.valueOmitted], [undefined, false]);
  assert.deepEqual(
    [show(bare?.current?.key), bare?.current?.version, bare?.recordBytes],
    ["k", 7n, 300],
  );
  assert.deepEqual([marked?.index, marked?.current, marked?.valueOmitted], [9999, undefined, true]);
  for (const value of [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    const encoded = encodeIncrementAnswer({ value, version: 3, expiresAtMs: 1, repeated: true }, 4);
    const message = fromBinary(IncrementResponseSchema, encoded);
    assert.deepEqual(Buffer.from(toBinary(IncrementResponseSchema, message)), Buffer.from(encoded));
    assert.deepEqual([message.value, message.version, message.storeVersion], [value, 3n, 4n]);
  }
});
