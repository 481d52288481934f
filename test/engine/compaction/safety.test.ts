/** Compactions that meet writes, damage, a full disk, failing files, and their own end. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { choosing, compact, compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import { flipBitAtRest, type Injector, injectFault } from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { imageOf } from "../../support/store-image.js";
import { bytes, Gate, Rig, rejects } from "../../support/store-rig.js";
import { unpaced } from "../../support/unpaced.js";

/** Three records fill a segment. */
const small = { ...onDemand, segmentBytesMax: 400 };
const filler = "x".repeat(60);

/** Names of segment files, and of what else lies beside them. */
async function filesOf(rig: Rig): Promise<string[]> {
  const entries = await rig.sim.files.list("/store/segments");
  return entries.map(({ name }) => name).filter((name) => /seg|hint/.test(name));
}

/** Some records of which half are dead, in sealed segments with hints. */
async function halfDead(rig: Rig, keys = 12): Promise<void> {
  for (let key = 0; key < keys; key += 1) await rig.set(`k${key}`, filler);
  for (let key = 0; key < keys; key += 2) await rig.set(`k${key}`, `2${filler}`);
  await rig.store.hintsWritten();
}

function expected(keys = 12): Record<string, string> {
  const names = Array.from({ length: keys }, (_, key) => [`k${key}`, key] as const);
  return Object.fromEntries(names.map(([k, key]) => [k, key % 2 === 0 ? `2${filler}` : filler]));
}

const keysOf = (keys = 12): string[] => Object.keys(expected(keys));

test("V16 D1: a durable value under an unsynced overwrite survives compaction and power loss", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 128 }, sim, undefined, {
    chooseVictims: choosing([0]),
  });
  await rig.set("k", filler);
  await rig.set("other", filler);
  await rig.store.hintsWritten();
  await rig.set("k", "buffered", { durability: "buffered" });
  const synced = rig.store.stats().durableVersion;
  assert.ok(synced < rig.store.version, "the overwrite is not durable yet");
  await compacted(rig);
  const after = await rig.powerCut();
  assert.deepEqual(await after.values("k", "other"), { k: "buffered", other: filler });
});

test("V16: if the overwrite cannot be made durable the victim stays", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 128 }, sim, undefined, {
    chooseVictims: choosing([0]),
  });
  await rig.set("k", filler);
  await rig.set("other", filler);
  await rig.store.hintsWritten();
  await rig.set("k", "buffered", { durability: "buffered" });
  rig.injector = injectFault(
    { kind: "error", code: "EIO" },
    { op: "syncData", path: /_0000[12]_.*seg$/, sticky: true },
  );
  const end = await compact(rig);
  assert.notEqual(end.outcome, "completed");
  rig.injector = undefined;
  const after = await rig.powerCut();
  assert.deepEqual(await after.values("k", "other"), { k: filler, other: filler });
});

test("M3 M10: writes and deletes between the judgement and the redirection are never undone", async () => {
  const sim = simHost({ seed: 1 });
  const gate = new Gate();
  const rig = await Rig.open(small, sim, undefined, { chooseVictims: takingAll() });
  await halfDead(rig);
  // The output is synced when all is judged, and before anything is committed.
  rig.injector = ({ op, path }) =>
    op === "syncData" && /\.hint\.tmp$/.test(path) ? gate.fault : undefined;
  const running = compacted(rig);
  await rig.settle();
  assert.equal(gate.held, 1, "the output waits");
  await rig.set("k1", "newer");
  await rig.delete("k3");
  await rig.set("k5", "buffered", { durability: "buffered" });
  gate.open();
  await running;
  const wanted = { ...expected(), k1: "newer", k5: "buffered" } as Record<string, string>;
  delete wanted["k3"];
  assert.deepEqual(await rig.values(...keysOf()), wanted);
  const again = await rig.reopened();
  assert.deepEqual(await again.values(...keysOf()), wanted);
});

test("M12 V13: a victim with rot is never removed, its damage is told, and the others are compacted", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(small, sim, undefined, { chooseVictims: takingAll(4) });
  await halfDead(rig);
  const [first] = rig.store.segments();
  assert.ok(first);
  await flipBitAtRest(sim.files, `/store/segments/${first.file}`, 8 * 40);
  const end = await compact(rig);
  assert.equal(end.outcome, "completed");
  const left = rig.store.segments();
  assert.ok(left.some(({ file }) => file === first.file));
  assert.equal(left.filter(({ role }) => role === "sealed").length, 1);
  assert.ok(rig.store.stats().condition.degraded);
  const again = await rig.reopened();
  assert.ok(again.store.stats().condition.degraded, "it is remembered");
  assert.ok((await filesOf(again)).includes(first.file));
  const values = await again.values(...keysOf().slice(1));
  assert.deepEqual(values, Object.fromEntries(Object.entries(expected()).slice(1)));
});

test("M8 M11 P7: an output that finds no room or no descriptor is taken back, and writes go on", async () => {
  for (const code of ["ENOSPC", "EIO", "EMFILE"]) {
    const sim = simHost({ seed: 1 });
    const rig = await Rig.open(small, sim, undefined, { chooseVictims: takingAll() });
    await halfDead(rig);
    const before = rig.store.segments();
    const files = await filesOf(rig);
    const output = new RegExp(`_${String(before.length).padStart(5, "0")}_.*seg$`);
    const ops = code === "EMFILE" ? (["create"] as const) : (["write"] as const);
    rig.injector = injectFault({ kind: "error", code }, { op: ops, path: output, sticky: true });
    const end = await compact(rig);
    assert.notEqual(end.outcome, "completed", code);
    assert.notEqual(end.why, "");
    rig.injector = undefined;
    assert.deepEqual(rig.store.segments(), before, code);
    assert.deepEqual(await filesOf(rig), files, `${code}: nothing is left of it`);
    await rig.sim.clock.advance(300);
    await rig.set("after", "1");
    assert.deepEqual(await rig.values(...keysOf()), expected());
    const again = await rig.reopened();
    assert.deepEqual(await again.values(...keysOf(), "after"), { ...expected(), after: "1" });
  }
});

test("M8: without room for the live bytes of a victim it declines and says so", async () => {
  const MiB = 1024 * 1024;
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 8 * MiB });
  const large = "x".repeat(MiB);
  for (let key = 0; key < 20; key += 1) await rig.set(`k${key % 14}`, large);
  await rig.store.hintsWritten();
  const used = rig.sim.files.capacityBytes - rig.sim.files.freeBytes("/store");
  rig.sim.files.capacityBytes = used + 5 * MiB;
  const end = await compact(rig);
  assert.equal(end.outcome, "declined");
  assert.match(end.why, /bytes/);
  rig.sim.files.capacityBytes = used + 100 * MiB;
  assert.equal((await compact(rig)).outcome, "completed");
  assert.equal(rig.store.stats().keys, 14);
});

test("V10 M5: a sync of the manifest that fails in the commit latches, and loses nothing", async () => {
  for (const nth of [0, 1, 2, 3]) {
    const sim = simHost({ seed: 1 });
    const rig = await Rig.open(small, sim, undefined, { chooseVictims: takingAll() });
    await halfDead(rig);
    const fail = { kind: "error", code: "EIO" } as const;
    rig.injector = injectFault(fail, { op: "syncDirectory", path: /\/store$/, nth });
    await compact(rig);
    rig.injector = undefined;
    assert.deepEqual(await rig.values(...keysOf()), expected(), "reads go on");
    for (const again of [await rig.killed(), await rig.powerCut()]) {
      assert.deepEqual(await again.values(...keysOf()), expected(), `sync ${nth}`);
      assert.deepEqual(again.store.stats().damage, []);
    }
  }
});

test("M14 M8: a store that is mostly dead, or whose disk is short, is compacted in a hurry, and no other", async () => {
  // The first look counts: the last one finds nothing any more.
  const hurry = async (everyNthStays: number, diskIsShort = false): Promise<boolean> => {
    const sim = simHost({ seed: 1 });
    const looks: boolean[] = [];
    const pacer = Object.defineProperty(unpaced(sim.clock), "isBehind", {
      set: (isBehind: boolean) => looks.push(isBehind),
    });
    const rig = await Rig.open({ ...small, diskReserveBytes: 4096 }, sim, undefined, { pacer });
    for (let write = 0; write < 40; write += 1) {
      await rig.set(write % everyNthStays === 0 ? `k${write}` : "often", filler);
    }
    await rig.store.hintsWritten();
    if (diskIsShort) sim.files.capacityBytes -= sim.files.freeBytes("/store");
    await compact(rig);
    assert.ok(looks.length > 0);
    return looks[0] as boolean;
  };
  assert.equal(await hurry(1), false);
  assert.equal(await hurry(2), false);
  assert.equal(await hurry(4), true);
  assert.equal(await hurry(1, true), true);
});

test("M13: a close in the middle of a compaction is prompt, and the next session clears up", async () => {
  const sim = simHost({ seed: 1 });
  const gate = new Gate();
  const rig = await Rig.open(small, sim, undefined, { chooseVictims: takingAll() });
  await halfDead(rig);
  rig.injector = ({ op, path }) =>
    op === "read" && /_00001_.*seg$/.test(path) ? gate.fault : undefined;
  const running = compact(rig);
  await rig.settle();
  const closing = rig.store.close();
  gate.open();
  await closing;
  assert.equal((await running).outcome, "cancelled");
  rig.injector = undefined;
  const again = await Rig.open(small, sim, undefined, { chooseVictims: takingAll() });
  assert.deepEqual(await again.values(...keysOf()), expected());
  assert.deepEqual(again.store.stats().open.strayFiles, []);
  await compacted(again);
  const names = await filesOf(again);
  const known = again.store.segments().map(({ file }) => file);
  assert.deepEqual(names.filter((name) => name.endsWith("seg")).sort(), known.sort());
});

test("M13: who gives up gets its end at once, and the victims stay as they were", async () => {
  const sim = simHost({ seed: 1 });
  const gate = new Gate();
  const rig = await Rig.open(small, sim, undefined, { chooseVictims: takingAll() });
  await halfDead(rig);
  const before = rig.store.segments();
  const files = await filesOf(rig);
  rig.injector = ({ op, path }) =>
    op === "syncData" && /\.hint\.tmp$/.test(path) ? gate.fault : undefined;
  const giveUp = new AbortController();
  const running = compact(rig, giveUp.signal);
  await rig.settle();
  giveUp.abort();
  await rig.settle();
  gate.open();
  assert.equal((await running).outcome, "cancelled");
  rig.injector = undefined;
  await rig.settle();
  assert.deepEqual(rig.store.segments(), before);
  assert.deepEqual(await filesOf(rig), files);
  assert.deepEqual(await rig.values(...keysOf()), expected());
});

test("B1 B2: a compaction that takes a part of a batch's members leaves the batch whole", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(small, sim, undefined, { chooseVictims: choosing([0], [2]) });
  const set = (key: string, value: string) =>
    ({ kind: "set", key: bytes(key), value: bytes(value) }) as const;
  await rig.store.commit([set("a", filler), set("b", filler), set("c", filler)]);
  await rig.set("b", `2${filler}`);
  await rig.set("d", filler);
  await rig.store.commit([set("d", "2"), { kind: "delete", key: bytes("c") }, set("e", filler)]);
  for (const key of ["f", "g", "h", "i", "j"]) await rig.set(key, filler);
  await rig.store.hintsWritten();
  await compacted(rig);
  const wanted = { a: filler, b: `2${filler}`, d: "2", e: filler };
  assert.deepEqual(await rig.values("a", "b", "c", "d", "e"), wanted);
  const again = await rig.reopened();
  assert.deepEqual(await again.values("a", "b", "c", "d", "e"), wanted);
  assert.deepEqual((await rig.powerCut()).store.stats().damage, []);
});

test("M11: after a thousand compactions no descriptor and no file is left over", async () => {
  let open = 0;
  const count: Injector = ({ op }) => {
    if (op === "open" || op === "create") open += 1;
    if (op === "close") open -= 1;
    return undefined;
  };
  const options = { ...onDemand, segmentBytesMax: 128 };
  const rig = await Rig.open(options, simHost({ seed: 1 }), count);
  const atStart = open;
  let most = 0;
  for (let turn = 0; turn < 1000; turn += 1) {
    await rig.set("k", filler, { durability: "buffered" });
    await rig.set("l", filler, { durability: "buffered" });
    await rig.store.hintsWritten();
    await compacted(rig);
    most = Math.max(most, open - atStart);
  }
  assert.ok(most <= 8, `${most} files are open`);
  assert.ok((await filesOf(rig)).length <= 8);
  assert.ok(rig.store.stats().compaction.segmentsRemoved >= 1000);
});

test("V3 V5: what a compaction writes is told apart from the log, and the history floor rises with it", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(small, sim, undefined, { chooseVictims: choosing([0, 1]) });
  await halfDead(rig);
  const [first, second] = rig.store.segments();
  const images = imageOf(sim.files);
  const others = rig.store.segments().slice(2, -1);
  await compacted(rig);
  const floor = Math.max(first?.highestVersion ?? 0, second?.highestVersion ?? 0);
  assert.equal(rig.store.stats().compaction.historyFloor, floor);
  for (const { file } of others) {
    const path = `/store/segments/${file}`;
    assert.deepEqual(
      imageOf(sim.files).get(path),
      images.get(path),
      "sealed segments stay as they are",
    );
  }
  const again = await rig.reopened();
  assert.equal(again.store.stats().compaction.historyFloor, floor);
  await rejects(rig.set("late", "1"), "STORE_CLOSING");
});

test("V11 M4: large values and large batches are copied without being held all at once", async () => {
  const MiB = 1024 * 1024;
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 8 * MiB }, undefined, undefined, {
    chooseVictims: takingAll(),
  });
  const large = (mark: string): string => mark.repeat(3 * MiB);
  const set = (key: string, value: string) =>
    ({ kind: "set", key: bytes(key), value: bytes(value) }) as const;
  await rig.set("a", large("a"));
  await rig.set("b", large("b"));
  await rig.store.commit([set("c", large("c")), set("d", "small"), set("e", large("e"))]);
  await rig.set("a", "gone");
  await rig.set("f", large("f"));
  await rig.set("g", large("g"));
  await rig.store.hintsWritten();
  await compacted(rig);
  const wanted = { b: large("b"), c: large("c"), d: "small", e: large("e") };
  assert.deepEqual(await rig.values("b", "c", "d", "e"), wanted);
  assert.deepEqual(await (await rig.reopened()).values("b", "c", "d", "e"), wanted);
});
