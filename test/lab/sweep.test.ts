/** That the sweep finds what it looks for, and what its lives are made of. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { CrashRun } from "../support/crash-run.js";
import { CrashSweep } from "../support/crash-sweep.js";
import { ErrorSweep, writeErrors } from "../support/error-sweep.js";
import { liveOn } from "../support/live-on.js";
import type { SimHook } from "../support/sim-hook.js";
import { drawLife, lifeNames } from "./sweep/life-plan.js";
import { Life, LifeCounts, newRunOf } from "./sweep/life-run.js";

/** A short life, whose syncs of segments are no syncs: what a store is that skips them. */
async function lifeWithoutSyncs(run: CrashRun): Promise<void> {
  const { files } = run.host;
  const lie = files.onOperation;
  const hook: SimHook = (operation) => {
    const verdict = lie?.(operation);
    if (verdict !== undefined || operation.op !== "syncData") return verdict;
    if (!operation.path.endsWith(".seg")) return verdict;
    return "skip";
  };
  files.onOperation = hook;
  await run.open();
  await run.set("a", "1");
  await run.set("a", "2");
}

const short = async (run: CrashRun): Promise<void> => {
  await run.open();
  await run.set("a", "1");
  await run.set("b", "1");
};

test("D1 V1: a store whose syncs are none is found", async () => {
  const sweep = new CrashSweep({ life: lifeWithoutSyncs, liveOn });
  await assert.rejects(
    sweep.cutPower({ stride: 1, rarity: 8, from: 25 }),
    /the state is none that/,
  );
});

test("V15: a version that is two things is found", async () => {
  let lives = 0;
  const life = async (run: CrashRun): Promise<void> => {
    await run.open();
    lives += 1;
    // As a store that gives a lost version to another write.
    await run.set("a", `${lives}`);
  };
  const sweep = new CrashSweep({
    life: async (run) => {
      await life(run);
      const twin = run.next(newRunOf(drawLife(4)).host);
      await life(twin);
    },
    liveOn,
  });
  await assert.rejects(sweep.countOperations(), /V15: version \d+ is two things/);
});

test("D3 V10: a store that goes on after a failed sync is found", async () => {
  const life = async (run: CrashRun): Promise<void> => {
    await short(run).catch(() => undefined);
    run.oracle.allDurable();
    // What was refused, or is unknown, counts as done.
    for (let ticket = 0; ticket < run.oracle.writes; ticket += 1)
      run.oracle.acknowledge(ticket, true, []);
  };
  const sweep = new ErrorSweep({ life, liveOn });
  const run = sweep.run({ kinds: writeErrors.slice(0, 1), stride: 1, kindsEach: 1 });
  await assert.rejects(run, /EIO once at \d+ .*the state is none that/s);
});

test("R8: a life is the same from its seed every time, and the names take turns", async () => {
  for (let seed = 0; seed < lifeNames.length; seed += 1) {
    const plan = drawLife(seed);
    assert.equal(plan.name, lifeNames[seed]);
    assert.deepEqual(drawLife(seed), plan);
    const life = new Life(plan, new LifeCounts());
    const sweep = new CrashSweep({
      life: (run) => life.live(run),
      liveOn,
      newRun: () => newRunOf(plan),
    });
    const operations = await sweep.countOperations();
    assert.equal(await sweep.countOperations(), operations);
    assert.ok(operations > 60, `${plan.name}: ${operations} operations`);
  }
});
