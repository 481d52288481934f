/** In which order a write reaches the disk, and what has happened before it is acknowledged. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Durability } from "../../src/engine/store.js";
import type { Injector } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, segmentFiles, versionsOf, watch } from "../support/store-rig.js";

/** Holds every sync of a segment. */
function holdSyncs(gate: Gate): Injector {
  return ({ op, path }) => (op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined);
}

test("V1 D1: a SYNC write is acknowledged only after fdatasync of its segment has returned", async () => {
  const rig = await Rig.open();
  const writes: readonly (() => Promise<unknown>)[] = [
    () => rig.set("a", "1"),
    () => rig.delete("a"),
    () => rig.store.commit([{ kind: "set", key: bytes("b"), value: bytes("2") }]),
  ];
  for (const write of writes) {
    const held = new Gate();
    rig.injector = holdSyncs(held);
    rig.trace.length = 0;
    const answer = watch(write());
    await rig.settle();
    assert.equal(held.held, 1);
    assert.deepEqual(rig.segmentOperations().slice(-2), ["write", "syncData"]);
    assert.equal(answer.state, "pending");
    held.open();
    await rig.settle();
    assert.equal(answer.state, "resolved");
  }
  await rig.store.close();
});

test("V1 D2: the first write waits for the new segment's directory and for the manifest as well", async () => {
  const rig = await Rig.open();
  const order = ["create .seg", "syncDirectory segments", "rename MANIFEST", "syncDirectory store"];
  for (const step of order) {
    const other = await Rig.open();
    const gate = new Gate();
    other.injector = (operation) => (stepOf(operation) === step ? gate.fault : undefined);
    const answer = watch(other.set("a", "1"));
    await other.settle();
    assert.equal(gate.held, 1, step);
    assert.equal(answer.state, "pending", step);
    assert.ok(!other.segmentOperations().includes("write"), `${step} precedes the append`);
    gate.open();
    await other.settle();
    assert.equal(answer.state, "resolved", step);
    await other.store.close();
  }
  rig.trace.length = 0;
  await rig.set("a", "1");
  const steps = rig.trace.map(stepOf).filter((step) => step !== undefined);
  assert.deepEqual(steps, [...order, "write .seg", "syncData .seg"]);
  await rig.store.close();
});

/** The operations whose order matters, by what they do. */
function stepOf(operation: { op: string; path: string; target?: string }): string | undefined {
  const { op, path, target } = operation;
  if (segmentFiles.test(path)) return `${op} .seg`;
  if (op === "rename" && target?.endsWith("/MANIFEST") === true) return "rename MANIFEST";
  if (op === "syncDirectory") return `syncDirectory ${path.slice(path.lastIndexOf("/") + 1)}`;
  return undefined;
}

test("V1 D2 V16: a rollover syncs the old segment, then the new name, then the manifest, then appends", async () => {
  const rig = await Rig.open({ segmentBytesMax: 200 });
  await rig.set("a", "x".repeat(60));
  await rig.set("b", "x".repeat(60), { durability: "buffered" });
  rig.trace.length = 0;
  await rig.set("c", "x".repeat(60));
  const steps = rig.trace
    .filter(({ path }) => !path.endsWith(".hint") && !path.endsWith(".hint.tmp"))
    .map(stepOf)
    .filter((step) => step !== undefined);
  const expected = [
    "syncData .seg",
    "create .seg",
    "syncDirectory segments",
    "rename MANIFEST",
    "syncDirectory store",
    "write .seg",
    "syncData .seg",
  ];
  assert.deepEqual(steps.slice(0, expected.length), expected);
  await rig.store.hintsWritten();
  await rig.store.close();
});

test("D4: concurrent SYNC writes share syncs, and each waits for its own bytes", async () => {
  const rig = await Rig.open();
  await rig.set("first", "1");
  const before = rig.store.stats().syncs;
  const gate = new Gate();
  rig.injector = holdSyncs(gate);
  const early = watch(rig.set("early", "1"));
  await rig.settle();
  assert.equal(gate.held, 1);
  // More than one write's worth of bytes: several writes, one sync.
  const value = "x".repeat(3000);
  const late = Array.from({ length: 200 }, (_, index) => watch(rig.set(`late-${index}`, value)));
  await rig.settle();
  assert.equal(early.state, "pending");
  const second = new Gate();
  rig.injector = holdSyncs(second);
  gate.open();
  await rig.settle();
  assert.equal(early.state, "resolved");
  // They came while the first sync ran: it says nothing of their bytes.
  assert.ok(late.every(({ state }) => state === "pending"));
  second.open();
  await rig.settle();
  assert.ok(late.every(({ state }) => state === "resolved"));
  assert.equal(rig.store.stats().syncs - before, 2);
  const versions = late.map(({ value }) => value?.version ?? 0);
  assert.deepEqual(
    versions,
    versions.toSorted((one, other) => one - other),
  );
  await rig.store.close();
});

test("D4 V1: while a sync runs nothing is written", async () => {
  const rig = await Rig.open({ segmentBytesMax: 4096 });
  await rig.set("first", "1");
  let syncing = 0;
  rig.injector = ({ op, path }) => {
    if (!segmentFiles.test(path)) return undefined;
    if (op === "write") assert.equal(syncing, 0, "a write during a sync");
    if (op !== "syncData") return undefined;
    syncing += 1;
    const until = async (): Promise<void> => {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((go) => setImmediate(go));
      syncing -= 1;
    };
    return { kind: "wait", until };
  };
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let turn = 0; turn < 12; turn += 1) {
      const durability: Durability = (writer + turn) % 3 === 0 ? "buffered" : "sync";
      await rig.set(`${writer}-${turn}`, "x".repeat(40), { durability });
    }
  });
  await Promise.all(writers);
  assert.equal(rig.store.stats().keys, 97);
  await rig.store.close();
});

test("R2: BARRIER stands on the first frame after each sync, and on no other", async () => {
  const rig = await Rig.open({ segmentBytesMax: 600 });
  const expected = new Set<number>();
  let isFirst = true;
  const written = (versions: readonly number[], isSynced: boolean): void => {
    if (isFirst) expected.add(versions[0] ?? 0);
    isFirst = isSynced;
  };
  for (let turn = 0; turn < 6; turn += 1) {
    const group = await Promise.all(["a", "b", "c"].map((key) => rig.set(key, "1")));
    written(
      group.map(({ version }) => version),
      true,
    );
    const first = await rig.set("d", "1", { durability: "buffered" });
    written([first.version], false);
    const second = await rig.set("e", "1", { durability: "buffered" });
    written([second.version], false);
    const batch = await rig.store.commit([
      { kind: "set", key: bytes("f"), value: bytes("1") },
      { kind: "set", key: bytes("g"), value: bytes("1") },
    ]);
    written(versionsOf(batch.results), true);
  }
  const frames = await rig.frames();
  const segments = new Set(frames.map(({ segment }) => segment));
  assert.ok(segments.size > 2, "it rolls over");
  // A new segment is begun after a sync, too.
  for (const segment of segments) {
    const begun = frames.find((frame) => frame.segment === segment);
    expected.add(begun?.records[0]?.version ?? 0);
  }
  const barriers = frames.filter(({ isBarrier }) => isBarrier);
  assert.deepEqual(
    barriers.map(({ records }) => records[0]?.version),
    [...expected].sort((one, other) => one - other),
  );
  await rig.store.close();
});

test("V1: a BUFFERED write is synced within the flush interval, without another write", async () => {
  for (const flushIntervalMs of [1, 100, 1000]) {
    const rig = await Rig.open({ flushIntervalMs });
    await rig.set("a", "1");
    const { version } = await rig.set("b", "1", { durability: "buffered" });
    assert.ok(rig.store.stats().durableVersion < version, "it was not synced to be acknowledged");
    await rig.sim.clock.advance(flushIntervalMs - 1);
    await rig.set("c", "1", { durability: "buffered" });
    assert.ok(rig.store.stats().durableVersion < version);
    await rig.sim.clock.advance(1);
    await rig.settle();
    assert.ok(rig.store.stats().durableVersion >= version);
    const after = await rig.powerCut();
    assert.deepEqual(await after.values("a", "b"), { a: "1", b: "1" });
    await after.store.close();
  }
});

test("V1: the store's own durability holds where a write does not say", async () => {
  const rig = await Rig.open({ durability: "buffered" });
  await rig.set("a", "1", { durability: "sync" });
  const { syncs } = rig.store.stats();
  await rig.set("b", "1");
  assert.equal(rig.store.stats().syncs, syncs);
  await rig.set("c", "1", { durability: "sync" });
  assert.equal(rig.store.stats().syncs, syncs + 1);
  await rig.store.close();
});

test("V1: the flush timer starts anew after a SYNC write has done its work", async () => {
  const rig = await Rig.open({ flushIntervalMs: 100 });
  await rig.set("a", "1", { durability: "buffered" });
  await rig.set("b", "1");
  await rig.sim.clock.advance(100);
  await rig.set("c", "1", { durability: "buffered" });
  await rig.sim.clock.advance(100);
  const cut = await rig.powerCut();
  assert.deepEqual(await cut.values("a", "b", "c"), { a: "1", b: "1", c: "1" });
});

test("D5: flush and close make every acknowledged write durable", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1", { durability: "buffered" });
  await rig.store.flush();
  const flushed = await rig.powerCut();
  assert.equal(await flushed.get("a"), "1");
  await flushed.set("b", "1", { durability: "buffered" });
  await flushed.store.close();
  const closed = await flushed.powerCut();
  assert.deepEqual(await closed.values("a", "b"), { a: "1", b: "1" });
  assert.ok(closed.store.stats().open.wasClean);
  assert.equal(closed.store.stats().open.tornBytesCut, 0);
  await closed.store.close();
});

test("V1 V11: BUFFERED writes arm one timer for all of them, and a BUFFERED answer waits for no sync", async () => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  await rig.set("first", "1");
  const sleepers = rig.sim.clock.sleepers;
  rig.trace.length = 0;
  const buffered = { durability: "buffered" } as const;
  for (let index = 0; index < 5; index += 1) await rig.set("a", `${index}`, buffered);
  assert.equal(rig.sim.clock.sleepers, sleepers + 1);
  const unmet = { ...buffered, condition: { kind: "absent" } } as const;
  assert.equal((await rig.set("a", "5", unmet)).applied, false);
  assert.ok(!rig.segmentOperations().includes("syncData"));
  await rig.store.close();
});
