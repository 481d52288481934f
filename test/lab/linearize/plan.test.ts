/** What the seeds of the instrument make it do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { planOf } from "./plan.js";

test("a plan follows from its seed, and stays within what a history is to be", () => {
  assert.deepEqual(planOf(7), planOf(7));
  const plans = Array.from({ length: 300 }, (_, seed) => planOf(seed));
  for (const { clients, keys, lives } of plans) {
    assert.ok(clients >= 8 && keys >= 1 && keys <= 8);
    assert.ok(lives.length >= 2 && lives.length <= 5);
    const operations = lives.reduce((sum, life) => sum + life.operations, 0);
    assert.ok(operations >= 8000 && operations <= 16_000);
  }
  const shares = {
    kills: plans.flatMap(({ lives }) => lives).filter(({ ending }) => ending === "kill").length,
    compacted: plans.filter(({ isCompacted }) => isCompacted).length,
    proxied: plans.filter(({ isProxied }) => isProxied).length,
  };
  for (const [name, count] of Object.entries(shares)) assert.ok(count > 60, `${name}: ${count}`);
});
