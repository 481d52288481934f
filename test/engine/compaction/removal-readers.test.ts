/** Readers of the log and snapshots beside real compactions that take away what they read. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { LOG_LEASE_MS } from "../../../src/engine/log-reader.js";
import { choosing, compact, onDemand } from "../../support/compaction-rig.js";
import { versionsOf } from "../../support/log-versions.js";
import { Rig, rejects, watch } from "../../support/store-rig.js";

/** A store of segments of two records each, whose first `victims` are compacted in one step. */
async function twoByTwo(...victims: readonly number[]): Promise<Rig> {
  const rig = await Rig.open({ ...onDemand, segmentBytesMax: 300 }, undefined, undefined, {
    chooseVictims: choosing(victims),
  });
  const keys = Math.max(12, 2 * victims.length + 2);
  for (let index = 0; index < keys; index += 1) await rig.set(`k${index}`, "v".repeat(80));
  await rig.store.hintsWritten();
  return rig;
}

test("M10: a segment that waits for the readers of another is not come to again", async () => {
  const rig = await twoByTwo(0, 1);
  const { logReaders } = rig.store;
  const [first, second] = [0, 2].map((afterVersion) => logReaders.open({ afterVersion }));
  assert.ok(first && second);
  await first.next(1);
  await rig.sim.clock.advance(LOG_LEASE_MS / 2);
  await second.next(1);
  const run = watch(compact(rig));
  await rig.settle();
  // The lease of the first is over, that of the second is not.
  await rig.sim.clock.advance(LOG_LEASE_MS / 2);
  await rejects(first.next(1), "HISTORY_LOST");
  assert.deepEqual((await second.next(1)).version, 4, "it reads on in what it holds");
  second.close();
  await rig.settle();
  await rig.sim.clock.advance(1000);
  assert.equal(run.value?.outcome, "completed");
  assert.equal(rig.store.stats().compaction.segmentsRemoved, 2);
  assert.deepEqual(
    await versionsOf(logReaders.open({ afterVersion: 4 })),
    [5, 6, 7, 8, 9, 10, 11, 12],
  );
  await rig.store.close();
});

test("M10: victims of one step wait for who was there when they were replaced, one after the other for no one else", async () => {
  const rig = await twoByTwo(0, 1, 2);
  const first = rig.store.snapshots.open();
  const run = watch(compact(rig));
  await rig.settle();
  const later = rig.store.snapshots.open();
  first.close();
  await rig.settle();
  assert.equal(rig.store.stats().compaction.pinnedBytes, 0, "the later one cannot name them");
  assert.equal(run.value?.outcome, "completed");
  later.close();
  await rig.store.close();
});

test("M10: many victims that wait for one reader bring no warning of Node's into the log", async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on("warning", note);
  t.after(() => process.off("warning", note));
  const rig = await twoByTwo(...Array.from({ length: 16 }, (_, id) => id));
  const snapshot = rig.store.snapshots.open();
  const run = watch(compact(rig));
  await rig.settle();
  assert.ok(rig.store.stats().compaction.pinnedBytes > 0);
  snapshot.close();
  await rig.settle();
  assert.equal(run.value?.outcome, "completed");
  assert.equal(rig.store.stats().compaction.segmentsRemoved, 16);
  await rig.store.close();
  assert.deepEqual(warnings, []);
});

test("M13 M5: a close ends the readers that a removal waits for, and leaves nothing behind", async () => {
  const rig = await twoByTwo(0, 1);
  const { snapshots, logReaders } = rig.store;
  const snapshot = snapshots.open();
  const reader = logReaders.open({ afterVersion: 0 });
  await reader.next(1);
  const run = watch(compact(rig));
  await rig.settle();
  assert.ok(rig.store.stats().compaction.pinnedBytes > 0);
  await rig.store.close();
  assert.equal(run.state, "resolved");
  await rejects(reader.next(1), "STORE_CLOSING");
  snapshot.close();
  reader.close();
  const entries = await rig.sim.files.list("/store/segments");
  assert.ok(!entries.some(({ name }) => /_0000[01]_/.test(name)), "the victims are gone");
  const next = await Rig.open(rig.options, rig.sim);
  assert.deepEqual(next.store.stats().open.strayFiles, []);
  for (let index = 0; index < 12; index += 1) {
    assert.equal(await next.get(`k${index}`), "v".repeat(80));
  }
  await next.store.close();
});

test("M10 V11: a reader that goes on reading slowly holds what was replaced for one lease, and no longer", async () => {
  const rig = await twoByTwo(0, 1);
  const reader = rig.store.logReaders.open({ afterVersion: 0 });
  await reader.next(1);
  const run = watch(compact(rig));
  await rig.settle();
  await rig.sim.clock.advance(LOG_LEASE_MS / 2);
  assert.equal((await reader.next(1)).version, 2);
  assert.ok(rig.store.stats().compaction.pinnedBytes > 0);
  await rig.sim.clock.advance(LOG_LEASE_MS / 2);
  assert.equal(rig.store.stats().compaction.pinnedBytes, 0);
  assert.equal(run.value?.outcome, "completed");
  await rejects(reader.next(1), "HISTORY_LOST");
  await rig.store.close();
});
