/** A manifest that is lost beside a compaction: the repair leaves no live record out. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { CompactionSeams } from "../../../src/engine/compaction/setup.js";
import { repairStore } from "../../../src/engine/repair.js";
import { choosing, compact, compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import { flipBitAtRest, injectFault } from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { Gate, Rig, text, watch } from "../../support/store-rig.js";

/** Every record has a segment of its own; ids count from 0. */
const oneEach = { ...onDemand, segmentBytesMax: 128 };
const filler = "x".repeat(60);

/** Kills the process, loses the manifest, repairs it and opens the store. */
async function repaired(rig: Rig, seams?: CompactionSeams): Promise<Rig> {
  const files = rig.sim.files.kill();
  const sim = simHost({ seed: 3, files, clock: rig.sim.clock });
  const manifest = await files.open("/store/MANIFEST", "write");
  await manifest.write(new Uint8Array(await manifest.size()), 0);
  await manifest.close();
  const report = await repairStore(rig.options, sim);
  assert.equal(report.isRepaired, true);
  return await Rig.open(rig.options, sim, undefined, seams);
}

test("M5 V16: the manifest before a commit calls the output pending: a repair by it takes the output in", async () => {
  const seams = { chooseVictims: choosing([0, 1]) };
  const rig = await Rig.open(oneEach, simHost({ seed: 1 }), undefined, seams);
  for (const key of ["a", "b", "c"]) await rig.set(key, filler);
  await rig.store.hintsWritten();
  // Pending and commit go through; that the victims are gone is not written down.
  const refusal = { op: "create", path: /MANIFEST.tmp/, nth: 2, sticky: true } as const;
  rig.injector = injectFault({ kind: "error", code: "EIO" }, refusal);
  await compact(rig);
  const again = await repaired(rig);
  assert.deepEqual(await again.values("a", "b", "c"), { a: filler, b: filler, c: filler });
});

test("R1 R2: after a compaction a repair still knows which segment is the active one", async () => {
  const seams = { chooseVictims: choosing([0, 1]) };
  const rig = await Rig.open(oneEach, simHost({ seed: 1 }), undefined, seams);
  for (const key of ["a", "b", "c"]) await rig.set(key, filler);
  await rig.store.hintsWritten();
  await compact(rig);
  const active = rig.store.segments().find(({ role }) => role === "active");
  assert.ok(active);
  const file = await rig.sim.files.open(`/store/segments/${active.file}`, "write");
  await file.write(new Uint8Array(20).fill(7), await file.size());
  await file.close();
  const again = await repaired(rig);
  assert.deepEqual(again.store.stats().damage, []);
  assert.deepEqual(await again.values("a", "b", "c"), { a: filler, b: filler, c: filler });
  const record = await again.store.get(new TextEncoder().encode("c"));
  assert.equal(text(record?.value ?? new Uint8Array(0)), filler);
});

test("M1 M3 M5: after a repair that took an output in beside its victims, the store can be compacted", async () => {
  const seams = { chooseVictims: choosing([0, 1, 2]) };
  const rig = await Rig.open(oneEach, simHost({ seed: 1 }), undefined, seams);
  for (const key of ["a", "b", "c", "d"]) await rig.set(key, filler);
  await rig.store.hintsWritten();
  const commit = new Gate();
  let manifests = 0;
  rig.injector = ({ op, path }) => {
    if (op === "create" && /MANIFEST/.test(path)) manifests += 1;
    return manifests === 2 ? commit.fault : undefined;
  };
  watch(compact(rig));
  while (commit.held === 0) await rig.settle();
  const again = await repaired(rig, { chooseVictims: takingAll() });
  await again.delete("a");
  await again.set("b", `2${filler}`);
  const expected = { b: `2${filler}`, c: filler, d: filler };
  await again.store.hintsWritten();
  await compacted(again);
  assert.deepEqual(await again.values("a", "b", "c", "d"), expected);
  assert.deepEqual(again.store.stats().damage, []);
  const reopened = await again.reopened();
  assert.deepEqual(await reopened.values("a", "b", "c", "d"), expected);
});

test("R2 V13 M12: an output whose first frame is damaged is not taken for the active segment, and nothing of it is cut", async () => {
  const seams = { chooseVictims: choosing([0, 1]) };
  const sixEach = { ...onDemand, segmentBytesMax: 700 };
  const rig = await Rig.open(sixEach, simHost({ seed: 1 }), undefined, seams);
  const keys = Array.from({ length: 12 }, (_, key) => `k${key}`);
  for (const key of keys) await rig.set(key, filler);
  for (const key of keys.slice(0, 7)) await rig.set(key, `2${filler}`);
  await rig.store.hintsWritten();
  await compact(rig);
  const output = rig.store.segments().at(-1);
  assert.equal(output?.role, "compacted");
  const path = `/store/segments/${output.file}`;
  const files = rig.sim.files.kill();
  const sim = simHost({ seed: 3, files, clock: rig.sim.clock });
  await flipBitAtRest(files, path, 8 * 40);
  for (const name of ["MANIFEST", "MANIFEST.prev"]) await files.remove(`/store/${name}`);
  await repairStore(rig.options, sim);
  const again = await Rig.open(rig.options, sim);
  const { condition, damage } = again.store.stats();
  assert.equal(damage.length, 1, "the damage is known");
  assert.ok(condition.degraded);
  const readable = await Promise.allSettled(keys.map((key) => again.values(key)));
  const lost = readable.filter(({ status }) => status === "rejected").length;
  assert.ok(lost <= 1, `${lost} keys are lost to one bit`);
  assert.equal(readable.filter(({ status }) => status === "fulfilled").length + lost, keys.length);
});

test("R8 M5: what a repair leaves out does not make its own manifest look outdated", async () => {
  const seams = { chooseVictims: choosing([0, 1]) };
  const rig = await Rig.open(oneEach, simHost({ seed: 1 }), undefined, seams);
  for (const key of ["a", "b", "c"]) await rig.set(key, filler);
  await rig.store.hintsWritten();
  const refusal = { op: "create", path: /MANIFEST.tmp/, nth: 2, sticky: true } as const;
  rig.injector = injectFault({ kind: "error", code: "EIO" }, refusal);
  await compact(rig);
  // The newest file by name; the manifest before calls it pending, so half of it is left out.
  const output = rig.store.segments().at(-1);
  assert.equal(output?.role, "compacted");
  const file = await rig.sim.files.open(`/store/segments/${output.file}`, "write");
  await file.truncate((await file.size()) - 10);
  await file.close();
  const again = await repaired(rig);
  assert.deepEqual(await again.values("c"), { c: filler });
  await again.set("d", filler);
  const reopened = await again.reopened();
  assert.deepEqual(await reopened.values("c", "d"), { c: filler, d: filler });
});
