/** Expiry: when a record vanishes, what that leaves on disk, and what it never undoes. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { EXPIRES_AT_MS_MAX } from "../../src/base/limits.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import type { Expiry } from "../../src/engine/store.js";
import { injectFault } from "../support/faulty-file-system.js";
import { simHost } from "../support/sim-host.js";
import {
  bytes,
  Gate,
  Rig,
  rejects,
  segmentFiles,
  versionsOf,
  watch,
} from "../support/store-rig.js";

const ttl = (ttlMs: number): { expiry: Expiry } => ({ expiry: { kind: "ttl", ttlMs } });
const at = (atMs: number): { expiry: Expiry } => ({ expiry: { kind: "at", atMs } });
const keep = { expiry: { kind: "keep" } } as const;

/** A rig whose sweep is paused, because the wall clock has jumped. */
async function unswept(): Promise<Rig> {
  const rig = await Rig.open();
  rig.sim.clock.stepWall(120_000);
  // The sweep looks at the clock only where something may expire.
  await rig.sim.clock.advance(100);
  assert.match(rig.store.stats().sweepPausedBecause ?? "", /jumped/);
  return rig;
}

test("T1: a record is visible until its instant and invisible from it on, for every call alike", async () => {
  const rig = await unswept();
  const { expiresAtMs } = await rig.set("a", "1", ttl(1000));
  assert.equal(expiresAtMs, rig.sim.clock.wallMs() + 1000);
  rig.sim.clock.stepWall(999);
  assert.equal(await rig.get("a"), "1");
  assert.equal(rig.store.exists(bytes("a"))?.expiresAtMs, expiresAtMs);
  const early = await rig.set("a", "2", { condition: { kind: "absent" } });
  assert.equal(early.applied, false);
  rig.sim.clock.stepWall(1);
  assert.equal(await rig.get("a"), undefined);
  assert.equal(rig.store.exists(bytes("a")), undefined);
  const missed = await rig.set("a", "2", { condition: { kind: "present" } });
  assert.deepEqual([missed.applied, missed.current], [false, undefined]);
  const stale = { kind: "version", version: early.current?.version ?? 0 } as const;
  assert.equal((await rig.delete("a", { condition: stale })).applied, false);
  const fresh = await rig.set("a", "2", { condition: { kind: "absent" }, returnPrevious: true });
  assert.deepEqual([fresh.applied, fresh.previous], [true, undefined]);
  await rig.store.close();
});

test("T1: a deadline is rounded up to the millisecond", async () => {
  const rig = await Rig.open();
  const nowMs = rig.sim.clock.wallMs();
  assert.equal((await rig.set("a", "1", ttl(0.2))).expiresAtMs, nowMs + 1);
  assert.equal((await rig.set("b", "1", ttl(10.001))).expiresAtMs, nowMs + 11);
  assert.equal((await rig.set("c", "1", at(nowMs + 5.5))).expiresAtMs, nowMs + 6);
  await rig.store.close();
});

test("T2 T3: an overwrite clears the expiry, keep keeps it, and a deleted key has no trace of it", async () => {
  const rig = await Rig.open();
  const { expiresAtMs } = await rig.set("a", "1", ttl(5000));
  assert.equal((await rig.set("a", "2", keep)).expiresAtMs, expiresAtMs);
  assert.equal((await rig.set("a", "3")).expiresAtMs, 0);
  assert.equal((await rig.set("a", "4", keep)).expiresAtMs, 0);
  await rig.set("b", "1", ttl(5000));
  await rig.delete("b");
  assert.equal((await rig.set("b", "2", keep)).expiresAtMs, 0);
  // A keep behind a write that is pending keeps what that one set.
  const [set, kept] = await Promise.all([rig.set("c", "1", ttl(9000)), rig.set("c", "2", keep)]);
  assert.equal(kept.expiresAtMs, set.expiresAtMs);
  const batch = [{ kind: "set", key: bytes("c"), value: bytes("3"), ...keep } as const];
  await rig.store.commit(batch);
  assert.equal(rig.store.exists(bytes("c"))?.expiresAtMs, set.expiresAtMs);
  await rig.sim.clock.advance(8000);
  const next = await rig.reopened();
  assert.deepEqual(await next.values("a", "b", "c"), { a: "4", b: "2", c: "3" });
  await next.store.close();
});

test("T4: a ttl or an instant that no record can have is refused, and names its field", async () => {
  const rig = await Rig.open();
  const nowMs = rig.sim.clock.wallMs();
  const refused: readonly [{ expiry: Expiry }, string][] = [
    ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, EXPIRES_AT_MS_MAX + 1].map(
      (ttlMs) => [ttl(ttlMs), "ttl"] as const,
    ),
    [ttl(EXPIRES_AT_MS_MAX - nowMs + 1), "ttl"],
    ...[Number.NaN, EXPIRES_AT_MS_MAX + 1, -EXPIRES_AT_MS_MAX - 1].map(
      (atMs) => [at(atMs), "expire_time"] as const,
    ),
  ].map(([options, field]) => [options as { expiry: Expiry }, String(field)]);
  for (const [options, field] of refused) {
    const error = await rejects(rig.set("a", "1", options), "FIELD_INVALID", "not-applied");
    assert.equal(error.metadata["field"], field);
    const { expiry } = options;
    const batch = [{ kind: "set", key: bytes("a"), value: bytes("1"), expiry } as const];
    await rejects(rig.store.commit(batch), "FIELD_INVALID", "not-applied");
  }
  assert.equal(rig.store.version, 0);
  const last = await rig.set("a", "1", at(EXPIRES_AT_MS_MAX));
  assert.equal(last.expiresAtMs, EXPIRES_AT_MS_MAX);
  assert.equal((await rig.set("a", "1", ttl(EXPIRES_AT_MS_MAX - nowMs))).applied, true);
  await rig.store.close();
});

test("T4: an expiry in the past is applied, and invisible at once", async () => {
  for (const atMs of [-EXPIRES_AT_MS_MAX, -1, 0, 1, Date.UTC(2025, 0, 1)]) {
    const rig = await unswept();
    await rig.set("a", "old");
    const { applied, version, expiresAtMs } = await rig.set("a", "1", at(atMs));
    assert.deepEqual([applied, expiresAtMs], [true, Math.max(1, atMs)]);
    assert.equal(rig.store.version, version);
    assert.equal(await rig.get("a"), undefined);
    const next = await rig.reopened();
    assert.equal(await next.get("a"), undefined, "and it hides what it replaced");
    await next.store.close();
  }
});

test("T5 V6: a record that expired while the store was down is gone, with hints and without", async () => {
  for (const durability of ["sync", "buffered"] as const) {
    for (const withHints of [true, false]) {
      const rig = await Rig.open({ segmentBytesMax: 200 });
      await rig.set("a", "old", { durability });
      await rig.set("a", "x".repeat(100), { ...ttl(60_000), durability });
      await rig.set("b", "y".repeat(100), { ...ttl(600_000), durability });
      await rig.set("c", "1");
      await rig.store.hintsWritten();
      await rig.store.close();
      rig.sim.clock.stepWall(120_000);
      if (!withHints) await removeHints(rig);
      const next = await Rig.open(rig.options, rig.sim);
      const { segmentsFromHints } = next.store.stats().open;
      assert.equal(segmentsFromHints > 0, withHints);
      assert.deepEqual(await next.values("a", "b", "c"), { b: "y".repeat(100), c: "1" });
      await next.sim.clock.advance(300);
      assert.equal(next.store.stats().keys, 2, "the sweep has taken it");
      await next.sim.clock.advance(600_000);
      const last = await next.reopened();
      assert.deepEqual(await last.values("a", "b", "c"), { c: "1" });
      assert.equal(last.store.stats().keys, 1);
      await last.store.close();
    }
  }
});

async function removeHints(rig: Rig): Promise<void> {
  for (const { name } of await rig.sim.files.list("/store/segments")) {
    if (name.endsWith(".hint")) await rig.sim.files.remove(`/store/segments/${name}`);
  }
}

test("T8 T1: the sweep appends an EXPIRED tombstone with a version of its own, and frees the index", async (t) => {
  const rig = await Rig.open();
  for (let index = 0; index < 50; index += 1) await rig.set(`key-${index}`, "1", ttl(1000));
  await rig.set("stays", "1");
  const before = rig.store.version;
  const keyReads = t.mock.method(Keydir.prototype, "keyOf");
  await rig.sim.clock.advance(900);
  assert.equal(keyReads.mock.callCount(), 0, "nothing is due, no key is read");
  await rig.sim.clock.advance(300);
  await rig.settle();
  assert.equal(keyReads.mock.callCount(), 50, "only keys that are due are read");
  keyReads.mock.restore();
  const { keys, expired, version } = rig.store.stats();
  assert.deepEqual([keys, expired, version], [1, 50, before + 50]);
  const tombstones = (await rig.frames()).flatMap(({ records }) => records).slice(51);
  assert.ok(tombstones.every(({ isTombstone, isExpired }) => isTombstone && isExpired));
  assert.equal(new Set(tombstones.map(({ key }) => key)).size, 50);
  await rig.store.close();
});

test("V14 T1: the sweep is conditional: a set that races it wins", async () => {
  const rig = await Rig.open();
  await rig.set("a", "old", ttl(1000));
  await rig.set("b", "old", ttl(1000));
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  await rig.sim.clock.advance(950);
  // Accepted before its time is up, durable only after it: the sweep still sees the old record.
  const renewed = watch(rig.set("a", "new", keep));
  const replaced = watch(rig.set("b", "new"));
  await rig.sim.clock.advance(400);
  assert.equal(gate.held, 1);
  gate.open();
  await rig.settle();
  await rig.sim.clock.advance(400);
  assert.deepEqual([renewed.state, replaced.state], ["resolved", "resolved"]);
  assert.deepEqual(await rig.values("a", "b"), { b: "new" });
  const records = (await rig.frames()).flatMap((frame) => frame.records);
  const tombstones = records.filter(({ isTombstone }) => isTombstone);
  assert.deepEqual(
    tombstones.map(({ key, isExpired }) => [key, isExpired]),
    [["a", true]],
    "one for the new `a`, none for `b`",
  );
  assert.equal(rig.store.stats().expired, 1, "only what was expired on disk is counted");
  await rig.store.close();
});

test("T1: a write over an expired, unswept key yields only itself", async () => {
  const rig = await unswept();
  await rig.set("a", "old", ttl(1000));
  rig.sim.clock.stepWall(2000);
  await rig.set("a", "new");
  await rig.sim.clock.advance(500);
  const records = (await rig.frames()).flatMap((frame) => frame.records);
  assert.deepEqual(
    records.map(({ isTombstone }) => isTombstone),
    [false, false],
  );
  assert.equal(await rig.get("a"), "new");
  await rig.store.close();
});

test("T1: a delete of an expired, unswept key answers deleted = false and appends its EXPIRED tombstone", async () => {
  const rig = await unswept();
  await rig.set("a", "1", ttl(1000));
  await rig.set("b", "1", ttl(1000));
  rig.sim.clock.stepWall(2000);
  const { applied, deleted, version, previous } = await rig.delete("a", { returnPrevious: true });
  assert.deepEqual([applied, deleted, version, previous], [true, false, 0, undefined]);
  const { results } = await rig.store.commit([{ kind: "delete", key: bytes("b") }]);
  assert.deepEqual(versionsOf(results), [0]);
  assert.equal((await rig.delete("a")).deleted, false);
  const records = (await rig.frames()).flatMap((frame) => frame.records);
  const tombstones = records.filter(({ isTombstone }) => isTombstone);
  assert.deepEqual(
    tombstones.map(({ key, isExpired }) => [key, isExpired]),
    [
      ["a", true],
      ["b", true],
    ],
  );
  assert.equal(rig.store.stats().keys, 0);
  const next = await rig.powerCut();
  assert.equal(next.store.stats().keys, 0);
  await next.store.close();
});

test("V16 T1 V13: what the disk refuses to read at an opening is not replaced by an expiry that it may have undone", async () => {
  const rig = await Rig.open({ segmentBytesMax: 150 });
  await rig.set("k", "brief", { expiry: { kind: "ttl", ttlMs: 60_000 } });
  await rig.set("filler", "x".repeat(100));
  await rig.store.hintsWritten();
  await rig.set("k", "for ever");
  const sim = simHost({ seed: 2, files: rig.sim.files.kill(), clock: rig.sim.clock });
  const refusal = { op: "read", path: /_00002_.*seg$/, sticky: true } as const;
  const ill = await Rig.open(
    rig.options,
    sim,
    injectFault({ kind: "error", code: "EIO" }, refusal),
  );
  await ill.set("young", "1", { expiry: { kind: "ttl", ttlMs: 60_000 } });
  await sim.clock.advance(61_000);
  assert.equal(await ill.get("k"), undefined, "nobody knows of the newer one");
  const { expired, keys } = ill.store.stats();
  const well = await ill.killed();
  assert.equal(await well.get("k"), "for ever");
  assert.deepEqual([expired, keys], [1, 2], "of the young one it is known");
});
