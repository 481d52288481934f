/** A compaction seals the active segment first where that pays. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { choosing, compacted, onDemand } from "../../support/compaction-rig.js";
import { simHost } from "../../support/sim-host.js";
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
