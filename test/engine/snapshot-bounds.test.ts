/** What ends a snapshot, and how many there may be. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { SNAPSHOT_LEASE_MS, SNAPSHOTS_MAX } from "../../src/engine/snapshots/snapshots.js";
import { SnapshotBench } from "../support/snapshot-bench.js";
import { bytes, rejects, text } from "../support/store-rig.js";

test("V11: when too much is replaced the oldest snapshot ends, tells where to go on, and frees its room", async () => {
  const bench = new SnapshotBench(100 * 260);
  for (let key = 0; key < 500; key += 1) bench.set(String(1000 + key));
  const oldest = bench.snapshots.open();
  const walk = oldest.cursor();
  for (let count = 0; count < 10; count += 1) walk.next();
  for (let key = 0; key < 60; key += 1) bench.set(String(1000 + key));
  const younger = bench.snapshots.open();
  for (let key = 60; key < 100; key += 1) bench.set(String(1000 + key));
  assert.ok(oldest.isOpen);
  assert.equal(walk.next()?.version, 11);
  bench.set("1100");
  assert.ok(!oldest.isOpen);
  const error = await rejects((async () => walk.next())(), "SNAPSHOT_ENDED", "none");
  assert.equal(error.row.status, "ABORTED");
  assert.deepEqual(error.metadata, {}, "no key is in the error");
  assert.equal(text(walk.after as Uint8Array), "1010");
  await rejects((async () => oldest.get(bytes("1000")))(), "SNAPSHOT_ENDED");
  await rejects((async () => oldest.cursor())(), "SNAPSHOT_ENDED");
  assert.ok(younger.isOpen);
  assert.equal(bench.snapshots.undoBytes, 41 * 260);
  assert.equal(younger.get(bytes("1060"))?.version, 61);
  // A younger one goes on behind the key.
  const rest = younger.cursor({
    start: Buffer.concat([walk.after as Uint8Array, Buffer.alloc(1)]),
  });
  assert.equal(text(rest.next()?.key as Uint8Array), "1011");
  for (let key = 100; key < 400; key += 1) bench.set(String(1000 + key));
  assert.ok(!younger.isOpen);
  assert.equal(bench.snapshots.undoBytes, 0);
  assert.equal(bench.pins.count, 0);
  oldest.close();
  younger.close();
});

test("V11: the time of a snapshot is up after its lease, whatever its reader does", async () => {
  const bench = new SnapshotBench();
  bench.set("a");
  const long = bench.snapshots.open();
  const short = bench.snapshots.open({ leaseMs: 1000 });
  await bench.clock.advance(999);
  assert.ok(short.get(bytes("a")));
  await bench.clock.advance(1);
  await rejects((async () => short.get(bytes("a")))(), "SNAPSHOT_ENDED");
  await bench.clock.advance(SNAPSHOT_LEASE_MS - 1001);
  const cursor = long.cursor();
  assert.ok(cursor.next());
  await bench.clock.advance(1);
  await rejects((async () => cursor.next())(), "SNAPSHOT_ENDED");
  assert.equal(bench.pins.count, 0);
  assert.equal(bench.clock.sleepers, 0, "no timer is left");
  for (const leaseMs of [0, -1, 1.5, Number.NaN, SNAPSHOT_LEASE_MS + 1]) {
    await rejects((async () => bench.snapshots.open({ leaseMs }))(), "FIELD_INVALID");
  }
});

test("V11: 1,024 snapshots may be open, and one more is refused", async () => {
  const bench = new SnapshotBench();
  const open = Array.from({ length: SNAPSHOTS_MAX }, () => {
    bench.set("a");
    return bench.snapshots.open();
  });
  await rejects((async () => bench.snapshots.open())(), "OVERLOADED", "none");
  for (const [index, snapshot] of open.entries()) {
    assert.equal(snapshot.get(bytes("a"))?.version, index + 1);
  }
  open[512]?.close();
  bench.snapshots.open();
  bench.snapshots.close();
  await rejects((async () => open[0]?.get(bytes("a")))(), "STORE_CLOSING");
  await rejects((async () => bench.snapshots.open())(), "STORE_CLOSING");
  assert.equal(bench.pins.count, 0);
  assert.equal(bench.clock.sleepers, 0);
});

test("V11: one step of a walk looks at 1,024 keys that its snapshot does not see, and no more", () => {
  const bench = new SnapshotBench();
  const snapshot = bench.snapshots.open();
  for (let key = 0; key < 3000; key += 1) bench.set(String(10_000 + key));
  const cursor = snapshot.cursor();
  for (const after of ["11023", "12047"]) {
    assert.equal(cursor.next(), undefined);
    assert.ok(!cursor.hasEnded);
    assert.equal(text(cursor.after as Uint8Array), after);
  }
  assert.equal(cursor.next(), undefined);
  assert.ok(cursor.hasEnded);
  snapshot.close();
  assert.throws(() => cursor.next(), /closed snapshot/);
});
