/** Many records, wherever the store is: lists and their pages. */
import assert from "node:assert/strict";
import { all, conforms, refusal } from "./suite.js";

conforms(
  "a list gives a range in key order, forth and back, page by page (G-CLIENT-1)",
  async ({ store }) => {
    for (const key of ["b/2", "a/1", "b/1", "c/1", "b/3"]) await store.set(key, `value of ${key}`);
    const names = async (options: Parameters<typeof store.list>[0]) =>
      (await all(store.list(options))).map((record) => record.keyText());
    assert.deepEqual(await names({ prefix: "b/" }), ["b/1", "b/2", "b/3"]);
    assert.deepEqual(await names({ start: "b/2", reverse: true, pageSize: 1 }), [
      "c/1",
      "b/3",
      "b/2",
    ]);
    assert.deepEqual(await names({ end: "b/2", pageSize: 1 }), ["a/1", "b/1"]);
    assert.deepEqual(await names({ prefix: "nothing" }), []);
    const page = await store.listPage({ prefix: "b/", pageSize: 2 });
    assert.equal(page.records.length, 2);
    assert.ok(page.version >= 5);
    const next = await store.listPage({ prefix: "b/", pageSize: 2 }, page.after);
    assert.deepEqual(
      next.records.map((record) => record.record?.text()),
      ["value of b/3"],
    );
    assert.equal(next.after, undefined);
  },
);

conforms("a list without values tells of keys, versions, expiries and sizes", async ({ store }) => {
  const { version, expireTime } = await store.set("k", "x".repeat(100), { ttlMs: 60_000 });
  const [listed] = await all(store.list({ keysOnly: true }));
  assert.equal(listed?.omission, "keys-only");
  assert.equal(listed?.record, undefined);
  assert.equal(listed?.version, version);
  assert.deepEqual(listed?.expireTime, expireTime);
  assert.ok((listed?.recordBytes ?? 0) > 100);
});

conforms("a range that is none is refused by field", async ({ store }) => {
  const error = await refusal(store.listPage({ prefix: "a", start: "b" }), "FIELD_INVALID");
  assert.equal(error.metadata["field"], "prefix");
});

conforms(
  "several keys are read at one point in time, in the order in which they are named (G-CLIENT-1)",
  async ({ store }) => {
    await store.set("a", "1");
    const { version } = await store.set("b", "2", { ttlMs: 60_000 });
    const { entries, version: seen } = await store.batchGet(["b", "nothing", "a", "b"]);
    assert.ok(seen >= version);
    const told = entries.map((entry) => (typeof entry === "object" ? entry.record?.text() : entry));
    assert.deepEqual(told, ["2", undefined, "1", "2"]);
    const bare = await store.batchGet(["b"], { keysOnly: true });
    const [entry] = bare.entries;
    assert.ok(typeof entry === "object");
    assert.equal(entry.omission, "keys-only");
    assert.equal(entry.keyText(), "b");
    assert.equal(entry.version, version);
    await refusal(store.batchGet([]), "FIELD_INVALID");
  },
);

conforms(
  "an answer of several keys ends where it is full, and says what is unread",
  async ({ store }) => {
    const keys = Array.from({ length: 6 }, (_, at) => `key ${at}`);
    for (const key of keys) await store.set(key, new Uint8Array(1_000_000));
    const { entries } = await store.batchGet(keys);
    assert.equal(entries.length, 6);
    assert.equal(entries[5], "unread");
    const unread = keys.filter((_, at) => entries[at] === "unread");
    const rest = await store.batchGet(unread);
    assert.ok(rest.entries.every((entry) => typeof entry === "object"));
  },
);

conforms(
  "a scan shows one point in time, whatever is written meanwhile (G-CLIENT-1)",
  async ({ store }) => {
    for (const key of ["a", "b", "c", "d"]) await store.set(key, "old");
    const scan = store.scan({ start: "b" });
    const first = await scan.next();
    assert.equal(first.value?.keyText(), "b");
    await store.set("c", "new");
    await store.delete("d");
    await store.set("e", "new");
    const rest = await all(scan);
    assert.deepEqual(
      rest.map((record) => [record.keyText(), record.record?.text()]),
      [
        ["c", "old"],
        ["d", "old"],
      ],
    );
    assert.ok(scan.version > 0 && scan.version < store.version);
    assert.equal(scan.resumptions, 0);
    const back = await all(store.scan({ reverse: true, limit: 2, keysOnly: true }));
    assert.deepEqual(
      back.map((record) => record.keyText()),
      ["e", "c"],
    );
  },
);

conforms("a scan that is left, or whose signal is aborted, ends", async ({ store }) => {
  for (let at = 0; at < 10; at += 1) await store.set(`key ${at}`, "v");
  for await (const record of store.scan()) {
    assert.equal(record.keyText(), "key 0");
    break;
  }
  const signal = AbortSignal.abort();
  await refusal(all(store.scan({ signal })), "CANCELLED");
});

conforms("a range is removed, or only counted, as far as the limit goes", async ({ store }) => {
  for (const key of ["a/1", "a/2", "a/3", "b/1"]) await store.set(key, "v");
  assert.deepEqual(await store.deleteRange({ prefix: "a/", dryRun: true }), {
    count: 3,
    more: false,
  });
  assert.deepEqual(await store.deleteRange({ prefix: "a/", limit: 2 }), { count: 2, more: true });
  assert.deepEqual(await store.deleteRange({ prefix: "a/" }), { count: 1, more: false });
  await refusal(store.deleteRange({}), "FIELD_INVALID");
  assert.deepEqual(await store.deleteRange({ all: true }), { count: 1, more: false });
  assert.deepEqual(await all(store.list()), []);
});
