/** Single records, wherever the store is: get, set, exists, delete, touch. */
import assert from "node:assert/strict";
import { conforms, refusal } from "./suite.js";

conforms("a record is read as it was set, by text and by bytes (G-CLIENT-1)", async ({ store }) => {
  assert.equal(await store.get("greeting"), undefined);
  const set = await store.set("greeting", "hello");
  assert.equal(set.applied, true);
  const record = await store.get(new TextEncoder().encode("greeting"));
  assert.equal(record?.text(), "hello");
  assert.deepEqual(Buffer.from(record?.value ?? []), Buffer.from("hello"));
  assert.equal(record?.version, set.version);
  assert.equal(record?.expireTime, undefined);
  assert.ok(record?.updateTime instanceof Date);
  assert.ok(store.version >= set.version);
  const bytes = Uint8Array.of(0, 255, 128);
  await store.set(bytes, bytes);
  assert.deepEqual(Buffer.from((await store.get(bytes))?.value ?? []), Buffer.from(bytes));
  await store.set("empty", "");
  assert.equal((await store.get("empty"))?.value.length, 0);
});

conforms(
  "a condition that is not met is an answer, with the record that stands",
  async ({ store }) => {
    const first = await store.set("k", "1", { ifAbsent: true });
    const again = await store.set("k", "2", { ifAbsent: true });
    assert.equal(again.applied, false);
    assert.equal(again.version, 0);
    assert.equal(again.current?.text(), "1");
    const third = await store.set("k", "3", { ifVersion: first.version, returnPrevious: true });
    assert.equal(third.previous?.text(), "1");
    assert.equal(third.previous?.isValueOmitted, false);
    assert.equal((await store.delete("k", { ifVersion: first.version })).current?.text(), "3");
    assert.equal((await store.set("new", "x", { ifPresent: true })).applied, false);
    assert.equal(
      (await store.touch("k", { persist: true, ifVersion: first.version })).applied,
      false,
    );
  },
);

conforms("deleting tells whether there was a record, and what it was", async ({ store }) => {
  assert.deepEqual(await store.delete("k"), {
    applied: true,
    deleted: false,
    version: 0,
    previous: undefined,
    current: undefined,
  });
  await store.set("k", "v");
  assert.equal(await store.exists("k"), true);
  const deleted = await store.delete("k", { returnPrevious: true });
  assert.equal(deleted.deleted, true);
  assert.equal(deleted.previous?.text(), "v");
  assert.ok(deleted.version > 0);
  assert.equal(await store.exists("k"), false);
});

conforms(
  "a record expires when its time is up, and a touch moves that",
  async ({ store, advance }) => {
    const { expireTime } = await store.setX("a", "1", 1000);
    assert.deepEqual((await store.get("a"))?.expireTime, expireTime);
    await store.set("b", "1", { ttlMs: 1000 });
    const touched = await store.touch("b", { persist: true });
    assert.deepEqual([touched.applied, touched.found, touched.expireTime], [true, true, undefined]);
    await store.set("c", "1", { expireAt: expireTime });
    await store.set("c", "2", { keepTtl: true });
    await advance(999);
    assert.equal((await store.get("c"))?.text(), "2");
    await advance(1);
    assert.equal(await store.get("a"), undefined);
    assert.equal(await store.exists("c"), false);
    assert.equal((await store.get("b"))?.text(), "1");
    const missed = await store.touch("a", { ttlMs: 5 });
    assert.deepEqual([missed.applied, missed.found, missed.version], [true, false, 0]);
  },
);

conforms(
  "what is wrong is refused by the same reason, about the same field (G-CLIENT-2)",
  async ({ store }) => {
    await refusal(store.get(""), "KEY_EMPTY");
    await refusal(store.set("x".repeat(65_536), ""), "KEY_TOO_LARGE");
    const both = await refusal(store.set("k", "v", { ttlMs: 1, keepTtl: true }), "FIELD_INVALID");
    assert.equal(both.metadata["field"], "expiry");
    const conditions = { ifAbsent: true, ifPresent: true };
    const two = await refusal(store.delete("k", conditions), "FIELD_INVALID");
    assert.equal(two.metadata["field"], "precondition");
    const never = await refusal(store.touch("k", {}), "FIELD_INVALID");
    assert.equal(never.metadata["field"], "expiry");
    const past = await refusal(store.set("k", "v", { ttlMs: 0 }), "FIELD_INVALID");
    assert.equal(past.metadata["field"], "ttl");
    const version = await refusal(store.set("k", "v", { ifVersion: 0 }), "FIELD_INVALID");
    assert.equal(version.metadata["field"], "precondition.version");
    const late = await refusal(store.set("k", "v", { expireAt: 1e15 }), "FIELD_INVALID");
    assert.equal(late.metadata["field"], "expire_time");
    const nobody = await refusal(store.get(7 as unknown as string), "FIELD_INVALID");
    assert.equal(nobody.metadata["field"], "key");
    await store.set("bytes", Uint8Array.of(0xff));
    const record = await store.get("bytes");
    assert.throws(() => record?.text(), { reason: "NOT_TEXT" });
  },
);

conforms("a write whose signal is aborted is CANCELLED, and not applied", async ({ store }) => {
  const signal = AbortSignal.abort();
  const error = await refusal(store.set("k", "v", { signal }), "CANCELLED");
  assert.equal(error.outcome, "not-applied");
  assert.equal(await store.exists("k"), false);
});

conforms("concurrent calls are all answered, and each by its own answer", async ({ store }) => {
  const keys = Array.from({ length: 500 }, (_, at) => `key ${at}`);
  await Promise.all(keys.map((key) => store.set(key, key.repeat(3))));
  const records = await Promise.all(keys.map((key) => store.get(key)));
  assert.deepEqual(
    records.map((record) => record?.text()),
    keys.map((key) => key.repeat(3)),
  );
});

conforms("sync resolves to a version that covers every acknowledged write", async ({ store }) => {
  const { version } = await store.set("k", "v", { durability: "buffered" });
  assert.ok((await store.sync()) >= version);
});
