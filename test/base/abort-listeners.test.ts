/** Calls that wait by one signal: many of them are one listener, and all leave when it aborts. */
import { strict as assert } from "node:assert";
import { type TestContext, test } from "node:test";
import { AbortListeners } from "../../src/base/abort-listeners.js";
import { ByteBudget } from "../../src/engine/byte-budget.js";
import { bytes, Gate, Rig, rejects, segmentFiles } from "../support/store-rig.js";

const many = 30;

/** Warnings of Node from now on; on a server they are lines on stderr that are no JSON. */
function heardWarnings(t: TestContext): Error[] {
  const warnings: Error[] = [];
  const hear = (warning: Error): void => void warnings.push(warning);
  process.on("warning", hear);
  t.after(() => process.off("warning", hear));
  return warnings;
}

test("many writes of one signal wait without a warning, and all leave when it aborts", async (t) => {
  const warnings = heardWarnings(t);
  const rig = await Rig.open({ inFlightBytesMax: 1 });
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const first = rig.set("first", "1");
  const stop = new AbortController();
  const writes = Array.from({ length: many }, (_, index) => {
    const options = { signal: stop.signal };
    return rig.store.set(bytes(`key-${index}`), bytes("1"), { kind: "never" }, options);
  });
  const refused = writes.map((write) => rejects(write, "CANCELLED"));
  await rig.settle();
  assert.equal(rig.store.stats().waitingCalls, many);
  stop.abort();
  await Promise.all(refused);
  gate.open();
  await first;
  assert.equal(rig.store.stats().keys, 1);
  await rig.store.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});

test("many takes of one signal wait for a budget without a warning", async (t) => {
  const warnings = heardWarnings(t);
  const budget = new ByteBudget(1);
  await budget.take(1);
  const stop = new AbortController();
  const takes = Array.from({ length: many }, () => budget.take(1, stop.signal));
  const refused = takes.map((take) => rejects(Promise.resolve(take), "CANCELLED"));
  stop.abort();
  await Promise.all(refused);
  budget.give(1);
  assert.equal(budget.usedBytes, 0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});

test("one listener serves all of a signal, and goes with the last", () => {
  const listeners = new AbortListeners();
  const stop = new AbortController();
  const other = new AbortController();
  const heard: string[] = [];
  const leaveOne = listeners.add(stop.signal, () => heard.push("one"));
  listeners.add(stop.signal, () => heard.push("two"));
  const leaveOther = listeners.add(other.signal, () => heard.push("other"));
  assert.equal(listeners.count, 2);
  leaveOne();
  leaveOne();
  leaveOther();
  assert.equal(listeners.count, 1);
  stop.abort();
  other.abort();
  assert.deepEqual(heard, ["two"]);
  assert.equal(listeners.count, 0);
});
