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
