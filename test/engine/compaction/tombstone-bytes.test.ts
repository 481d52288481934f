/** What the policy is told of tombstones: each counts once, in the session that wrote it and after. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Candidate, Choice, PolicyInput } from "../../../src/engine/compaction/policy.js";
import { compacted, onDemand } from "../../support/compaction-rig.js";
import { Rig } from "../../support/store-rig.js";

test("M2 I8: a tombstone counts once, whether it was just written or read from frames or a hint", async () => {
  let seen: readonly Candidate[] = [];
  const chooseVictims = ({ candidates }: PolicyInput): Choice => {
    seen = candidates;
    return { kind: "nothing" };
  };
  const keys = ["a", "b", "c", "d"];
  let rig = await Rig.open({ ...onDemand, segmentBytesMax: 300 }, undefined, undefined, {
    chooseVictims,
  });
  for (const key of keys) await rig.set(key, "v".repeat(40));
  for (const key of keys) await rig.delete(key);
  // Segments of values, of tombstones, and an active one of values.
  for (let index = 0; index < 6; index += 1) await rig.set(`x${index}`, "v".repeat(200));
  const tombstones = (await rig.frames()).filter(({ records }) => records[0]?.isTombstone);
  const wanted = tombstones.reduce((sum, { length }) => sum + length, 0);
  for (const life of ["just written", "from hints", "from frames"]) {
    await rig.store.hintsWritten();
    await compacted(rig);
    const kept = seen.reduce((sum, { keptBytes }) => sum + keptBytes, 0);
    assert.equal(kept, wanted, life);
    await rig.store.close();
    if (life === "from hints") {
      for (const { name } of await rig.sim.files.list("/store/segments")) {
        if (name.endsWith(".hint")) await rig.sim.files.remove(`/store/segments/${name}`);
      }
    }
    rig = await Rig.open(rig.options, rig.sim, undefined, { chooseVictims });
  }
  await rig.store.close();
});
