/** DeleteRange: what it removes and counts, beside others, on a full disk, and when it fails midway. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { KvixError } from "../../src/base/kvix-error.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import { RangeDeleter } from "../../src/engine/range-deleter.js";
import type { DeleteRangeOptions } from "../../src/engine/store-ranges.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text, watch } from "../support/store-rig.js";

const buffered = { durability: "buffered" } as const;
const MIB = 1024 * 1024;

const name = (at: number): string => `key ${String(at).padStart(5, "0")}`;

async function filled(count: number, options = {}): Promise<Rig> {
  const rig = await Rig.open({ segmentBytesMax: 64 * MIB, ...options });
  const keys = Array.from({ length: count }, (_, at) => bytes(name(at)));
  for (let at = 0; at < count; at += 5000) {
    const mutations = keys
      .slice(at, at + 5000)
      .map((key) => ({ kind: "set", key, value: bytes("v") }) as const);
    await rig.store.commit(mutations);
  }
  rig.trace.length = 0;
  return rig;
}

const keysLeft = async (rig: Rig): Promise<string[]> =>
  (await rig.store.list({ limit: 10_000, keysOnly: true })).records.map(({ key }) => text(key));

test("a prefix, bounds or all are removed and counted, and nothing else (G-DELRANGE-1)", async () => {
  const cases: readonly (readonly [DeleteRangeOptions, (at: number) => boolean])[] = [
    [{ prefix: bytes("key 0001") }, (at) => at >= 10 && at < 20],
    [{ start: bytes(name(20)), end: bytes(name(30)) }, (at) => at >= 20 && at < 30],
    [{ end: bytes(name(10)) }, (at) => at < 10],
    [{ start: bytes(name(90)) }, (at) => at >= 90],
    [{ all: true }, () => true],
    [{ prefix: bytes("x") }, () => false],
  ];
  for (const [options, isIn] of cases) {
    const rig = await filled(100);
    const all = Array.from({ length: 100 }, (_, at) => at);
    const count = all.filter(isIn).length;
    const version = rig.store.version;
    assert.deepEqual(await rig.store.deleteRange({ ...options, dryRun: true }), {
      count,
      more: false,
    });
    assert.equal(rig.store.version, version, "a dry run changes nothing");
    assert.deepEqual(await rig.store.deleteRange(options), { count, more: false });
    assert.deepEqual(await keysLeft(rig), all.filter((at) => !isIn(at)).map(name));
    assert.equal(rig.store.version, version + count);
    await rig.store.close();
  }
});

test("nothing named, and all beside a name, are refused, so that no slip empties a store (G-DELRANGE-2)", async () => {
  const rig = await filled(3);
  const wrong: DeleteRangeOptions[] = [
    {},
    { all: false },
    { prefix: new Uint8Array(0), start: new Uint8Array(0), end: new Uint8Array(0) },
    { all: true, prefix: bytes("k") },
    { all: true, start: bytes("k") },
    { all: true, end: bytes("k") },
    { prefix: bytes("a"), end: bytes("k") },
    { start: bytes("b"), end: bytes("a") },
    { all: true, limit: 0 },
    { all: true, limit: 10_001 },
  ];
  for (const options of wrong) {
    await rejects(rig.store.deleteRange(options), "FIELD_INVALID", "not-applied");
  }
  assert.equal((await keysLeft(rig)).length, 3);
  await rig.store.close();
  await rejects(rig.store.deleteRange({ all: true }), "STORE_CLOSING");
});

test("a call removes its limit of records, the first of the range, and says whether there are more (G-DELRANGE-3)", async () => {
  const rig = await filled(25);
  for (const dryRun of [true, false]) {
    for (const limit of [1, 9, 10]) {
      const before = await keysLeft(rig);
      const { count, more } = await rig.store.deleteRange({ all: true, limit, dryRun });
      assert.deepEqual([count, more], [limit, true]);
      assert.deepEqual(await keysLeft(rig), dryRun ? before : before.slice(limit));
    }
  }
  assert.deepEqual(await rig.store.deleteRange({ all: true, limit: 5 }), { count: 5, more: false });
  await rig.store.close();
});

test("what has expired is not counted, whether it was swept or not (G-DELRANGE-4, T1)", async () => {
  const rig = await filled(3);
  await rig.set("key x", "v", { expiry: { kind: "ttl", ttlMs: 10 } });
  rig.sim.clock.stepWall(3_600_000);
  assert.equal(rig.store.stats().keys, 4, "it was not swept");
  assert.deepEqual(await rig.store.deleteRange({ all: true, dryRun: true }), {
    count: 3,
    more: false,
  });
  assert.deepEqual(await rig.store.deleteRange({ all: true, limit: 3 }), { count: 3, more: false });
  await rig.store.close();
});

test("10,000 records are removed in a few syncs, and others write meanwhile (G-DELRANGE-5, V11)", async () => {
  const rig = await filled(10_001);
  const call = watch(rig.store.deleteRange({ all: true }));
  let writes = 0;
  let inFlight = 0;
  while (call.state === "pending") {
    await rig.set("other", String(writes));
    writes += 1;
    inFlight = Math.max(inFlight, rig.store.stats().inFlightBytes);
  }
  assert.ok(call.value?.count === 10_000 || call.value?.count === 9_999);
  assert.equal(call.value.more, true);
  assert.ok(writes > 2, `${writes} writes of others`);
  assert.ok(inFlight < 2 * MIB, `${inFlight} bytes in flight`);
  const syncs = rig.segmentOperations().filter((op) => op === "syncData").length;
  assert.ok(syncs < 100, `${syncs} syncs`);
  await rig.store.close();
});

test("a record that is written while the call goes on is removed if its Delete comes later, and stays if it came before (G-DELRANGE-6)", async () => {
  const rig = await filled(2);
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  // The walk does not see what is not published, but its Delete is judged behind it.
  const before = rig.set(name(0), "written before");
  const call = rig.store.deleteRange({ all: true });
  await rig.settle();
  const after = rig.set(name(1), "written after");
  gate.open();
  await Promise.all([before, after]);
  assert.deepEqual(await call, { count: 2, more: false });
  assert.deepEqual(await keysLeft(rig), [name(1)]);
  assert.equal(await rig.get(name(1)), "written after");
  await rig.store.close();
});

test("V14 D1: a SYNC call answers when all it removed, or found removed, is durable", async () => {
  const rig = await filled(2, { flushIntervalMs: 1000 });
  await rig.delete(name(0), buffered);
  await rig.delete(name(1), buffered);
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const call = watch(rig.store.deleteRange({ all: true, durability: "sync" }));
  await rig.settle();
  assert.equal(call.state, "pending", "it tells of deletes that a power cut could undo");
  gate.open();
  await rig.settle();
  assert.deepEqual(call.value, { count: 0, more: false });
  await rig.set("a", "1");
  await rig.store.deleteRange({ all: true, durability: "sync" });
  const again = await rig.powerCut();
  assert.deepEqual(await keysLeft(again), []);
  await again.store.close();
});

test("a full disk takes range deletes, and they make room (G-DELRANGE-7)", async () => {
  const rig = await filled(2000, { diskReserveBytes: 16 * MIB });
  const used = rig.sim.files.capacityBytes - rig.sim.files.freeBytes("/store");
  rig.sim.files.capacityBytes = used + 16 * MIB - 1;
  await rig.sim.clock.advance(300);
  await rejects(rig.set("new", "v"), "NO_SPACE");
  assert.deepEqual(await rig.store.deleteRange({ all: true }), { count: 2000, more: false });
  await rig.store.close();
});

test("a call that fails midway says that its outcome is unknown, and how many are removed for sure (G-DELRANGE-8)", async () => {
  const rig = await filled(5000);
  let writes = 0;
  rig.injector = ({ op, path }) => {
    if (op !== "write" || !segmentFiles.test(path)) return undefined;
    writes += 1;
    return writes === 3 ? { kind: "error", code: "EIO" } : undefined;
  };
  const error = await rejects(rig.store.deleteRange({ all: true }), "WRITE_FAILED", "unknown");
  const left = await keysLeft(rig);
  const removed = Number(error.metadata["removed"]);
  assert.ok(removed > 0 && removed < 5000);
  assert.equal(left.length, 5000 - removed);
  assert.equal(error.retry, "never");
  rig.injector = undefined;
  assert.equal((await rig.store.deleteRange({ all: true })).count, left.length);
  await rig.store.close();
});

test("a call that removed nothing says so: a latched store, a caller who gave up before (G-DELRANGE-8)", async () => {
  const rig = await filled(3);
  const controller = new AbortController();
  controller.abort();
  const { signal } = controller;
  await rejects(rig.store.deleteRange({ all: true, signal }), "CANCELLED", "not-applied");
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await rejects(rig.store.deleteRange({ all: true }), "SYNC_FAILED", "unknown");
  await rejects(rig.store.deleteRange({ all: true }), "STORE_READ_ONLY", "not-applied");
  assert.equal((await rig.store.deleteRange({ all: true, dryRun: true })).count, 3);
  await rig.store.close().catch(() => undefined);
});

test("a store that closes under a call is told of what was removed", async () => {
  const rig = await filled(9000);
  const call = rig.store.deleteRange({ all: true }).then(
    ({ count }) => count,
    (error: { outcome: string; metadata: { removed?: number } }) => {
      assert.equal(error.outcome, "unknown");
      return error.metadata.removed ?? 0;
    },
  );
  await rig.settle();
  await rig.store.close();
  const removed = await call;
  const again = await Rig.open(rig.options, rig.sim);
  assert.equal(again.store.stats().keys, 9000 - removed);
  await again.store.close();
});

test("every range delete leaves what a sorted map has, random keys, ranges and limits", async () => {
  const someKey = fc
    .uint8Array({ minLength: 1, maxLength: 3 })
    .map((key) => key.map((x) => x & 0x83));
  const bound = fc.oneof(fc.constant(undefined), someKey);
  const input = fc.record({
    keys: fc.array(someKey, { maxLength: 60 }),
    ranges: fc.array(
      fc.record({ start: bound, end: bound, limit: fc.integer({ min: 1, max: 20 }) }),
      { maxLength: 4 },
    ),
  });
  await fc.assert(
    fc.asyncProperty(input, async ({ keys, ranges }) => {
      const rig = await Rig.open({ segmentBytesMax: 2000 });
      const set = new Set(keys.map((key) => Buffer.from(key).toString("latin1")));
      for (const key of keys) await rig.store.set(key, key, { kind: "never" }, buffered);
      for (const { start, end, limit } of ranges) {
        const isOrdered = !start || !end || Buffer.compare(start, end) <= 0;
        const [low, high] = isOrdered ? [start, end] : [end, start];
        const isIn = (key: Buffer): boolean =>
          (!low || Buffer.compare(key, low) >= 0) && (!high || Buffer.compare(key, high) < 0);
        const inside = [...set].sort().filter((key) => isIn(Buffer.from(key, "latin1")));
        const isNamed = low !== undefined || high !== undefined;
        const options = { start: low, end: high, all: !isNamed, limit };
        const found = await rig.store.deleteRange({ ...options, durability: "buffered" });
        assert.deepEqual(found, {
          count: Math.min(limit, inside.length),
          more: inside.length > limit,
        });
        for (const key of inside.slice(0, limit)) set.delete(key);
      }
      const { records } = await rig.store.list({ keysOnly: true });
      assert.deepEqual(
        records.map(({ key }) => Buffer.from(key).toString("latin1")),
        [...set].sort(),
      );
      await rig.store.close();
    }),
    { numRuns: 80 },
  );
});

test("a range of which one Delete is uncertain is uncertain, whatever failed first", async () => {
  const rig = await Rig.open();
  for (const key of ["a", "b"]) await rig.set(key, "1");
  const errors = [
    new KvixError("WRITE_FAILED", "", { outcome: "not-applied" }),
    new KvixError("SYNC_FAILED", "", { outcome: "unknown" }),
  ];
  for (const [first, second, outcome] of [
    [errors[0], errors[1], "unknown"],
    [errors[0], errors[0], "not-applied"],
  ] as const) {
    const results = [first, second];
    const keydir = new Keydir({ seed: new Uint8Array(16) });
    for (const [index, key] of ["a", "b"].entries()) {
      keydir.put(bytes(key), 0, 1, 0, index * 100, 100, 0, index + 1);
    }
    const deleter = new RangeDeleter({
      keydir,
      clock: rig.sim.clock,
      // Both are under way before the first has failed.
      remove: () => {
        const error = results.shift();
        return new Promise((_, reject) => setImmediate(() => reject(error)));
      },
      settle: async () => undefined,
    });
    await rejects(deleter.deleteRange({ all: true }), "WRITE_FAILED", outcome);
  }
});
