/** A manifest that is lost beside a compaction: the repair leaves no live record out. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { CompactionSeams } from "../../../src/engine/compaction/setup.js";
import { repairStore } from "../../../src/engine/repair.js";
import { choosing, compact, compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import { injectFault } from "../../support/faulty-file-system.js";
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
