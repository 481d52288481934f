/**
 * `kill -9` of the real server under load over gRPC, again and again on one data
 * directory, with an oracle that knows only what its clients were told.
 *
 * It is a short life of the failure lab, which has many and longer ones:
 * `npm run lab -- kill --only crash`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crashLife } from "../lab/kill/crash.js";
import { Life } from "../lab/kill/life.js";

const KILLS = 3;
const KEYS = 48;
const SEED = 1;

test(`${KILLS} ends under load lose nothing that was acknowledged (V1, V6, V8, V15, D4, M1, M3, M5, B3)`, async (t) => {
  const life = new Life(SEED, KEYS);
  t.after(async () => {
    await life.close();
    life.removeFolder();
  });
  await crashLife(life, KILLS);
  await life.finish();
  t.diagnostic(JSON.stringify(life.counts.all));
  // A load that does nothing, or is never cut, would prove nothing.
  const acknowledged = life.counts.of("synced writes acknowledged");
  assert.ok(acknowledged > KILLS, "too little was written");
  assert.ok(life.counts.of("kills") > 1, "nothing was killed");
  assert.ok(life.counts.of("writes of unknown fate") > 0, "no kill fell into a write");
});
