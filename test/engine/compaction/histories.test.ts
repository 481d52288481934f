/**
 * Random histories with compactions of random victims, against a model and the
 * oracle of durability. A few; the lab has others without end (npm run lab -- simulate).
 * KVIX_HISTORIES: how many; KVIX_HISTORY_SEED: the first.
 */
import { test } from "node:test";
import { CompactionHistory } from "../../support/compaction-history.js";

const histories = Number(process.env["KVIX_HISTORIES"] ?? 12);
const firstSeed = Number(process.env["KVIX_HISTORY_SEED"] ?? 1);

test("V1 V3 V6 V7 V8 V16 M1 M2 M3 M4 M5 B1 I8: random histories with compactions lose nothing and bring nothing back", async (t) => {
  let segmentsRemoved = 0;
  for (let seed = firstSeed; seed < firstSeed + histories; seed += 1) {
    const history = new CompactionHistory(seed);
    try {
      await history.live();
    } catch (error) {
      t.diagnostic(`seed ${seed}`);
      throw error;
    }
    segmentsRemoved += history.segmentsRemoved;
  }
  t.diagnostic(`${histories} histories, ${segmentsRemoved} segments removed`);
});
