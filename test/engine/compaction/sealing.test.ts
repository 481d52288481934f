/** A compaction seals the active segment first where that pays. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { compacted, onDemand } from "../../support/compaction-rig.js";
import { Rig } from "../../support/store-rig.js";

const filler = "x".repeat(60);

test("V14: what a sealing has synced is known to be durable, though nothing is written after it", async () => {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 4096 });
  for (let round = 0; round < 20; round += 1)
    await rig.set("a", filler, { durability: "buffered" });
  const { version } = await rig.set("a", filler, { durability: "buffered" });
  await compacted(rig.store);
  await rig.sim.clock.advance(5000);
  assert.equal(rig.store.stats().durableVersion, version);
  assert.equal(rig.store.segments().length > 1, true);
});
