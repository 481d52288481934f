/** The meter of index steps: it stops the step that would touch too much. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KvixError } from "../../../src/base/kvix-error.js";
import { StepMeter } from "../../../src/engine/keydir/step-meter.js";

test("a step may touch 65,536 bytes, and not one more (V11)", () => {
  const meter = new StepMeter();
  meter.begin();
  meter.add(65_000);
  assert.equal(meter.room, 536);
  meter.add(536);
  assert.throws(
    () => meter.add(1),
    (error) => error instanceof KvixError && error.reason === "INTERNAL_BUG",
  );
  meter.begin();
  meter.add(65_536);
  assert.equal(meter.room, 0);
});

test("the worst step is remembered", () => {
  const meter = new StepMeter();
  for (const bytes of [10, 4_000, 300]) {
    meter.begin();
    meter.add(bytes);
    meter.add(bytes);
  }
  assert.equal(meter.worstBytes, 8_000);
});
