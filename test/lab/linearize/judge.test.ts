/** What is held against a whole history, how it is told, and how concurrent it was. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimRandom } from "../../support/sim-random.js";
import { checkKey } from "./checker.js";
import type { Answer, Operation } from "./history.js";
import { Recorder } from "./history.js";
import { judge } from "./judge.js";
import { overlapOf } from "./overlap.js";
import { soundHistory } from "./random-history.js";
import { partLines, shrink } from "./shrink.js";
import { versionFaults } from "./version-order.js";

const told = (more: Partial<Answer>): Answer => {
  return { applied: true, version: 0, shown: undefined, storeVersion: 0, ...more };
};

/** A set of `key`, from place to place. */
function set(
  key: number,
  version: number,
  calledAt: number,
  more: Partial<Answer> = {},
): Operation {
  const answer = told({ version, ...more });
  const value = `#${calledAt}`;
  return {
    client: 0,
    key,
    kind: "set",
    value,
    condition: undefined,
    calledAt,
    endedAt: calledAt + 1,
    answer,
  };
}

/** A get of `key` that showed what the set at place `of` wrote. */
function get(key: number, calledAt: number, of: Operation, storeVersion = 0): Operation {
  const shown = { value: of.value ?? "", version: of.answer?.version ?? 0 };
  const answer = told({ shown, storeVersion });
  const intent = { client: 1, key, kind: "get", value: undefined, condition: undefined } as const;
  return { ...intent, calledAt, endedAt: calledAt + 1, answer };
}

test("writes of different keys have their versions in the order in which they were acknowledged (V5 V15)", () => {
  assert.deepEqual(versionFaults([set(0, 1, 0), set(1, 2, 2)]), []);
  const overlapping = [{ ...set(0, 2, 0), endedAt: 9 }, set(1, 1, 2)];
  assert.deepEqual(versionFaults(overlapping), []);
  const [fault] = versionFaults([set(0, 2, 0), set(1, 1, 2)]);
  assert.match(fault ?? "", /below one that was given before:\n {2}key 0 .*\n {2}key 1 /);
});

test("a version belongs to one write, and shows one value under one key (V15)", () => {
  const first = set(0, 1, 0);
  assert.match(versionFaults([first, set(1, 1, 2)]).join("\n"), /a version was given twice/);
  const other = { ...set(0, 1, 0), value: "another" };
  assert.match(versionFaults([first, get(0, 2, other)]).join("\n"), /a version has two records/);
  assert.match(versionFaults([first, get(1, 2, first)]).join("\n"), /a version has two records/);
});

test("the version of the store does not go back, and covers what an answer tells (V14)", () => {
  const sound = [set(0, 1, 0, { storeVersion: 1 }), set(1, 2, 2, { storeVersion: 2 })];
  assert.deepEqual(versionFaults(sound), []);
  const back = [set(0, 1, 0, { storeVersion: 9 }), set(1, 2, 2, { storeVersion: 8 })];
  assert.match(versionFaults(back).join("\n"), /the version of the store went back/);
  const low = [set(0, 5, 0, { storeVersion: 4 })];
  assert.match(versionFaults(low).join("\n"), /a version above that of the store/);
});

test("who calls after a version of the store was told reads no less than was published up to it (V14)", () => {
  const old = set(0, 1, 0);
  // It is acknowledged late, but somebody was told of a store beyond it before the read.
  const slow = { ...set(0, 2, 2), endedAt: 99 };
  const teller = set(1, 3, 4, { storeVersion: 3 });
  assert.deepEqual(versionFaults([old, slow, get(0, 3, old)]), []);
  assert.deepEqual(versionFaults([old, slow, teller, get(0, 6, slow)]), []);
  const faults = versionFaults([old, slow, teller, get(0, 6, old)]);
  assert.match(faults.join("\n"), /an answer shows less than was published/);
  assert.equal(checkKey([old, slow, get(0, 6, old)]).kind, "linearizable");
});

test("overlap counts the others that were under way, on all keys and on the same", () => {
  const at = (key: number, calledAt: number, endedAt: number) => ({
    ...set(key, 0, calledAt),
    endedAt,
  });
  const three = [at(0, 0, 3), at(1, 1, 4), at(0, 2, 5), at(0, 6, 7)];
  assert.deepEqual(overlapOf(three), { overlaps: 6, overlapsOnKey: 2 });
});

test("what is found is told by its smallest part, and that part is bad by itself", () => {
  const operations = soundHistory(new SimRandom(7), 800, 6, 0.03);
  const sets = operations.filter(({ kind, answer }) => kind === "set" && answer?.version);
  const old = sets[300 % sets.length] as Operation;
  const newest = Math.max(...operations.map(({ endedAt }) => endedAt));
  const stale = get(0, newest + 1, old);
  const { findings } = judge([...operations, stale]);
  assert.match(findings.join("\n"), /key 0 is not linearizable/);
  const part = shrink([...operations, stale]);
  assert.equal(checkKey(part).kind, "not-linearizable");
  assert.ok(part.includes(stale));
  assert.ok(partLines(part).length <= 12, partLines(part).join("\n"));
  assert.deepEqual(judge(operations).findings, []);
});

test("a recorder leaves out what was refused and reads of unknown outcome", () => {
  const recorder = new Recorder();
  const intent = { client: 0, key: 0, kind: "set", value: "a", condition: undefined } as const;
  let isDue = false;
  recorder.after(2, () => {
    isDue = true;
  });
  recorder.refused(recorder.call(intent));
  recorder.unknown(recorder.call({ ...intent, kind: "get", value: undefined }));
  assert.equal(isDue, false);
  recorder.unknown(recorder.call(intent));
  assert.equal(isDue, true);
  const unknown = { ...intent, calledAt: 2, endedAt: 3, answer: undefined };
  assert.deepEqual(recorder.operations, [unknown]);
  assert.equal(recorder.refusedWrites, 1);
});
