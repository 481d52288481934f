/** A compaction seals the active segment first where that pays. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { choosing, compact, compacted, onDemand } from "../../support/compaction-rig.js";
import { injectFault } from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { fileOf, imageOf } from "../../support/store-image.js";
import { Rig, rejects } from "../../support/store-rig.js";

const filler = "x".repeat(60);

test("V14: what a sealing has synced is known to be durable, though nothing is written after it", async () => {
  const options = { ...onDemand, segmentBytesMax: 4096 };
  const seams = { chooseVictims: choosing() };
  const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, seams);
  for (let round = 0; round < 20; round += 1)
    await rig.set("a", filler, { durability: "buffered" });
  const { version } = await rig.set("a", filler, { durability: "buffered" });
  await compacted(rig);
  await rig.sim.clock.advance(5000);
  assert.equal(rig.store.stats().durableVersion, version);
  assert.equal(rig.store.segments().length > 1, true);
});

test("V1 V10: where the sync of a sealing fails nothing counts as durable that was not", async () => {
  const options = { ...onDemand, segmentBytesMax: 4096, flushIntervalMs: 1000 };
  const rig = await Rig.open(options);
  const { version } = await rig.set("a", filler);
  for (let round = 0; round < 20; round += 1)
    await rig.set("a", filler, { durability: "buffered" });
  rig.injector = injectFault({ kind: "error", code: "EIO" }, { op: "syncData", path: /seg$/ });
  await compact(rig);
  assert.equal(rig.store.stats().durableVersion, version);
  await rejects(rig.set("a", "2"), "STORE_READ_ONLY");
  await rig.store.close().catch(() => undefined);
});

test("M6: a small store shrinks in one run: what was sealed for it is compacted", async () => {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 4096 });
  for (let round = 0; round < 20; round += 1) await rig.set("a", filler);
  const end = await compacted(rig);
  assert.equal(end.segmentsDone, 1);
  const { liveBytes, deadBytes } = rig.store.stats();
  assert.equal(deadBytes, 0);
  assert.ok(liveBytes < 200);
  assert.equal(await rig.get("a"), filler);
});

test("V13 V9: a store whose empty active segment is missing has lost nothing, and takes writes", async () => {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 4096 });
  for (let round = 0; round < 20; round += 1) await rig.set("a", filler);
  await compacted(rig);
  const active = rig.store.segments().find(({ role }) => role === "active");
  assert.ok(active);
  const { length } = fileOf(imageOf(rig.sim.files), `/store/segments/${active.file}`);
  assert.equal(length, 0);
  await rig.store.close();
  await rig.sim.files.remove(`/store/segments/${active.file}`);
  const again = await Rig.open(rig.options, rig.sim);
  assert.deepEqual(again.store.stats().damage, []);
  await again.set("b", filler);
  assert.deepEqual(await again.values("a", "b"), { a: filler, b: filler });
  const reopened = await again.reopened();
  assert.deepEqual(reopened.store.stats().damage, []);
  await reopened.set("c", filler);
  assert.deepEqual(await reopened.values("a", "b", "c"), { a: filler, b: filler, c: filler });
});
