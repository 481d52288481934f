/** The latch: the first reason stands, is logged once, and is what every later write is told. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Latch } from "../../src/engine/latch.js";
import { simHost } from "../support/sim-host.js";

test("V10 D3: a latch that has closed stays closed for its first reason, and says so once", () => {
  const { log } = simHost({ seed: 1 });
  const latch = new Latch(log);
  assert.ok(!latch.isClosed);
  assert.equal(latch.why, undefined);
  const cause = new Error("EIO");
  latch.close("a sync failed", cause);
  latch.close("another failed", new Error("EBADF"));
  assert.ok(latch.isClosed);
  assert.equal(latch.why, "a sync failed");
  assert.equal(log.lines.length, 1);
  assert.deepEqual(log.lines[0]?.fields, { err: cause, why: "a sync failed" });
});

test("V10: a write that comes after the latch was not applied, one that was on its way is uncertain", () => {
  const latch = new Latch(simHost({ seed: 1 }).log);
  latch.close("the seventh disk", new Error("EIO"));
  const [after, underWay] = [latch.readOnly(), latch.uncertain()];
  assert.deepEqual([after.reason, after.outcome], ["STORE_READ_ONLY", "not-applied"]);
  assert.deepEqual([underWay.reason, underWay.outcome], ["SYNC_FAILED", "unknown"]);
  for (const error of [after, underWay]) assert.match(error.message, /the seventh disk/);
});
