/** A compaction of many segments at once, whose files all go at the same time. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import { Rig } from "../../support/store-rig.js";

test("M10 V11: the process says nothing of leaks when many segments go at once", async () => {
  const warnings: string[] = [];
  const hear = ({ message }: Error): void => void warnings.push(message);
  process.on("warning", hear);
  try {
    const options = { segmentBytesMax: 130, ...onDemand };
    const rig = await Rig.open(options, undefined, undefined, { chooseVictims: takingAll() });
    for (let index = 0; index < 30; index += 1) await rig.set(`k${index % 3}`, "x".repeat(60));
    await rig.store.hintsWritten();
    // Somebody who reads has all of them wait.
    const snapshot = rig.store.snapshots.open();
    const done = compacted(rig);
    await rig.settle();
    snapshot.close();
    await done;
    assert.ok(rig.store.stats().compaction.segmentsRemoved > 15);
    await rig.store.close();
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off("warning", hear);
  }
  assert.deepEqual(warnings, []);
});
