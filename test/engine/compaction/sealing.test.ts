/** A compaction seals the active segment first where that pays. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { choosing, compacted, onDemand } from "../../support/compaction-rig.js";
import { simHost } from "../../support/sim-host.js";
import { fileOf, imageOf } from "../../support/store-image.js";
import { Rig } from "../../support/store-rig.js";

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
