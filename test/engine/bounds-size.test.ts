/** Keys, values and the index at their limits. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { KvixError } from "../../src/base/kvix-error.js";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../../src/base/limits.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import type { StoredRecord } from "../../src/engine/store.js";
import { bytes, Rig, rejects } from "../support/store-rig.js";

const never = { kind: "never" } as const;
const same = (one: Uint8Array | undefined, other: Uint8Array): boolean =>
  one !== undefined && Buffer.compare(one, other) === 0;

test("I5: keys are bytes, compared exactly, from one byte to the limit", async () => {
  const rig = await Rig.open({ segmentBytesMax: 4096 });
  const keys = [
    Uint8Array.of(0),
    Uint8Array.of(0, 0),
    Uint8Array.of(0xff),
    Uint8Array.of(0xff, 0xfe, 0x80),
    Uint8Array.of(0xc3, 0x28),
    bytes("a"),
    bytes("A"),
    bytes("a "),
    bytes("é"),
    bytes("e\u0301"),
    ...[127, 128, 16_383, 16_384, KEY_BYTES_MAX].map((length) => new Uint8Array(length).fill(7)),
  ];
  for (const [index, key] of keys.entries()) {
    await rig.store.set(key, Uint8Array.of(index), never);
  }
  const look = async (at: Rig): Promise<void> => {
    assert.equal(at.store.stats().keys, keys.length);
    for (const [index, key] of keys.entries()) {
      const record = await at.store.get(key);
      assert.ok(same(record?.value, Uint8Array.of(index)), `key ${index}`);
    }
    assert.equal(await at.store.get(bytes("b")), undefined);
  };
  await look(rig);
  const next = await rig.reopened();
  await look(next);
  const killed = await next.killed();
  await look(killed);
  assert.equal((await killed.store.delete(Uint8Array.of(0))).deleted, true);
  assert.ok(same((await killed.store.get(Uint8Array.of(0, 0)))?.value, Uint8Array.of(1)));
  await killed.store.close();
});

test("I5: an empty key and one byte too many are refused by every call", async () => {
  const rig = await Rig.open();
  for (const [key, reason] of [
    [new Uint8Array(0), "KEY_EMPTY"],
    [new Uint8Array(KEY_BYTES_MAX + 1), "KEY_TOO_LARGE"],
  ] as const) {
    const value = bytes("1");
    await rejects((async () => rig.store.get(key))(), reason);
    await rejects(rig.store.set(key, value, never), reason, "not-applied");
    await rejects(rig.store.delete(key), reason, "not-applied");
    await rejects(rig.store.commit([{ kind: "set", key, value }]), reason, "not-applied");
    assert.throws(
      () => rig.store.exists(key),
      (error: KvixError) => error.reason === reason,
    );
  }
  assert.equal(rig.store.version, 0);
  assert.deepEqual(rig.segmentOperations(), []);
  await rig.store.close();
});

test("I6: values are bytes: empty, larger than a segment, or equal to a record's own encoding", async () => {
  const rig = await Rig.open({ segmentBytesMax: 600 });
  await rig.set("a", "1");
  const encoded = ((await rig.store.get(bytes("a"))) as StoredRecord).payload;
  const values: readonly Uint8Array[] = [
    new Uint8Array(0),
    new Uint8Array(encoded),
    new Uint8Array(599),
    new Uint8Array(600).fill(1),
    new Uint8Array(5000).fill(2),
    new Uint8Array(300_000).fill(3),
    Uint8Array.of(0),
  ];
  for (const [index, value] of values.entries()) {
    await rig.store.set(bytes(`value-${index}`), value, never);
  }
  const look = async (at: Rig): Promise<void> => {
    for (const [index, value] of values.entries()) {
      const record = await at.store.get(bytes(`value-${index}`));
      assert.ok(same(record?.value, value), `value ${index}`);
    }
  };
  await look(rig);
  const frames = await rig.frames();
  for (const large of frames.filter(({ length }) => length > 600)) {
    const beside = frames.filter(({ segment }) => segment === large.segment);
    assert.equal(beside.length, 1, "a frame above the limit has a segment of its own");
    assert.equal(large.offset, 0);
  }
  assert.ok(frames.filter(({ length }) => length > 600).length >= 4);
  const next = await rig.reopened();
  await look(next);
  await next.store.close();
});

test("I6: however many are written together, no segment outgrows its limit but by a frame of its own", async () => {
  const rig = await Rig.open({ segmentBytesMax: 600 });
  const sizes = Array.from({ length: 120 }, (_, index) => (index % 17 === 0 ? 900 : index * 4));
  await Promise.all(sizes.map((size, index) => rig.set(`key-${index}`, "x".repeat(size))));
  const frames = await rig.frames();
  assert.equal(frames.length, sizes.length);
  for (const segment of new Set(frames.map((frame) => frame.segment))) {
    const within = frames.filter((frame) => frame.segment === segment);
    const length = within.reduce((sum, frame) => sum + frame.length, 0);
    assert.ok(length <= 600 || within.length === 1, `${within.length} frames, ${length} bytes`);
  }
  await rig.store.close();
});

test("I6: a value of 100 MiB is stored, and one byte more is refused before anything is written", async () => {
  const rig = await Rig.open({ segmentBytesMax: 1 << 20 });
  const value = new Uint8Array(VALUE_BYTES_MAX + 1);
  await rejects(rig.store.set(bytes("a"), value, never), "VALUE_TOO_LARGE", "not-applied");
  const mutation = { kind: "set", key: bytes("a"), value } as const;
  await rejects(rig.store.commit([mutation]), "VALUE_TOO_LARGE", "not-applied");
  assert.deepEqual(rig.segmentOperations(), []);
  const largest = value.subarray(1);
  largest[0] = 1;
  largest[largest.length - 1] = 2;
  await rig.store.set(bytes("a"), largest, never);
  const record = await rig.store.get(bytes("a"));
  assert.ok(same(record?.value, largest));
  await rig.store.close();
});

test("I8: at the index limit new keys are refused; overwrites, deletes and the sweep go on", async () => {
  const indexBytesMax = indexBytesOf(3000) + 1024 * 1024;
  const rig = await Rig.open({ indexBytesMax, segmentBytesMax: 1 << 20 });
  const options = { durability: "buffered", expiry: { kind: "ttl", ttlMs: 10_000 } } as const;
  let count = 0;
  for (; count < 50_000; count += 1) {
    const error = await rig.set(`key-${count}`, "1", options).then(
      () => undefined,
      (thrown: KvixError) => thrown,
    );
    if (error === undefined) continue;
    assert.deepEqual([error.reason, error.outcome], ["INDEX_FULL", "not-applied"]);
    assert.equal(error.metadata["limit_bytes"], indexBytesMax);
    break;
  }
  assert.ok(count > 1000 && count < 50_000, `${count} keys`);
  assert.ok(rig.store.stats().indexBytes <= indexBytesMax);
  await rig.set("key-0", "2", options);
  const overwrite = { kind: "set", key: bytes("key-1"), value: bytes("2") } as const;
  // As long as the key that was refused: a shorter one may still find a cell of its size.
  const freshKey = `new-${count}`;
  const fresh = { kind: "set", key: bytes(freshKey), value: bytes("2") } as const;
  await rig.store.commit([overwrite]);
  await rejects(rig.store.commit([overwrite, fresh]), "INDEX_FULL", "not-applied");
  assert.equal((await rig.delete("key-2")).deleted, true);
  await rig.sim.clock.advance(15_000);
  assert.equal(rig.store.stats().keys, 1, "the sweep went on");
  await rig.set(freshKey, "1");
  await rig.store.close();
});

/** What an index of so many keys takes. */
function indexBytesOf(count: number): number {
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  for (let index = 0; index < count; index += 1) {
    const key = bytes(`key-${index}`);
    keydir.put(key, 0, key.length, 0, 0, 100, 0, index + 1);
  }
  return keydir.bytes;
}

test("I8 V11: keys that are pending count against the index limit, each for what it takes", async () => {
  const indexBytesMax = indexBytesOf(20_000) * 2 - 256 * 1024;
  const rig = await Rig.open({
    indexBytesMax,
    segmentBytesMax: 1 << 26,
    inFlightBytesMax: 1 << 28,
  });
  const size = 60_000;
  const writes = Array.from({ length: size }, (_, index) => rig.set(`key-${index}`, "1"));
  const outcomes = await Promise.allSettled(writes);
  const taken = outcomes.filter(({ status }) => status === "fulfilled").length;
  const { keys, indexBytes } = rig.store.stats();
  assert.equal(keys, taken);
  assert.ok(indexBytes <= indexBytesMax, `${indexBytes} bytes of ${indexBytesMax}`);
  assert.ok(taken < size, "the limit was reached");
  assert.ok(taken >= 10_000, `only ${taken} keys were taken where more than 20,000 fit`);
  await rig.store.close();
});
