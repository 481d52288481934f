/** Places in victims that were taken before the index was pointed at the output. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { choosing, compact, onDemand } from "../../support/compaction-rig.js";
import { simHost } from "../../support/sim-host.js";
import { Gate, Rig, text } from "../../support/store-rig.js";

const filler = "x".repeat(60);

test("M10: a write is told what it replaced, though the segment of that is gone by then", async () => {
  const options = { ...onDemand, segmentBytesMax: 300, cacheBytesMax: 0 };
  const seams = { chooseVictims: choosing([0, 1]) };
  const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, seams);
  for (const key of ["a", "b", "c", "d", "e", "f", "g"]) await rig.set(key, filler);
  await rig.store.hintsWritten();
  const commit = new Gate();
  const sync = new Gate();
  let manifests = 0;
  rig.injector = ({ op, path }) => {
    if (op === "create" && /MANIFEST/.test(path) && ++manifests === 2) return commit.fault;
    return op === "syncData" && /_00002_.*seg/.test(path) ? sync.fault : undefined;
  };
  const end = compact(rig);
  while (commit.held === 0) await rig.settle();
  const replacing = rig.delete("a", { returnPrevious: true });
  await rig.settle();
  assert.equal(sync.held, 1);
  commit.open();
  await rig.settle();
  // The run waits a moment for the segments' readers, and then no longer.
  await rig.sim.clock.advance(1500);
  await end;
  sync.open();
  const { deleted, previous } = await replacing;
  assert.equal(deleted, true);
  assert.equal(text(previous?.value ?? new Uint8Array(0)), filler);
});
