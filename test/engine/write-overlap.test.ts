/** Two groups that overlap: one is published while the next one is being synced. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Fault } from "../support/faulty-file-system.js";
import type { OperationFacts } from "../support/file-operation.js";
import { Gate, Rig, rejects, segmentFiles, watch } from "../support/store-rig.js";

const isOnLog = ({ path }: OperationFacts): boolean => segmentFiles.test(path);

/** A store whose next two syncs of the log are held; `spoil` may fail what comes after the first. */
async function holdTwoSyncs(spoil?: (operation: OperationFacts) => Fault | undefined) {
  const rig = await Rig.open();
  await rig.set("before", "0");
  const gates = [new Gate(), new Gate()] as const;
  let syncs = 0;
  rig.injector = (operation) => {
    if (!isOnLog(operation)) return undefined;
    if (syncs > 0) {
      const fault = spoil?.(operation);
      if (fault !== undefined) return fault;
    }
    if (operation.op !== "syncData") return undefined;
    const gate = gates[syncs];
    syncs += 1;
    return gate?.fault;
  };
  const first = watch(rig.set("a", "1"));
  await rig.settle();
  const second = watch(rig.set("b", "1"));
  const buffered = watch(rig.set("c", "1", { durability: "buffered" }));
  await rig.settle();
  return { rig, gates, first, second, buffered };
}

test("V1 V14: a group is answered while the next one is being synced, and the next one is not", async () => {
  const { rig, gates, first, second, buffered } = await holdTwoSyncs();
  assert.deepEqual(await rig.values("a", "b", "c"), {});
  assert.equal(first.state, "pending");
  gates[0].open();
  await rig.settle();
  assert.equal(gates[1].held, 1, "the next sync is under way");
  assert.equal(first.state, "resolved");
  assert.deepEqual([second.state, buffered.state], ["pending", "pending"]);
  assert.deepEqual(await rig.values("a", "b", "c"), { a: "1" });
  assert.equal(rig.store.stats().durableVersion, rig.store.version);
  gates[1].open();
  await rig.settle();
  assert.deepEqual([second.state, buffered.state], ["resolved", "resolved"]);
  assert.deepEqual(await rig.values("a", "b", "c"), { a: "1", b: "1", c: "1" });
  rig.injector = undefined;
  await rig.store.close();
});

test("V1: of two groups that overlap, power loss takes the second alone", async () => {
  const { rig, gates, first } = await holdTwoSyncs();
  gates[0].open();
  await rig.settle();
  assert.equal(first.state, "resolved");
  const after = await rig.powerCut();
  assert.deepEqual(await after.values("before", "a", "b", "c"), { before: "0", a: "1" });
  await after.store.close();
});

test("D3 V10: a failed sync of the second group takes nothing back from the first", async () => {
  const { rig, gates, first, second, buffered } = await holdTwoSyncs();
  rig.sim.files.onOperation = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) && first.state === "resolved" ? "fail" : undefined;
  gates[0].open();
  await rig.settle();
  gates[1].open();
  await rig.settle();
  assert.equal(first.state, "resolved");
  assert.deepEqual([second.state, buffered.state], ["rejected", "rejected"]);
  assert.ok(rig.store.stats().condition.latched);
  assert.equal(rig.store.stats().inFlightBytes, 0);
  assert.deepEqual(await rig.values("a", "b"), { a: "1" });
  await rejects(rig.store.close(), "SYNC_FAILED");
});

test("D3: a failed append of the second group is cut, and the first is answered before the cut", async () => {
  const cutGate = new Gate();
  const { rig, gates, first, second, buffered } = await holdTwoSyncs(({ op }) => {
    if (op === "write") return { kind: "short", lengthBytes: 9, code: "EIO" };
    return op === "truncate" ? cutGate.fault : undefined;
  });
  gates[0].open();
  await rig.settle();
  assert.equal(cutGate.held, 1, "the cut is under way");
  assert.equal(first.state, "resolved");
  assert.equal(second.state, "pending");
  rig.injector = undefined;
  cutGate.open();
  await rig.settle();
  assert.deepEqual([second.state, buffered.state], ["rejected", "rejected"]);
  await rig.set("d", "1");
  assert.deepEqual(await rig.values("a", "b", "c", "d"), { a: "1", d: "1" });
  const after = await rig.powerCut();
  assert.deepEqual(await after.values("a", "b", "c", "d"), { a: "1", d: "1" });
  await after.store.close();
});

test("V14: a condition sees the group that is durable and not yet published", async () => {
  const { rig, gates, first } = await holdTwoSyncs();
  const seen = rig.set("a", "2", { condition: { kind: "absent" } });
  gates[0].open();
  await rig.settle();
  assert.equal(first.state, "resolved");
  gates[1].open();
  const { applied, current } = await seen;
  assert.equal(applied, false);
  assert.ok(current);
  await rig.store.close();
});

test("a group with nothing behind it is answered at once", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  await rig.set("b", "1");
  assert.deepEqual(await rig.values("a", "b"), { a: "1", b: "1" });
  assert.equal(rig.store.stats().inFlightBytes, 0);
  await rig.store.close();
});
