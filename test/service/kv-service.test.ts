/** KvService over the wire: every rpc, every field, every way to get one wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Durability, KvService, type SetRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, KEY_BYTES_MAX } from "../../src/base/limits.js";
import type { Store, WriteOptions } from "../../src/engine/store.js";
import { type MemoryServer, startMemoryServer } from "./memory-server.js";

const { get, exists, set, delete: remove } = KvService.method;
type SetFields = MessageInitShape<typeof SetRequestSchema>;

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const key = bytes("k");
const value = bytes("v");

/** What a call was refused with. */
async function refusal(call: Promise<unknown>): Promise<KvixError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof KvixError, String(error));
    return error;
  }
  assert.fail("the call was answered");
}

async function read(server: MemoryServer, name = key) {
  return (await server.client.call(get, { key: name })).record;
}

test("a Set is read back by Get and Exists as it was written", async (t) => {
  const server = await startMemoryServer(t);
  const written = await server.client.call(set, { key, value });
  assert.equal(written.applied, true);
  assert.equal(written.version, 1n);
  assert.equal(written.storeVersion, 1n);
  assert.equal(written.expireTime, undefined);
  const answer = await server.client.call(get, { key });
  assert.equal(answer.storeVersion, 1n);
  assert.deepEqual(Buffer.from(answer.record?.value ?? []), Buffer.from(value));
  assert.equal(answer.record?.version, 1n);
  assert.equal(timestampMs(answer.record.updateTime!), server.clock.nowMs);
  const facts = await server.client.call(exists, { key });
  assert.equal(facts.exists, true);
  assert.equal(facts.version, 1n);
  assert.equal(facts.recordBytes, (await server.store.get(key))?.payload.byteLength);
});

test("a miss is OK without a record, and Exists says so (absence is no error)", async (t) => {
  const { client } = await startMemoryServer(t);
  await client.call(set, { key: bytes("other"), value });
  const answer = await client.call(get, { key });
  assert.equal(answer.record, undefined);
  assert.equal(answer.storeVersion, 1n);
  const facts = await client.call(exists, { key });
  assert.deepEqual([facts.exists, facts.version, facts.recordBytes], [false, 0n, 0]);
});

test("keys and values are any bytes, the empty value included (I5, I6)", async (t) => {
  const server = await startMemoryServer(t);
  const keys = [
    new Uint8Array([0]),
    new Uint8Array([0xff, 0xfe]),
    bytes("__proto__"),
    bytes("constructor"),
    bytes("\u00e9"),
    bytes("e\u0301"),
    new Uint8Array(KEY_BYTES_MAX).fill(0x61),
  ];
  for (const [index, name] of keys.entries()) {
    const content = new Uint8Array(index).fill(index);
    await server.client.call(set, { key: name, value: content });
  }
  for (const [index, name] of keys.entries()) {
    const record = await read(server, name);
    assert.deepEqual(Buffer.from(record?.key ?? []), Buffer.from(name));
    assert.deepEqual(Buffer.from(record?.value ?? []), Buffer.alloc(index, index));
  }
});

test("a Delete removes once, and an absent key is no error", async (t) => {
  const { client } = await startMemoryServer(t);
  await client.call(set, { key, value });
  const first = await client.call(remove, { key });
  assert.deepEqual([first.applied, first.deleted, first.version], [true, true, 2n]);
  assert.equal(first.previous, undefined);
  const second = await client.call(remove, { key });
  assert.deepEqual([second.applied, second.deleted, second.version], [true, false, 0n]);
  assert.equal((await client.call(get, { key })).record, undefined);
});

test("return_previous answers with what was replaced or removed, and only when asked", async (t) => {
  const { client } = await startMemoryServer(t);
  const first = await client.call(set, { key, value, returnPrevious: true });
  assert.equal(first.previous, undefined);
  assert.equal(first.recordBytes, 0);
  const unasked = await client.call(set, { key, value: bytes("2") });
  assert.equal(unasked.previous, undefined);
  const second = await client.call(set, { key, value: bytes("3"), returnPrevious: true });
  assert.equal(second.previous?.version, 2n);
  assert.deepEqual(Buffer.from(second.previous.value), Buffer.from("2"));
  assert.equal(second.current, undefined);
  assert.equal(second.valueOmitted, false);
  const third = await client.call(remove, { key, returnPrevious: true });
  assert.equal(third.previous?.version, 3n);
  assert.deepEqual(Buffer.from(third.previous.value), Buffer.from("3"));
});

type Condition = NonNullable<NonNullable<SetFields["precondition"]>["condition"]>;
const absent: Condition = { case: "absent", value: true };
const present: Condition = { case: "present", value: true };
const version = (value: bigint): Condition => ({ case: "version", value });

for (const [name, condition, holdsWhenAbsent, holdsWhenPresent] of [
  ["absent", absent, true, false],
  ["present", present, false, true],
  ["this version", version(1n), false, true],
  ["another version", version(2n), false, false],
] as const) {
  test(`a precondition of ${name} decides Set and Delete, and an unmet one is an answer`, async (t) => {
    const { client } = await startMemoryServer(t);
    const precondition = { condition };
    const onAbsent = bytes("absent");
    const removedAbsent = await client.call(remove, { key: onAbsent, precondition });
    assert.equal(removedAbsent.applied, holdsWhenAbsent);
    assert.equal(removedAbsent.deleted, false);
    await client.call(set, { key, value });
    const overwritten = await client.call(set, { key, value: bytes("2"), precondition });
    assert.equal(overwritten.applied, holdsWhenPresent);
    assert.equal(overwritten.version === 0n, !holdsWhenPresent);
    assert.equal(overwritten.current?.version, holdsWhenPresent ? undefined : 1n);
    const written = await client.call(set, { key: onAbsent, value, precondition });
    assert.equal(written.applied, holdsWhenAbsent);
    assert.equal(written.current, undefined);
  });
}

test("a Delete under an unmet precondition removes nothing and answers with what stands", async (t) => {
  const { client } = await startMemoryServer(t);
  await client.call(set, { key, value });
  const precondition = { condition: version(9n) };
  const answer = await client.call(remove, { key, precondition });
  assert.deepEqual([answer.applied, answer.deleted, answer.version], [false, false, 0n]);
  assert.deepEqual(Buffer.from(answer.current?.value ?? []), Buffer.from(value));
  assert.equal(answer.current?.version, 1n);
});

test("a ttl hides the record from its instant on, not before (T1)", async (t) => {
  const server = await startMemoryServer(t);
  const ttl = { seconds: 1n, nanos: 1 };
  const answer = await server.client.call(set, { key, value, expiry: { case: "ttl", value: ttl } });
  const start = server.clock.nowMs;
  // One nanosecond more than a second is rounded up to a whole millisecond.
  assert.equal(timestampMs(answer.expireTime!), start + 1001);
  server.clock.nowMs = start + 1000;
  assert.equal(timestampMs((await read(server))!.expireTime!), start + 1001);
  assert.equal((await server.client.call(exists, { key })).exists, true);
  server.clock.nowMs = start + 1001;
  assert.equal(await read(server), undefined);
  assert.equal((await server.client.call(exists, { key })).exists, false);
  const precondition = { condition: absent };
  assert.equal((await server.client.call(set, { key, value, precondition })).applied, true);
});

test("an expire_time is an instant; one in the past is applied and invisible at once (T4)", async (t) => {
  const server = await startMemoryServer(t);
  for (const atMs of [server.clock.nowMs - 1, 0, -62_135_596_800_000]) {
    const expireTime = timestampFromMs(atMs);
    const expiry = { case: "expireTime" as const, value: expireTime };
    const past = await server.client.call(set, { key, value, expiry });
    assert.equal(past.applied, true);
    assert.notEqual(past.expireTime, undefined);
    assert.equal(await read(server), undefined);
  }
  const last = timestampFromMs(EXPIRES_AT_MS_MAX);
  await server.client.call(set, { key, value, expiry: { case: "expireTime", value: last } });
  assert.equal(timestampMs((await read(server))!.expireTime!), EXPIRES_AT_MS_MAX);
});

test("a Set without expiry clears the old one, keep_ttl keeps it (T2, T3)", async (t) => {
  const server = await startMemoryServer(t);
  const expiry = { case: "ttl", value: durationFromMs(5000) } as const;
  const keep = { case: "keepTtl", value: true } as const;
  await server.client.call(set, { key, value, expiry });
  const kept = await server.client.call(set, { key, value, expiry: keep });
  assert.equal(timestampMs(kept.expireTime!), server.clock.nowMs + 5000);
  assert.equal((await server.client.call(set, { key, value })).expireTime, undefined);
  await server.client.call(set, { key, value, expiry });
  await server.client.call(remove, { key });
  assert.equal((await server.client.call(set, { key, value, expiry: keep })).expireTime, undefined);
});

test("durability reaches the store as it was asked for", async (t) => {
  const seen: (string | undefined)[] = [];
  const { client } = await startMemoryServer(t, {
    wrap: (store) =>
      wrapWrites(store, (options) => {
        seen.push(options.durability);
      }),
  });
  for (const durability of [Durability.UNSPECIFIED, Durability.SYNC, Durability.BUFFERED]) {
    await client.call(set, { key, value, durability });
    await client.call(remove, { key, durability });
  }
  assert.deepEqual(seen, [undefined, undefined, "sync", "sync", "buffered", "buffered"]);
});

/** The store with a look at the options of every write. */
function wrapWrites(store: Store, look: (options: WriteOptions) => void): Store {
  return {
    get version() {
      return store.version;
    },
    get: (...args) => store.get(...args),
    watch: (...args) => store.watch(...args),
    exists: (...args) => store.exists(...args),
    set: async (name, content, expiry, options = {}) => {
      look(options);
      return store.set(name, content, expiry, options);
    },
    submitSet: (name, content, expiry, options, outcome) => {
      look(options);
      store.submitSet(name, content, expiry, options, outcome);
    },
    setRunBytesMax: store.setRunBytesMax,
    submitSets: (run, options, outcome) => {
      look(options);
      store.submitSets(run, options, outcome);
    },
    delete: async (name, options = {}) => {
      look(options);
      return store.delete(name, options);
    },
    touch: async (name, expiry, options = {}) => {
      look(options);
      return store.touch(name, expiry, options);
    },
    upload: (...args) => store.upload(...args),
    download: (...args) => store.download(...args),
    settings: store.settings,
    commit: (...args) => store.commit(...args),
    increment: (...args) => store.increment(...args),
    list: (...args) => store.list(...args),
    batchGet: (...args) => store.batchGet(...args),
    scan: (...args) => store.scan(...args),
    deleteRange: (...args) => store.deleteRange(...args),
    sync: () => store.sync(),
    compact: (...args) => store.compact(...args),
    segments: () => store.segments(),
    stats: () => store.stats(),
    close: () => store.close(),
  };
}

test("what the store refuses reaches the client as it is", async (t) => {
  const { client, store } = await startMemoryServer(t);
  await store.close();
  const error = await refusal(client.call(set, { key, value }));
  assert.equal(error.reason, "STORE_CLOSING");
  assert.equal(error.retry, "after-delay");
});

test("a defect in the store is INTERNAL_BUG with an id that is in the log, and nothing more (V12)", async (t) => {
  const { client, logLines } = await startMemoryServer(t, {
    wrap: (store) =>
      wrapWrites(store, () => {
        throw new TypeError("stumbled over secret-value");
      }),
  });
  const error = await refusal(client.call(set, { key, value: bytes("secret-value") }));
  assert.equal(error.reason, "INTERNAL_BUG");
  assert.equal(error.outcome, "unknown");
  assert.equal(logLines.length, 1);
  assert.ok(logLines[0]?.includes(String(error.metadata["bugId"])));
  assert.doesNotMatch(logLines.join() + error.message, /secret/);
});
