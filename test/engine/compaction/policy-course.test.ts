/** The choice of victims over the life of a store, as the benches model it. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { CompactionModel } from "../../../bench/compaction-model.js";
import { KeyChoice } from "../../../bench/key-choice.js";

const keys = 5000;
const recordBytes = 1000;
const segmentBytesMax = (keys * recordBytes) / 50;

/** A store that was loaded and then written to for a while, one write in ten a delete. */
function aged(seed: number): CompactionModel {
  const choice = new KeyChoice("zipfian", keys, seed);
  const model = new CompactionModel({
    keys,
    segmentBytesMax,
    recordBytes,
    tombstoneBytes: 50,
    hintEntryBytes: 40,
    deadPercent: 31,
    retainedBytes: 0,
  });
  for (const key of choice.shuffled) model.set(key);
  for (let write = 0; write < 4 * keys; write++) {
    if (choice.random.chance(0.1)) model.delete(choice.next());
    else model.set(choice.next());
    if (write % 10 === 0) model.compact("due");
  }
  return model;
}

test("M7: a run that is repeated without writes writes nothing", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const model = aged(seed);
    model.compact("thorough");
    const after = model.figures();
    for (const extent of ["due", "thorough"] as const) {
      model.compact(extent);
      assert.deepEqual(model.figures(), after);
    }
    assert.ok(after.diskBytes < after.liveBytes * 1.2, `${after.diskBytes} of ${after.liveBytes}`);
    assert.ok(after.segments < 2 * 50 + 8, `${after.segments} segments`);
  }
});

test("M6: after everything was deleted, the tombstones of the active segment are left", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const model = aged(seed);
    for (let key = 0; key < keys; key++) model.delete(key);
    model.compact("thorough");
    const { liveBytes, diskBytes, segments } = model.figures();
    assert.equal(liveBytes, 0);
    assert.ok(diskBytes <= segmentBytesMax, `${diskBytes} bytes in ${segments} segments`);
  }
});

test("M8: the output of a step is never larger than a segment and its hint", () => {
  const { stepBytesMax } = aged(1).figures();
  assert.ok(stepBytesMax > 0 && stepBytesMax <= segmentBytesMax * 1.04, `${stepBytesMax} bytes`);
});
