/**
 * Random lives of an embedded store against a model of a page.
 *
 *     KVIX_RUNS=20 npm test -- test/model       twenty times as many
 *     KVIX_SEED=123 npm test -- test/model      that life again
 */
import { test } from "node:test";
import fc from "fast-check";
import { ModelRun } from "../support/model-run.js";
import { modelSteps } from "../support/model-steps.js";

const runs = Math.ceil(250 * Number(process.env["KVIX_RUNS"] ?? "1"));

test("V1 V2 V5 V8 V14 V15 D1 D5 I1 I2 T1 T2 T3 T4 T5 B1 B2: whatever is done to it, the store answers as the model", async (t) => {
  const given = process.env["KVIX_SEED"];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  t.diagnostic(`KVIX_SEED=${seed}, ${runs} runs`);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 200, max: 600 }), modelSteps, async (bytesMax, steps) => {
      await new ModelRun(bytesMax).run(steps);
    }),
    { seed, numRuns: runs },
  );
});
