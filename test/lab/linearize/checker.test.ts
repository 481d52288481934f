/** The search against histories that are known to be good or bad, and against the definition. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimRandom } from "../../support/sim-random.js";
import { isLinearizable } from "./brute-force.js";
import { checkKey } from "./checker.js";
import type { Answer, Condition, Operation, Shown } from "./history.js";
import { falsified, soundHistory } from "./random-history.js";

type Part = Omit<Operation, "client" | "key" | "calledAt" | "endedAt">;

const told = (more: Partial<Answer>): Answer => {
  return { applied: true, version: 0, shown: undefined, storeVersion: 0, ...more };
};
const get = (shown: Shown | null): Part => {
  return { kind: "get", value: undefined, condition: undefined, answer: told({ shown }) };
};
const write = (
  kind: "set" | "delete",
  value: string | undefined,
  version: number | "unknown",
  condition?: Condition,
): Part => {
  return { kind, value, condition, answer: version === "unknown" ? undefined : told({ version }) };
};
const set = (value: string, version: number | "unknown", condition?: Condition) =>
  write("set", value, version, condition);
const remove = (version: number | "unknown", condition?: Condition) =>
  write("delete", undefined, version, condition);
const unmet = (part: Part, shown: Shown | null): Part => {
  return { ...part, answer: told({ applied: false, shown }) };
};
const at = (value: string, version: number): Shown => ({ value, version });
const version = (number: number): Condition => ({ kind: "version", version: number });
const absent: Condition = { kind: "absent" };

/** Each operation at [called, ended]; without places they follow one another. */
function history(...parts: (Part | readonly [Part, number, number])[]): Operation[] {
  return parts.map((each, index) => {
    const [part, calledAt, endedAt] = "kind" in each ? [each, 2 * index, 2 * index + 1] : each;
    return { ...part, client: index, key: 0, calledAt, endedAt };
  });
}

const good: [name: string, operations: Operation[]][] = [
  ["no operation", []],
  ["reads of nothing", history(get(null), get(null))],
  ["one write after the other", history(set("a", 1), get(at("a", 1)), remove(2), get(null))],
  [
    "overlapping writes in the order of their versions",
    history([set("a", 2), 0, 5], [set("b", 1), 1, 4], [get(at("a", 2)), 6, 7]),
  ],
  [
    "a read beside a write that shows what was before",
    history(set("a", 1), [set("b", 2), 2, 9], [get(at("a", 1)), 3, 4], [get(at("b", 2)), 5, 6]),
  ],
  [
    "a write of unknown outcome that never happened",
    history(set("a", 1), set("b", "unknown"), get(at("a", 1)), get(at("a", 1))),
  ],
  [
    "a write of unknown outcome that happened long after its client gave up",
    history(set("b", "unknown"), set("a", 1), get(at("a", 1)), get(at("b", 2)), get(at("b", 2))),
  ],
  [
    "a delete of unknown outcome between two reads",
    history(set("a", 1), remove("unknown"), get(at("a", 1)), get(null), set("b", 3)),
  ],
  [
    "a write of unknown outcome that nobody read and a delete found",
    history(set("a", "unknown"), remove(2), get(null)),
  ],
  [
    "a condition that was met, one that was not, and one of unknown outcome",
    history(
      set("a", 1, absent),
      unmet(set("b", 0, absent), at("a", 1)),
      set("c", 2, version(1)),
      set("d", "unknown", version(2)),
      unmet(set("e", 0, version(2)), at("d", 3)),
    ),
  ],
  [
    "a condition on a version that only a write of unknown outcome can have had",
    history(set("a", 1), set("b", "unknown"), set("c", 3, version(2))),
  ],
  ["a delete of an absent key", history(remove(0), set("a", 1), remove(2), remove(0))],
];

for (const [name, operations] of good) {
  test(`the checker lets pass: ${name}`, () => {
    assert.equal(isLinearizable(operations), true, "by the definition");
    assert.equal(checkKey(operations).kind, "linearizable");
  });
}

const bad: [name: string, operations: Operation[]][] = [
  ["a stale read (V14)", history(set("a", 1), set("b", 2), get(at("a", 1)))],
  [
    "an update that was lost: two writes on one version, both applied (V5)",
    history(set("a", 1), [set("b", 2, version(1)), 2, 5], [set("c", 3, version(1)), 3, 6]),
  ],
  [
    "a compare-and-set that succeeded twice beside a read",
    history(
      set("a", 1),
      [set("b", 2, version(1)), 2, 7],
      [set("c", 3, version(1)), 3, 8],
      [get(at("a", 1)), 4, 5],
    ),
  ],
  [
    "an acknowledged write that is gone after a restart (V1)",
    history(set("a", 1), set("b", 2), get(null)),
  ],
  [
    "an acknowledged write that is gone, the one before shows again (V1 V5)",
    history(set("a", 1), set("b", 2), get(at("b", 2)), get(at("a", 1))),
  ],
  ["a delete that is undone (V6 M1)", history(set("a", 1), remove(2), get(null), get(at("a", 1)))],
  ["a value that was never written (B3)", history(set("a", 1), get(at("x", 1)))],
  ["a value read before it was written", history(get(at("a", 1)), set("a", 1))],
  [
    "a value of unknown outcome read before it was written",
    history(get(at("a", 1)), set("a", "unknown")),
  ],
  ["a version that goes back (V15)", history(set("a", 5), set("b", 4))],
  ["a version that is given twice (V15)", history(set("a", 5), set("b", 5))],
  ["a version that a delete has, given again (V15)", history(set("a", 1), remove(2), set("b", 2))],
  ["a read with another version than the write's", history(set("a", 1), get(at("a", 2)))],
  [
    "a write of unknown outcome that is seen, then unseen (P3)",
    history(set("a", 1), set("b", "unknown"), get(at("b", 2)), get(at("a", 1))),
  ],
  [
    "a write of unknown outcome that is seen, unseen and seen again",
    history(
      set("a", 1),
      set("b", "unknown"),
      get(at("b", 2)),
      set("c", 3),
      get(at("c", 3)),
      get(at("b", 2)),
    ),
  ],
  [
    "a write of unknown outcome that is seen with two versions",
    history(set("b", "unknown"), get(at("b", 2)), get(at("b", 3))),
  ],
  [
    "a write of unknown outcome for which no version is left",
    history(
      [set("a", 1), 0, 1],
      [set("b", "unknown"), 2, 3],
      [remove(2, version(1)), 4, 5],
      [set("c", 3, version(2)), 6, 7],
    ),
  ],
  [
    "one delete of unknown outcome that would have to happen twice",
    history(set("a", 1), remove("unknown"), get(null), set("b", 3), get(null)),
  ],
  ["a delete that found nothing where a record stood", history(set("a", 1), remove(0))],
  ["a delete of a record where none stood", history(remove(1))],
  ["a condition that was met and did not hold", history(set("a", 1), set("b", 2, absent))],
  ["a condition that held and was not met", history(unmet(set("b", 0, absent), null))],
  [
    "an unmet condition that shows what no longer stands",
    history(set("a", 1), set("b", 2), unmet(set("c", 0, absent), at("a", 1))),
  ],
];

for (const [name, operations] of bad) {
  test(`the checker sees: ${name}`, () => {
    assert.equal(isLinearizable(operations), false, "by the definition");
    assert.equal(checkKey(operations).kind, "not-linearizable");
  });
}

test("the checker and the definition agree on thousands of small histories, good and bad", () => {
  const verdicts = { good: 0, bad: 0 };
  for (let seed = 1; seed <= 6000; seed += 1) {
    const random = new SimRandom(seed);
    const sound = soundHistory(random, 3 + random.below(5), 2 + random.below(3));
    const operations = seed % 3 === 0 ? sound : falsified(random, sound);
    const expected = isLinearizable(operations);
    if (seed % 3 === 0) assert.equal(expected, true, `seed ${seed}: a sound history`);
    verdicts[expected ? "good" : "bad"] += 1;
    const { kind } = checkKey(operations);
    assert.equal(kind === "linearizable", expected, `seed ${seed}: ${JSON.stringify(operations)}`);
  }
  assert.ok(verdicts.good > 1500 && verdicts.bad > 1500, JSON.stringify(verdicts));
});

test("the checker takes about as many positions as there are operations in a sound history", () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const operations = soundHistory(new SimRandom(seed), 3000, 12);
    const { kind, positions } = checkKey(operations);
    assert.equal(kind, "linearizable");
    assert.ok(positions < 20 * operations.length, `${positions} positions`);
  }
});

test("a search that would take too long is given up, and says so", () => {
  const operations = soundHistory(new SimRandom(1), 300, 12);
  assert.equal(checkKey(operations, { positionsMax: 50 }).kind, "given-up");
});
