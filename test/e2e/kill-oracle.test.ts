/** The oracle of the kill test sees each thing that a store must not do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KillOracle, type SeenRecord } from "./kill-oracle.js";

const one = Buffer.from("one");
const two = Buffer.from("two");

/** An oracle that was told of "one" at version 1, and of what `more` adds. */
function told(more: (oracle: KillOracle) => void = () => undefined): KillOracle {
  const oracle = new KillOracle();
  oracle.acknowledge(oracle.begin("k", one), 1);
  more(oracle);
  return oracle;
}

function shows(seen: SeenRecord | undefined): ReadonlyMap<string, SeenRecord | undefined> {
  return new Map([["k", seen]]);
}

const atOne: SeenRecord = { value: one, version: 1 };
const deleteIt = (version: number) => (oracle: KillOracle) =>
  oracle.acknowledge(oracle.begin("k", undefined), version);
const tryTwo = (oracle: KillOracle) => void oracle.begin("k", two);
const tryDelete = (oracle: KillOracle) => void oracle.begin("k", undefined);

const sound: [name: string, oracle: KillOracle, seen: SeenRecord | undefined][] = [
  ["an acknowledged write", told(), atOne],
  ["an acknowledged delete", told(deleteIt(2)), undefined],
  ["a write of unknown fate that was not applied", told(tryTwo), atOne],
  ["a write of unknown fate that was applied", told(tryTwo), { value: two, version: 7 }],
  ["a delete of unknown fate that was applied", told(tryDelete), undefined],
  ["a delete of unknown fate that was not applied", told(tryDelete), atOne],
];

for (const [name, oracle, seen] of sound) {
  test(`the oracle lets ${name} pass`, () => {
    oracle.restart(shows(seen), 9);
    oracle.restart(shows(seen), 9);
  });
}

const restarted = (oracle: KillOracle) => {
  oracle.begin("k", two);
  oracle.restart(shows(atOne), 5);
};
const refused = (oracle: KillOracle) => oracle.refuse(oracle.begin("k", two));

const broken: [name: string, oracle: KillOracle, seen: SeenRecord | undefined, says: RegExp][] = [
  ["a lost write", told(), undefined, /acknowledged write is lost/],
  ["a deleted key that is back", told(deleteIt(2)), atOne, /deleted key is back/],
  ["an older value", told((o) => o.acknowledge(o.begin("k", two), 2)), atOne, /older one shows/],
  ["half a value", told(tryTwo), { value: Buffer.from("tw"), version: 7 }, /no client wrote/],
  ["a refused write", told(refused), { value: two, version: 7 }, /refused write shows/],
  ["a late write", told(restarted), { value: two, version: 7 }, /settled before/],
  ["a loss of what nobody touched", told(restarted), undefined, /nobody touched is lost/],
  ["another version than told", told(), { value: one, version: 2 }, /another version/],
  ["a change without a write", told(restarted), { value: two, version: 1 }, /without a write/],
];

for (const [name, oracle, seen, says] of broken) {
  test(`the oracle sees ${name}`, () => {
    assert.throws(() => oracle.restart(shows(seen), 9), says);
  });
}

test("the oracle sees a version that is given twice, goes back, or is below one shown (V15)", () => {
  const twice = told();
  assert.throws(() => twice.acknowledge(twice.begin("other", two), 1), /given twice/);
  const back = told(restarted);
  assert.throws(() => back.acknowledge(back.begin("k", one), 4), /went back/);
  assert.throws(() => told().restart(shows(atOne), 0), /store's version went back/);
});

test("the oracle sees a read that shows too little", () => {
  const oracle = told();
  assert.throws(() => oracle.read("k", undefined, 1), /nobody deleted is absent/);
  // A read that began before anything was acknowledged may have come first.
  oracle.read("k", undefined, 0);
  oracle.acknowledge(oracle.begin("k", two), 2);
  assert.throws(() => oracle.read("k", atOne, 2), /less than an earlier/);
  oracle.read("k", atOne, 1);
});

test("the oracle sees a delete that finds nothing where a record stands", () => {
  const oracle = told();
  const attempt = oracle.begin("k", undefined);
  assert.throws(() => oracle.acknowledge(attempt, 0), /found nothing/);
  const other = oracle.begin("never written", undefined);
  oracle.acknowledge(other, 0);
});
