/** What the part `contract` holds against a server: each break of a rule is refused, for its reason. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Ledger, type SeenKey } from "./ledger.js";

const shape = { texts: ["a", "b"], numbers: ["n"] };

/** A ledger with rounds that were made and answered, three versions each. */
function kept(rounds: number): Ledger {
  const ledger = new Ledger("A", shape);
  for (let round = 1; round <= rounds; round += 1) {
    ledger.send();
    ledger.answered(round, versionsOf(round));
  }
  return ledger;
}

const versionsOf = (round: number): number[] => [3 * round - 2, 3 * round - 1, 3 * round];

/** The keys of a round, as they must be seen. */
function seen(ledger: Ledger, round: number): SeenKey[] {
  return ledger.keys.map((key, index) => ({
    key,
    value: ledger.isNumber(key) ? String(round) : ledger.textOf(round),
    version: versionsOf(round)[index] as number,
  }));
}

test("R7: a round that was made twice, or not at all, is told by its number", () => {
  const ledger = kept(2);
  ledger.send();
  assert.throws(() => ledger.answered(3, [7, 8, 9], 4n), /R7: A, round 3 was made 4 times/);
  assert.throws(() => ledger.answered(3, [7, 8, 9], 2n), /R7/);
  ledger.answered(3, [7, 8, 9], 3n);
});

test("B1 V15: versions of a round follow each other, and come after all before", () => {
  const ledger = kept(1);
  ledger.send();
  assert.throws(() => ledger.answered(2, [3, 4, 5]), /B1 V15/);
  const other = kept(1);
  other.send();
  assert.throws(() => other.answered(2, [4, 6, 7]), /B1 V15/);
});

test("B2 V1: who looks sees one round, none that is older than what he knew, and none that was not sent", () => {
  const ledger = kept(2);
  assert.equal(ledger.look(seen(ledger, 2), 2), 2);
  const mixed = [...seen(ledger, 2).slice(0, 2), ...seen(ledger, 1).slice(2)];
  assert.throws(() => ledger.look(mixed, 2), /B2/);
  assert.throws(() => ledger.look(seen(ledger, 2).slice(1), 2), /B2/);
  assert.throws(() => ledger.look(seen(ledger, 1), 2), /V1: A shows round 1, of 2 to 2/);
  assert.throws(() => ledger.look(seen(ledger, 3), 2), /V1/);
  assert.throws(() => ledger.look([], 2), /V1: A, round 2 was answered and is gone/);
  const [first = { key: "", value: "", version: 0 }] = seen(ledger, 2);
  const strange = { ...first, value: "v4lue/B/2/" };
  assert.throws(() => ledger.look([strange], 2), /a value that nobody wrote/);
});

test("after a restart an open round is there or not, and the next one goes on from it", () => {
  const ledger = kept(1);
  ledger.send();
  assert.notEqual(ledger.openSinceMs, undefined);
  ledger.found(seen(ledger, 2));
  assert.deepEqual([ledger.done, ledger.openSinceMs], [2, undefined]);
  const other = kept(1);
  other.send();
  other.found(seen(other, 1));
  assert.equal(other.send(), 2);
});

test("B2: who watches is told every round once, in order, whole, and with its versions", () => {
  const ledger = kept(3);
  ledger.told([...seen(ledger, 1), ...seen(ledger, 2)]);
  ledger.requireTold(8);
  assert.throws(() => ledger.requireTold(9), /round 3 of 7,8,9 is not told by 9/);
  assert.throws(() => ledger.told(seen(ledger, 2)), /round 2 is told after round 2/);
  assert.throws(() => ledger.told(seen(ledger, 3).slice(1)), /told in part/);
  const late = seen(ledger, 3).map((each) => ({ ...each, version: each.version + 1 }));
  assert.throws(() => ledger.told(late), /its versions/);
  ledger.told(seen(ledger, 3));
  assert.throws(() => ledger.told(seen(ledger, 4)), /never sent/);
});

test("who watches anew goes on from what stands", () => {
  const ledger = kept(3);
  ledger.toldAnew(seen(ledger, 2));
  ledger.told(seen(ledger, 3));
  assert.throws(() => ledger.told(seen(ledger, 2)), /after round 3/);
});
