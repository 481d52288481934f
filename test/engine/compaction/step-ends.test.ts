/** Steps that are given up in the middle: what they had taken is given back, and nothing is lost. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { SegmentNamer } from "../../../src/engine/segment-namer.js";
import { choosing, compact, compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import {
  type Fault,
  flipBitAtRest,
  type Injector,
  injectFault,
} from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { Gate, Rig, rejects, watch } from "../../support/store-rig.js";

/** Four records fill a segment. */
const small = { ...onDemand, segmentBytesMax: 400 };
const filler = "x".repeat(60);
const keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
const all = Object.fromEntries(keys.map((key) => [key, filler]));

async function filled(times: number): Promise<Rig> {
  const seams = { chooseVictims: takingAll(times) };
  const rig = await Rig.open(small, simHost({ seed: 1 }), undefined, seams);
  for (const key of keys) await rig.set(key, filler);
  await rig.store.hintsWritten();
  return rig;
}

async function filesOf(rig: Rig): Promise<string[]> {
  const entries = await rig.sim.files.list("/store/segments");
  return entries.map(({ name }) => name);
}

test("I3 V11: the name of every output is given back, that of one that nobody could list too", async (t) => {
  const { mock: taken } = t.mock.method(SegmentNamer.prototype, "take");
  const { mock: settled } = t.mock.method(SegmentNamer.prototype, "settle");
  const rig = await filled(3);
  const refuse = { op: "write", path: /MANIFEST/ } as const;
  rig.injector = injectFault({ kind: "error", code: "EIO" }, refuse);
  assert.equal((await compact(rig)).outcome, "failed");
  await compacted(rig);
  const names = taken.calls.map(({ result }) => result?.fileName);
  assert.equal(names.length, 5, "three of the log, and two of outputs");
  // Else no id is left after 65,536 compactions, until the store is opened again.
  assert.deepEqual(
    settled.calls.map(({ arguments: [name] }) => name.fileName),
    names,
  );
});

test("M13 V9: who gives up while a file of the output is made leaves none behind, however slow the disk", async () => {
  for (const path of [/_00003_.*seg$/, /_00003_.*hint\.tmp$/]) {
    const rig = await filled(1);
    const before = await filesOf(rig);
    const gate = new Gate();
    rig.injector = ({ op, path: made }) =>
      op === "create" && path.test(made) ? gate.fault : undefined;
    const giveUp = new AbortController();
    const running = compact(rig, giveUp.signal);
    await rig.settle();
    assert.equal(gate.held, 1);
    giveUp.abort();
    await rig.settle();
    gate.open();
    assert.equal((await running).outcome, "cancelled");
    await rig.settle();
    assert.deepEqual(await filesOf(rig), before);
    assert.deepEqual(await rig.values(...keys), all);
  }
});

test("V16 M12: a victim whose frames are not where the index has them is kept, with all that lies in it", async () => {
  const rig = await filled(4);
  const [first, second] = await rig.frames();
  assert.ok(first && second && first.segment === second.segment);
  assert.equal(first.length, second.length);
  const file = await rig.sim.files.open(`/store/segments/${first.segment}`, "write");
  const both = new Uint8Array(2 * first.length);
  await file.read(both, first.offset);
  await file.write(both.slice(first.length), first.offset);
  await file.write(both.slice(0, first.length), second.offset);
  await file.close();
  const { segmentsDone } = await compacted(rig);
  assert.ok(segmentsDone > 0, "the others are compacted");
  assert.ok(rig.store.segments().some(({ file }) => file === first.segment));
  for (const name of await filesOf(rig)) {
    if (name.endsWith(".hint")) await rig.sim.files.remove(`/store/segments/${name}`);
  }
  const again = await rig.killed();
  assert.deepEqual(await again.values(...keys), all, "its frames say where they are");
});

test("M11 P7: an output that could not become part of the store is not kept open, for its bytes to stay on a full disk", async () => {
  const rig = await filled(1);
  await rig.values(...keys);
  let open = 0;
  let manifests = 0;
  const counted: Injector = ({ op, path }): Fault | undefined => {
    if (op === "open" || op === "create") open += 1;
    if (op === "close") open -= 1;
    if (op !== "write" || !/MANIFEST/.test(path)) return undefined;
    manifests += 1;
    // The first lists the output, the second would make it a part of the store.
    return manifests === 2 ? { kind: "error", code: "ENOSPC" } : undefined;
  };
  rig.injector = counted;
  assert.equal((await compact(rig)).outcome, "declined");
  rig.injector = undefined;
  assert.equal(open, 0);
  assert.deepEqual(await rig.values(...keys), all);
});

test("V10 M5: a sync of the segment directory that fails before the commit latches, and nothing is committed", async () => {
  const rig = await filled(1);
  const before = rig.store.segments();
  const refuse = { op: "syncDirectory", path: /segments$/ } as const;
  rig.injector = injectFault({ kind: "error", code: "EIO" }, refuse);
  assert.notEqual((await compact(rig)).outcome, "completed");
  assert.equal(rig.store.stats().condition.latched, true);
  assert.deepEqual(rig.store.segments(), before);
  await rejects(rig.set("late", "1"), "STORE_READ_ONLY");
  for (const again of [await rig.killed(), await rig.powerCut()]) {
    assert.deepEqual(await again.values(...keys), all);
  }
});

for (const [how, victims] of [
  ["were dropped unread", [0]],
  ["were read, and had nothing left to copy", [0, 1]],
] as const) {
  test(`M5 M10 I8: victims that ${how} are no part of the store, though somebody reads them`, async () => {
    const options = { ...onDemand, segmentBytesMax: 128 };
    const seams = { chooseVictims: choosing(victims, victims) };
    const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, seams);
    await rig.set("k", filler + filler.slice(30));
    // A tombstone that is needed for as long as the segment before it is there.
    await rig.delete("k");
    await rig.set("l", filler);
    await rig.set("l", "1");
    await rig.set("end", filler);
    await rig.store.hintsWritten();
    const sealed = rig.store.segments().filter(({ role }) => role === "sealed").length;
    const snapshot = rig.store.snapshots.open();
    const running = compacted(rig);
    await rig.sim.clock.advance(2000);
    await running;
    const { keys: count, liveBytes, deadBytes, compaction } = rig.store.stats();
    assert.equal(compaction.last?.progress.bytesRead === 0, victims.length === 1);
    assert.ok(compaction.pinnedBytes > 0, "they wait for their reader");
    assert.equal(
      rig.store.segments().filter(({ role }) => role === "sealed").length,
      sealed - victims.length,
    );
    assert.equal(count, 2);
    snapshot.close();
    await rig.settle();
    const files = rig.store.segments().map(({ file }) => file);
    const left = (await filesOf(rig)).filter((name) => name.endsWith("seg"));
    assert.deepEqual(left.sort(), files.sort());
    assert.equal(rig.store.stats().compaction.pinnedBytes, 0);
    const again = await rig.reopened();
    const after = again.store.stats();
    assert.deepEqual([after.keys, after.liveBytes, after.deadBytes], [count, liveBytes, deadBytes]);
  });
}

/** A checkpoint is worth it for few keys, too. */
const withCheckpoint = (...turns: readonly (readonly number[])[]) => {
  return { chooseVictims: choosing(...turns), checkpointKeysMin: 0 };
};

test("V16 M5 R7: an index that names a victim yet is kept in no checkpoint", async () => {
  const rig = await Rig.open(small, simHost({ seed: 1 }), undefined, withCheckpoint([0, 1]));
  for (const key of keys) await rig.set(key, filler);
  await rig.store.hintsWritten();
  const refusals = [
    injectFault({ kind: "error", code: "EMFILE" }, { op: "open", path: /_00003_.*hint$/ }),
    injectFault(
      { kind: "error", code: "EIO" },
      { op: "read", path: /_00003_.*seg$/, sticky: true },
    ),
  ];
  rig.injector = (operation) => refusals.map((refuse) => refuse(operation)).find(Boolean);
  assert.equal((await compact(rig)).outcome, "failed");
  rig.injector = undefined;
  assert.deepEqual(await rig.values(...keys), all);
  await rig.store.close();
  const again = await Rig.open(small, rig.sim, undefined, withCheckpoint());
  assert.equal(again.store.stats().open.fromCheckpoint, false);
  assert.deepEqual(await again.values(...keys), all);
  await again.store.close();
  const third = await Rig.open(small, rig.sim, undefined, withCheckpoint());
  assert.deepEqual(await third.values(...keys), all);
});

test("M13 M5: a close waits until nobody points the index at an output any more", async () => {
  const rig = await Rig.open(small, simHost({ seed: 1 }), undefined, withCheckpoint([0, 1]));
  for (const key of keys) await rig.set(key, filler);
  await rig.store.hintsWritten();
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "open" && /_00003_.*hint$/.test(path) ? gate.fault : undefined;
  const running = compact(rig);
  await rig.settle();
  assert.equal(gate.held, 1, "the output is committed");
  const closing = watch(rig.store.close());
  await rig.settle();
  assert.equal((await running).outcome, "cancelled");
  await rig.settle();
  assert.equal(closing.state, "pending");
  gate.open();
  await rig.settle();
  assert.equal(closing.state, "resolved");
  const again = await Rig.open(small, rig.sim, undefined, withCheckpoint());
  assert.deepEqual(await again.values(...keys), all);
});

test("V13 M12: of a victim with rot the frame is known that is damaged, and that its keys are", async () => {
  const rig = await filled(4);
  const [, second] = await rig.frames();
  assert.ok(second);
  const { segment, offset, length } = second;
  await flipBitAtRest(rig.sim.files, `/store/segments/${segment}`, 8 * (offset + length - 9));
  await compacted(rig);
  const [damage, ...others] = rig.store.stats().damage;
  assert.deepEqual(others, []);
  const { file, keysUnknown } = damage ?? {};
  assert.deepEqual(
    [file, damage?.offset, damage?.length, keysUnknown],
    [segment, offset, length, false],
  );
});

test("V16 M12 V13: what an opening could not read is no victim, though the disk reads it by now", async () => {
  const rig = await filled(0);
  const sim = simHost({ seed: 2, files: rig.sim.files.kill(), clock: rig.sim.clock });
  const refuse = { op: "read", path: /_00002_.*seg$/, sticky: true } as const;
  const unread = injectFault({ kind: "error", code: "EIO" }, refuse);
  const ill = await Rig.open(small, sim, unread, { chooseVictims: takingAll(3) });
  assert.equal(await ill.get("i"), undefined, "its keys are not known");
  ill.injector = undefined;
  for (const key of ["a", "b", "x", "y", "z"]) await ill.set(key, filler);
  await ill.store.hintsWritten();
  await compacted(ill);
  assert.ok(ill.store.segments().every(({ id, role }) => role !== "sealed" || id === 2));
  assert.deepEqual(await (await ill.killed()).values(...keys), all);
});
