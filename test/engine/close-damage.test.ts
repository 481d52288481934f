/** What a read finds while the store is being closed. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, rejects, segmentFiles } from "../support/store-rig.js";

test("V4 V15: damage that a read finds during a close is saved before the locks go, or not at all", async () => {
  const rig = await Rig.open({ cacheBytesMax: 0 });
  await rig.set("large", "v".repeat(2_000_000));
  await rig.set("last", "v");
  const [frame] = await rig.frames();
  await flipBitAtRest(rig.sim.files, `/store/segments/${frame?.segment}`, 8 * 1_000_000);
  const reading = new Gate();
  const saving = new Gate();
  const order: string[] = [];
  rig.injector = ({ op, path }) => {
    if (op === "read" && segmentFiles.test(path)) return reading.fault;
    if (op === "rename" || op === "release") order.push(op);
    // As slow as it may be: whoever opens the store meanwhile has a manifest of his own.
    return op === "rename" && order.length > 1 ? saving.fault : undefined;
  };
  const read = rejects((async () => rig.store.get(bytes("large")))(), "RECORD_CORRUPT");
  await rig.settle();
  assert.equal(reading.held, 1);
  const closed = rig.store.close();
  await rig.settle();
  assert.deepEqual(order, ["rename"], "the clean mark");
  reading.open();
  await read;
  await rig.settle();
  assert.deepEqual(order, ["rename", "rename"]);
  saving.open();
  await closed;
  await rig.settle();
  assert.deepEqual(order, ["rename", "rename", "release", "release"]);
  const next = await Rig.open(rig.options, rig.sim);
  assert.equal(next.store.stats().damage.length, 1, "it is remembered");
  await next.store.close();
});
