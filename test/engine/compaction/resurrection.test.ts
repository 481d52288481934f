/** What was deleted, has expired or was overwritten stays so, whichever segments are compacted. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Choice, PolicyInput } from "../../../src/engine/compaction/policy.js";
import { choosing, compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import type { Fault } from "../../support/faulty-file-system.js";
import type { OperationFacts } from "../../support/file-operation.js";
import { simHost } from "../../support/sim-host.js";
import { Rig } from "../../support/store-rig.js";

/** Every record has a segment of its own; ids count from 0. */
const oneEach = { ...onDemand, segmentBytesMax: 128 };
const filler = "x".repeat(60);

async function withoutHints(rig: Rig): Promise<Rig> {
  for (const { name } of await rig.sim.files.list("/store/segments")) {
    if (name.endsWith(".hint")) await rig.sim.files.remove(`/store/segments/${name}`);
  }
  return await rig.killed();
}

test("M1 V6: a value in one segment, its tombstone in the next, only that compacted: the key stays gone", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(oneEach, sim, undefined, { chooseVictims: choosing([1], [1, 2]) });
  await rig.set("k", filler);
  await rig.delete("k");
  await rig.set("other", filler);
  await rig.set("last", filler);
  await rig.store.hintsWritten();
  const end = await compacted(rig);
  assert.equal(end.segmentsDone > 0, true);
  assert.equal(await rig.get("k"), undefined);
  const again = await rig.reopened();
  assert.deepEqual(await again.values("k", "other", "last"), { other: filler, last: filler });
  const bare = await withoutHints(again);
  assert.deepEqual(await bare.values("k", "other", "last"), { other: filler, last: filler });
});

test("M1 V6: a value that a compaction moved, its tombstone in the log, all of that compacted: the key stays gone", async () => {
  const first = choosing([0, 1]);
  let runs = 0;
  const chooseVictims: typeof first = (input) => {
    runs += 1;
    if (runs <= 2) return first(input);
    const ids = input.candidates.flatMap(({ id, isCompacted }) => (isCompacted ? [] : [id]));
    return runs > 3 ? { kind: "nothing" } : { kind: "victims", ids };
  };
  const rig = await Rig.open(oneEach, simHost({ seed: 1 }), undefined, { chooseVictims });
  await rig.set("k", filler);
  await rig.set("other", filler);
  await rig.set("other", filler);
  await rig.store.hintsWritten();
  await compacted(rig);
  await rig.delete("k");
  await rig.set("last", filler);
  await rig.set("end", filler);
  await rig.store.hintsWritten();
  await compacted(rig);
  const rest = { other: filler, last: filler, end: filler };
  const again = await rig.killed();
  assert.deepEqual(await again.values("k", "other", "last", "end"), rest);
  const bare = await withoutHints(again);
  assert.deepEqual(await bare.values("k", "other", "last", "end"), rest);
});

test("M1 V6: a tombstone that a compaction has moved hides as before, when nothing lives beside it any more", async () => {
  let victim = 1;
  const chooseVictims = ({ candidates }: PolicyInput): Choice => {
    const isThere = candidates.some(({ id }) => id === victim);
    return isThere ? { kind: "victims", ids: [victim] } : { kind: "nothing" };
  };
  const rig = await Rig.open(oneEach, simHost({ seed: 1 }), undefined, { chooseVictims });
  await rig.set("k", filler + filler.slice(30));
  await rig.delete("k");
  await rig.set("l", filler);
  await rig.set("last", filler);
  await rig.set("end", filler);
  await rig.store.hintsWritten();
  await compacted(rig);
  const output = rig.store.segments().find(({ role }) => role === "compacted");
  assert.match(output?.file ?? "", /_00004_/);
  await rig.set("l", `2${filler}`);
  victim = 4;
  await compacted(rig);
  assert.equal(rig.store.stats().compaction.segmentsRemoved, 2);
  const bare = await withoutHints(await rig.killed());
  assert.equal(await bare.get("k"), undefined);
});

test("M2 V6: an expired record is compacted alone: what it replaced does not come back", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(oneEach, sim, undefined, { chooseVictims: choosing([1], [2]) });
  await rig.set("k", filler);
  await rig.set("k", `2${filler}`, { expiry: { kind: "ttl", ttlMs: 1000 } });
  await rig.set("last", filler);
  await rig.store.hintsWritten();
  await sim.clock.advance(1500);
  assert.equal(await rig.get("k"), undefined);
  await rig.set("end", filler);
  await compacted(rig);
  assert.equal(await rig.get("k"), undefined);
  const again = await rig.reopened();
  assert.deepEqual(await again.values("k", "last"), { last: filler });
  const bare = await withoutHints(again);
  assert.deepEqual(await bare.values("k", "last"), { last: filler });
});

for (const unread of ["all", "its first block"] as const) {
  test(`M1 V6 V13: what was deleted stays so, though the disk refused ${unread} of the log's end meanwhile`, async () => {
    const blockBytes = 4096;
    const options = { ...onDemand, segmentBytesMax: 2 * blockBytes };
    const large = "x".repeat(blockBytes);
    const rig = await Rig.open(options, simHost({ seed: 1 }));
    await rig.set("k", filler);
    await rig.set("other", large + filler);
    await rig.set("k", `2${large}`);
    await rig.set("z", filler);
    await rig.store.hintsWritten();
    const sim = simHost({ seed: 2, files: rig.sim.files.kill(), clock: rig.sim.clock });
    const refuse = ({ op, path, position }: OperationFacts): Fault | undefined => {
      const isRefused = op === "read" && /_00001_.*seg$/.test(path);
      if (!isRefused || (unread !== "all" && position !== 0)) return undefined;
      return { kind: "error", code: "EIO" };
    };
    const ill = await Rig.open(options, sim, refuse, { chooseVictims: takingAll(2) });
    assert.equal(await ill.get("k"), filler, "nobody knows of the newer one");
    assert.equal(await ill.get("z"), unread === "all" ? undefined : filler);
    assert.equal((await ill.delete("k")).deleted, true);
    for (const key of ["a", "b", "c"]) await ill.set(key, large);
    await ill.store.hintsWritten();
    assert.ok((await compacted(ill)).segmentsDone > 0);
    const well = await ill.killed();
    assert.deepEqual(Object.keys(await well.values("k", "z")), ["z"]);
  });
}

test("M2: a lifetime that an overwrite removed or shortened is that of the newest record", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(oneEach, sim, undefined, { chooseVictims: takingAll() });
  await rig.set("longer", filler, { expiry: { kind: "ttl", ttlMs: 1000 } });
  await rig.set("longer", filler);
  await rig.set("shorter", filler);
  await rig.set("shorter", filler, { expiry: { kind: "ttl", ttlMs: 1000 } });
  await rig.set("last", filler);
  await rig.store.hintsWritten();
  await compacted(rig);
  assert.deepEqual(await rig.values("longer", "shorter"), { longer: filler, shorter: filler });
  await sim.clock.advance(1000);
  assert.deepEqual(await rig.values("longer", "shorter"), { longer: filler });
  const again = await rig.reopened();
  assert.deepEqual(await again.values("longer", "shorter"), { longer: filler });
});

test("M4: a record that was moved keeps its bytes, its version and its expiry", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(oneEach, sim, undefined, { chooseVictims: takingAll() });
  const expiry = { kind: "at", atMs: sim.clock.wallMs() + 1e9 } as const;
  await rig.set("a", filler, { expiry });
  await rig.set("b", filler);
  await rig.set("last", filler);
  await rig.store.hintsWritten();
  const before = await rig.store.get(Buffer.from("a"));
  await compacted(rig);
  for (let now = rig, turn = 0; turn < 2; now = await now.reopened(), turn += 1) {
    const after = await now.store.get(Buffer.from("a"));
    assert.deepEqual(after?.payload, before?.payload);
    assert.equal(after?.version, 1);
    assert.equal(after?.expiresAtMs, expiry.atMs);
    assert.equal(now.store.segments().filter(({ role }) => role === "compacted").length, 1);
  }
});

test("M6: tombstones go when what they hid is gone: everything deleted, nothing left", async () => {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 400 });
  for (let round = 0; round < 3; round += 1) {
    for (let key = 0; key < 20; key += 1) await rig.set(`key ${key}`, filler);
  }
  for (let key = 0; key < 20; key += 1) await rig.delete(`key ${key}`);
  await rig.store.hintsWritten();
  await compacted(rig);
  await rig.store.hintsWritten();
  await compacted(rig);
  const { keys, liveBytes, deadBytes } = rig.store.stats();
  assert.deepEqual({ keys, liveBytes }, { keys: 0, liveBytes: 0 });
  assert.ok(deadBytes < 400, `${deadBytes} bytes are left`);
  const again = await rig.reopened();
  assert.equal(again.store.stats().keys, 0);
});

test("M6 V6: a cold record in an old segment does not keep the tombstones of other keys for ever", async () => {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 400 });
  await rig.set("cold", filler);
  await rig.set("dead", filler);
  await rig.set("dead", "");
  for (let key = 0; key < 40; key += 1) {
    await rig.set(`queue ${key}`, filler);
    await rig.delete(`queue ${key}`);
  }
  await rig.store.hintsWritten();
  for (let turn = 0; turn < 4; turn += 1) {
    await compacted(rig);
    await rig.store.hintsWritten();
  }
  const { liveBytes, deadBytes } = rig.store.stats();
  assert.ok(deadBytes <= 2 * liveBytes + 400, `${deadBytes} dead bytes beside ${liveBytes} live`);
  const again = await rig.reopened();
  assert.deepEqual(await again.values("cold", "dead", "queue 1"), { cold: filler, dead: "" });
});

test("M7: compaction without writes comes to an end, and then changes nothing", async () => {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 400 });
  for (let round = 0; round < 3; round += 1) {
    for (let key = 0; key < 30; key += 1) await rig.set(`key ${key % (10 + round)}`, filler);
  }
  await rig.delete("key 3");
  await rig.store.hintsWritten();
  for (let turn = 0; turn < 3; turn += 1) await compacted(rig);
  rig.trace.length = 0;
  const end = await compacted(rig);
  assert.equal(end.outcome, "nothing-to-do");
  assert.deepEqual(rig.trace, []);
});

test("M9: the active segment is never a victim", async () => {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 4096 }, undefined, undefined, {
    chooseVictims: takingAll(),
  });
  await rig.set("a", "1");
  await rig.set("a", "2");
  const end = await compacted(rig);
  assert.equal(end.outcome, "nothing-to-do");
  assert.deepEqual(
    rig.store.segments().map(({ role }) => role),
    ["active"],
  );
});

test("T6 T7: a clock that jumps ten years ahead makes no compaction take what has only seemed to expire", async () => {
  const sim = simHost({ seed: 1 });
  const rig = await Rig.open(oneEach, sim, undefined, { chooseVictims: takingAll() });
  const hour = { kind: "ttl", ttlMs: 3_600_000 } as const;
  for (const key of ["a", "b", "c"]) await rig.set(key, filler, { expiry: hour });
  await rig.set("last", filler);
  await rig.store.hintsWritten();
  const jumpMs = 10 * 365 * 24 * 3_600_000;
  sim.clock.stepWall(jumpMs);
  await sim.clock.advance(1000);
  assert.deepEqual(await rig.values("a", "b", "c"), {}, "they are hidden meanwhile");
  const end = await compacted(rig);
  assert.equal(end.segmentsDone, 3);
  sim.clock.stepWall(-jumpMs);
  const all = { a: filler, b: filler, c: filler };
  assert.deepEqual(await rig.values("a", "b", "c"), all);
  assert.deepEqual(await (await rig.reopened()).values("a", "b", "c"), all);
});
