/** A sync that fails: the store stops writing, says what it does not know, and goes on reading. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Versions } from "../../src/engine/versions.js";
import type { OperationFacts } from "../support/file-operation.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Gate, Rig, rejects, segmentFiles, watch } from "../support/store-rig.js";
import { uploadTo } from "../support/transfers.js";

/** Whether an operation belongs to a hint. */
const isHint = ({ path }: OperationFacts): boolean => /\.hint(\.tmp)?$/.test(path);

test("D3 V10: a failed sync of the log latches the store", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  await rig.set("b", "buffered", { durability: "buffered" });
  const gate = new Gate();
  let syncs = 0;
  rig.sim.files.onOperation = ({ op, path }) => {
    if (op !== "syncData" || !segmentFiles.test(path)) return undefined;
    syncs += 1;
    return "fail";
  };
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const group = [rig.set("c", "1"), rig.set("a", "2"), rig.delete("a")];
  const outcomes = group.map((write) => rejects(write, "SYNC_FAILED", "unknown"));
  await rig.settle();
  const queued = rejects(rig.set("d", "1"), "STORE_READ_ONLY", "not-applied");
  const asked = rejects(
    rig.set("a", "3", { condition: { kind: "absent" } }),
    "STORE_READ_ONLY",
    "not-applied",
  );
  gate.open();
  await Promise.all([...outcomes, queued, asked]);
  rig.sim.files.onOperation = undefined;

  await rejects(rig.set("e", "1"), "STORE_READ_ONLY", "not-applied");
  await rejects(rig.delete("a", { durability: "buffered" }), "STORE_READ_ONLY", "not-applied");
  assert.deepEqual(await rig.values("a", "b", "c", "d"), { a: "1", b: "buffered" });
  const { condition, inFlightBytes } = rig.store.stats();
  assert.ok(condition.latched);
  assert.match(condition.reasons.join(), /sync/);
  assert.equal(inFlightBytes, 0);
  await rig.sim.clock.advance(10_000);
  assert.equal(syncs, 1, "a failed sync is not tried again");
  await rejects(rig.store.close(), "SYNC_FAILED", "unknown");
  assert.equal(syncs, 1);
});

test("D3 V8: after a failed sync a restart serves a state that may be, and writes again", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  rig.sim.files.onOperation = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? "fail" : undefined;
  await rejects(rig.set("b", "1"), "SYNC_FAILED", "unknown");
  rig.sim.files.onOperation = undefined;
  await rejects(rig.store.close(), "SYNC_FAILED");
  // The page cache still shows what the disk has lost: it must be written again to be served.
  const again = await Rig.open(rig.options, rig.sim);
  assert.deepEqual(await again.values("a", "b"), { a: "1", b: "1" });
  assert.ok(again.store.stats().open.bytesWrittenAgain > 0);
  const cut = await again.powerCut();
  assert.deepEqual(await cut.values("a", "b"), { a: "1", b: "1" });
  await cut.set("c", "1");
  await cut.store.close();
});

test("D3 V8: after a failed sync of an upload a restart writes all of it again (G-UP-2)", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const value = new SimRandom(4).bytes(5 * 1024 * 1024);
  rig.sim.files.onOperation = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? "fail" : undefined;
  await rejects(uploadTo(rig.store, bytes("b"), value), "SYNC_FAILED", "unknown");
  rig.sim.files.onOperation = undefined;
  await rejects(rig.store.close(), "SYNC_FAILED");
  const again = await Rig.open(rig.options, rig.sim);
  assert.ok(again.store.stats().open.bytesWrittenAgain > value.length);
  const cut = await again.powerCut();
  assert.equal(await cut.get("a"), "1");
  const record = await cut.store.get(bytes("b"));
  assert.ok(record !== undefined && Buffer.from(record.value).equals(value));
  await cut.store.close();
});

test("D3 V10: a failed sync that nobody waits for latches as well", async () => {
  const rig = await Rig.open({ flushIntervalMs: 50 });
  await rig.set("a", "1");
  await rig.set("b", "1", { durability: "buffered" });
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await rig.sim.clock.advance(60);
  await rejects(rig.set("c", "1"), "STORE_READ_ONLY");
  assert.equal(await rig.get("b"), "1");
  await rejects(rig.store.flush(), "SYNC_FAILED");
  await rejects(rig.store.close(), "SYNC_FAILED");
});

test("D3 V10: a failed sync of directory or manifest latches; the writes behind it are not applied", async () => {
  const steps: readonly [string, (operation: OperationFacts) => boolean][] = [
    ["the segment directory", ({ op, path }) => op === "syncDirectory" && /segments$/.test(path)],
    ["the manifest", ({ op, path }) => op === "syncData" && /MANIFEST\.tmp$/.test(path)],
    ["the manifest's name", ({ op, target }) => op === "rename" && /MANIFEST$/.test(target ?? "")],
    ["the data directory", ({ op, path }) => op === "syncDirectory" && /store$/.test(path)],
  ];
  for (const [what, isIt] of steps) {
    for (const isRollover of [false, true]) {
      const where = `${what}, ${isRollover ? "at a rollover" : "at the first write"}`;
      const rig = await Rig.open({ segmentBytesMax: 200 });
      if (isRollover) await rig.set("a", "x".repeat(100));
      rig.injector = (operation) =>
        isIt(operation) && !isHint(operation) ? { kind: "error", code: "EIO" } : undefined;
      await Promise.all([
        rejects(rig.set("b", "y".repeat(100)), "STORE_READ_ONLY", "not-applied"),
        rejects(rig.set("c", "1"), "STORE_READ_ONLY", "not-applied"),
      ]);
      rig.injector = undefined;
      await rejects(rig.set("d", "1"), "STORE_READ_ONLY");
      assert.ok(rig.store.stats().condition.latched, where);
      const wanted = isRollover ? { a: "x".repeat(100) } : {};
      assert.deepEqual(await rig.values("a", "b", "c", "d"), wanted, where);
      await rejects(rig.store.close(), "SYNC_FAILED");
      const next = await rig.powerCut();
      assert.deepEqual(await next.values("a", "b", "c", "d"), wanted, where);
      await next.set("e", "1");
      await next.store.close();
    }
  }
});

test("D6: a manifest that cannot be begun fails its write alone, and the next one is taken", async () => {
  const rig = await Rig.open({ segmentBytesMax: 200 });
  rig.injector = ({ op, path }) =>
    op === "write" && /MANIFEST\.tmp$/.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await rejects(rig.set("a", "1"), "WRITE_FAILED", "not-applied");
  rig.injector = undefined;
  await rig.set("a", "x".repeat(100));
  rig.injector = ({ op, path }) =>
    op === "create" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await rejects(rig.set("b", "y".repeat(100)), "WRITE_FAILED", "not-applied");
  rig.injector = undefined;
  await rig.set("b", "z");
  assert.deepEqual(await rig.values("a", "b"), { a: "x".repeat(100), b: "z" });
  await rig.store.close();
});

test("D3: a hint that fails costs the hint and nothing else", async () => {
  for (const failing of ["create", "write", "syncData", "rename"]) {
    const rig = await Rig.open({ segmentBytesMax: 200 });
    let hintsBegun = 0;
    rig.injector = (operation) => {
      if (operation.op === "create" && isHint(operation)) hintsBegun += 1;
      const isTheirs = operation.op === failing && isHint(operation);
      return isTheirs ? { kind: "error", code: "EIO" } : undefined;
    };
    await rig.set("a", "x".repeat(100));
    await rig.set("b", "y".repeat(100));
    await rig.store.hintsWritten();
    assert.ok(hintsBegun > 0, failing);
    await rig.set("c", "z".repeat(100));
    await rig.store.hintsWritten();
    rig.injector = undefined;
    assert.ok(!rig.store.stats().condition.latched, failing);
    await rig.set("d", "1");
    const next = await rig.reopened();
    assert.equal(await next.get("a"), "x".repeat(100));
    assert.equal(await next.get("d"), "1");
    assert.deepEqual(next.store.stats().damage, []);
    await next.store.close();
  }
});

test("D3 D2: a failed sync of the directory latches, also where a hint was the reason for it", async () => {
  const rig = await Rig.open({ segmentBytesMax: 200 });
  let hasRenamed = false;
  rig.injector = (operation) => {
    if (operation.op === "rename" && isHint(operation)) hasRenamed = true;
    const isTheirs = operation.op === "syncDirectory" && /segments$/.test(operation.path);
    return hasRenamed && isTheirs ? { kind: "error", code: "EIO" } : undefined;
  };
  await rig.set("a", "x".repeat(100));
  await rig.set("b", "y".repeat(100));
  await rig.store.hintsWritten();
  assert.ok(hasRenamed);
  assert.ok(rig.store.stats().condition.latched);
  await rejects(rig.set("c", "1"), "STORE_READ_ONLY");
  assert.equal(await rig.get("a"), "x".repeat(100));
  await rejects(rig.store.close(), "SYNC_FAILED");
});

test("V10: reads that began before the latch closed are answered after it", async () => {
  const rig = await Rig.open();
  await rig.set("a", "x".repeat(100_000));
  const gate = new Gate();
  rig.injector = ({ op, path }) => {
    if (!segmentFiles.test(path)) return undefined;
    if (op === "read") return gate.fault;
    return op === "syncData" ? { kind: "error", code: "EIO" } : undefined;
  };
  const read = watch(rig.get("a"));
  await rig.settle();
  assert.equal(gate.held, 1);
  await rejects(rig.set("b", "1"), "SYNC_FAILED");
  gate.open();
  await rig.settle();
  assert.equal(read.value, "x".repeat(100_000));
  await rejects(rig.store.close(), "SYNC_FAILED");
});

test("V10 V1 D3: when versions are reserved in the background and that fails, no write under way is acknowledged", async (t) => {
  for (const durability of ["sync", "buffered"] as const) {
    const rig = await Rig.open();
    await rig.set("a", "1");
    const gate = new Gate();
    const held = durability === "sync" ? "syncData" : "write";
    rig.injector = ({ op, path }) => {
      if (op === held && segmentFiles.test(path)) return gate.fault;
      const isReservation = op === "syncData" && /MANIFEST\.tmp$/.test(path);
      return isReservation ? { kind: "error", code: "EIO" } : undefined;
    };
    t.mock.getter(Versions.prototype, "isRunningLow", () => true);
    // So large that it is written off the event loop.
    const write = rig.set("b", "x".repeat(300_000), { durability });
    await rig.settle();
    assert.ok(rig.store.stats().condition.latched, `${durability}: the reservation has failed`);
    assert.equal(gate.held, 1, `${durability}: the write is under way`);
    gate.open();
    await rejects(write, "SYNC_FAILED", "unknown");
    t.mock.restoreAll();
    await rejects(rig.set("c", "1"), "STORE_READ_ONLY", "not-applied");
    assert.deepEqual(await rig.values("a", "b"), { a: "1" }, durability);
    await rejects(rig.store.close(), "SYNC_FAILED");
    const next = await rig.powerCut();
    assert.equal(await next.get("a"), "1");
    await next.set("c", "1");
    await next.store.close();
  }
});
