/** The embedded door: touch, list, sync, segments and compact, with keys as text and as bytes. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  type CompactionProgress,
  Kvix,
  KvixError,
  type ListedRecord,
  type TouchOptions,
} from "../../src/index.js";
import { compacting, FakeRun } from "../support/compaction-run.js";
import { Rig } from "../support/store-rig.js";

async function opened(t: TestContext): Promise<{ kvix: Kvix; rig: Rig }> {
  const rig = await Rig.open();
  const kvix = new Kvix(rig.store);
  t.after(() => kvix.close());
  return { kvix, rig };
}

async function listed(records: AsyncIterable<ListedRecord>): Promise<ListedRecord[]> {
  const found: ListedRecord[] = [];
  for await (const record of records) found.push(record);
  return found;
}

const names = (records: readonly ListedRecord[]) => records.map((record) => record.keyText());

test("touch takes a ttl, an instant or persist, and a key as text or bytes", async (t) => {
  const { kvix, rig } = await opened(t);
  await kvix.set("k", "value");
  const nowMs = rig.sim.clock.wallMs();
  const bytes = Buffer.from("k");
  const cases: readonly (readonly [TouchOptions, number | undefined])[] = [
    [{ ttlMs: 1000 }, nowMs + 1000],
    [{ expireAt: nowMs + 5 }, nowMs + 5],
    [{ expireAt: new Date(nowMs + 7) }, nowMs + 7],
    [{ persist: true, durability: "buffered" }, undefined],
  ];
  for (const [options, expected] of cases) {
    for (const key of ["k", bytes]) {
      const { applied, found, version, expireTime, current } = await kvix.touch(key, options);
      assert.deepEqual([applied, found, current], [true, true, undefined]);
      assert.equal(expireTime?.getTime(), expected);
      const record = await kvix.get(key);
      assert.deepEqual([record?.text(), record?.version], ["value", version]);
      assert.equal(record?.expireTime?.getTime(), expected);
    }
  }
  assert.equal((await kvix.touch("other", { persist: true })).found, false);
  const unmet = await kvix.touch("k", { persist: true, ifVersion: 1 });
  assert.deepEqual([unmet.applied, unmet.current?.text()], [false, "value"]);
});

test("touch wants exactly one expiry and at most one condition", async (t) => {
  const { kvix } = await opened(t);
  await kvix.set("k", "value");
  const wrong: readonly (readonly [TouchOptions, string])[] = [
    [{}, "expiry"],
    [{ persist: false }, "expiry"],
    [{ ttlMs: 1, persist: true }, "expiry"],
    [{ ttlMs: 1, expireAt: 2 }, "expiry"],
    [{ ttlMs: 0 }, "ttl"],
    [{ persist: true, ifAbsent: true, ifPresent: true }, "precondition"],
  ];
  for (const [options, field] of wrong) {
    await assert.rejects(kvix.touch("k", options), (error: unknown) => {
      assert.ok(error instanceof KvixError);
      return error.reason === "FIELD_INVALID" && error.metadata["field"] === field;
    });
  }
  assert.equal(kvix.version, 1);
});

test("list goes over all pages of a prefix or a range, up and down", async (t) => {
  const { kvix } = await opened(t);
  const keys = Array.from({ length: 23 }, (_, index) => `user/${String(index).padStart(2, "0")}`);
  for (const key of [...keys, "a", "z"]) await kvix.set(key, `value of ${key}`);
  assert.deepEqual(names(await listed(kvix.list())), ["a", ...keys, "z"]);
  for (const pageSize of [1, 5, 23, 24]) {
    const up = await listed(kvix.list({ prefix: "user/", pageSize }));
    assert.deepEqual(names(up), keys);
    assert.ok(up.every((each) => each.record?.text() === `value of ${each.keyText()}`));
    const down = await listed(kvix.list({ prefix: Buffer.from("user/"), pageSize, reverse: true }));
    assert.deepEqual(names(down), keys.toReversed());
  }
  const range = await listed(kvix.list({ start: "user/20", end: "z", keysOnly: true }));
  assert.deepEqual(names(range), keys.slice(20));
  for (const each of range) {
    assert.deepEqual([each.record, each.omission], [undefined, "keys-only"]);
    const record = await kvix.get(each.key);
    assert.deepEqual([each.version, each.expireTime], [record?.version, undefined]);
    assert.ok(each.recordBytes > 20);
  }
});

test("a list that is left early, or whose signal aborts, asks for no further page", async (t) => {
  const { kvix, rig } = await opened(t);
  for (const key of ["a", "b", "c", "d"]) await kvix.set(key, "1");
  const pages = t.mock.method(rig.store, "list");
  for await (const record of kvix.list({ pageSize: 2 })) {
    if (record.keyText() === "b") break;
  }
  assert.equal(pages.mock.callCount(), 1);
  const caller = new AbortController();
  const seen: string[] = [];
  const listing = (async () => {
    for await (const record of kvix.list({ pageSize: 2, signal: caller.signal })) {
      seen.push(record.keyText());
      caller.abort();
    }
  })();
  await assert.rejects(listing, { reason: "CANCELLED" });
  assert.deepEqual(seen, ["a", "b"]);
});

test("listPage gives one page and where the next begins; what is no text is told apart", async (t) => {
  const { kvix } = await opened(t);
  await kvix.set("a", "1");
  await kvix.set(Uint8Array.of(0xff), Uint8Array.of(0xfe));
  const first = await kvix.listPage({ pageSize: 1 });
  assert.deepEqual(names(first.records), ["a"]);
  assert.equal(first.version, 2);
  const second = await kvix.listPage({ pageSize: 1 }, first.after);
  assert.equal(second.after, undefined);
  const [record] = second.records;
  assert.throws(() => record?.keyText(), { reason: "NOT_TEXT" });
  assert.throws(() => record?.record?.text(), { reason: "NOT_TEXT" });
  assert.deepEqual([...(record?.key ?? [])], [0xff]);
  await assert.rejects(kvix.listPage({ pageSize: 0 }), { reason: "FIELD_INVALID" });
  await assert.rejects(kvix.listPage({ prefix: "a", end: "b" }), { reason: "FIELD_INVALID" });
});

test("sync makes all that was acknowledged durable, and segments names the files", async () => {
  // A power cut ends the process, so nothing is closed.
  const rig = await Rig.open();
  const kvix = new Kvix(rig.store);
  assert.deepEqual(kvix.segments(), []);
  await kvix.set("a", "1", { durability: "buffered" });
  assert.equal(await kvix.sync(), 1);
  const [segment, ...others] = kvix.segments();
  assert.deepEqual(others, []);
  assert.deepEqual([segment?.role, segment?.isDamaged], ["active", false]);
  assert.equal(segment?.bytes, kvix.stats().bytesAppended);
  const next = await rig.powerCut();
  assert.equal(await next.get("a"), "1");
  await next.store.close();
});

test("compact tells how far it is and how it ended; options of compaction pass through", async (t) => {
  const rig = await Rig.open({ compaction: "manual", compactionWindow: "22-6" });
  const kvix = new Kvix(rig.store);
  t.after(() => kvix.close());
  const told: CompactionProgress[] = [];
  for await (const progress of kvix.compact()) told.push(progress);
  assert.deepEqual([told.at(-1)?.phase, told.at(-1)?.outcome], ["done", "nothing-to-do"]);
  assert.equal(kvix.stats().compaction.nextAtMs, 0, "it does not begin by itself");
});

test("M13: compact is cancelled by its signal, and by leaving the loop", async (t) => {
  const { rig } = await opened(t);
  for (const way of ["signal", "loop"]) {
    const run = new FakeRun();
    const kvix = new Kvix(compacting(rig.store, (options) => run.compact(options)));
    const caller = new AbortController();
    for await (const { phase } of kvix.compact({ signal: caller.signal })) {
      assert.equal(phase, "preparing");
      if (way === "loop") break;
      caller.abort();
    }
    assert.equal(run.outcome, "cancelled", way);
  }
});
