/** The oracle of the lab's kills sees each thing that a store must not do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SeenRecord, Write } from "./attempts.js";
import { KillOracle } from "./oracle.js";

const one = Buffer.from("one");
const two = Buffer.from("two");
const set = (value: Uint8Array, ttlMs?: number): Write => ({ kind: "set", value, ttlMs });
const erase: Write = { kind: "delete" };
const setUntil = (value: Uint8Array, ttlMs: number): Write => ({
  ...{ kind: "set", value, ttlMs, isInstant: true },
});
const touch = (ttlMs?: number): Write => ({ kind: "touch", ttlMs });

let nowMs = 1000;

/** An oracle that was told of "one" at version 1, and of what `more` adds. */
function told(more: (oracle: KillOracle) => void = () => undefined): KillOracle {
  nowMs = 1000;
  const oracle = new KillOracle(() => nowMs);
  oracle.acknowledge(oracle.begin("k", set(one)), { version: 1 });
  more(oracle);
  return oracle;
}

function shows(seen: SeenRecord | undefined): ReadonlyMap<string, SeenRecord | undefined> {
  return new Map([["k", seen]]);
}

const atOne: SeenRecord = { value: one, version: 1 };
const atTwo: SeenRecord = { value: two, version: 7 };

/** A write that is acknowledged. */
const done =
  (write: Write, version: number, expiresAtMs?: number, isSync = true) =>
  (oracle: KillOracle) =>
    oracle.acknowledge(oracle.begin("k", write, isSync), { version, expiresAtMs });
/** A write of unknown fate. */
const open = (write: Write) => (oracle: KillOracle) => void oracle.begin("k", write);
const refused = (oracle: KillOracle) => oracle.refuse(oracle.begin("k", set(two)));
const restarted = (oracle: KillOracle) => {
  oracle.begin("k", set(two));
  oracle.restart(shows(atOne), 5);
};
/** A record whose lifetime of 10 ms has passed. */
const expired = (oracle: KillOracle) => {
  done(set(two, 10), 2, 1010)(oracle);
  nowMs = 1010;
};

const sound: [name: string, oracle: () => KillOracle, seen: SeenRecord | undefined][] = [
  ["an acknowledged write", () => told(), atOne],
  ["an acknowledged delete", () => told(done(erase, 2)), undefined],
  ["a write of unknown fate that was not applied", () => told(open(set(two))), atOne],
  ["a write of unknown fate that was applied", () => told(open(set(two))), atTwo],
  ["a delete of unknown fate that was applied", () => told(open(erase)), undefined],
  ["a delete of unknown fate that was not applied", () => told(open(erase)), atOne],
  ["a record that expired", () => told(expired), undefined],
  ["a touch", () => told(done(touch(), 3)), { value: one, version: 3 }],
  [
    "a touch of unknown fate that was applied",
    () => told(open(touch(50))),
    { value: one, version: 4, expiresAtMs: 1050 },
  ],
  [
    "a touch behind a write of unknown fate",
    () =>
      told((oracle) => {
        open(set(two))(oracle);
        done(touch(), 7)(oracle);
      }),
    atTwo,
  ],
];

for (const [name, oracle, seen] of sound) {
  test(`the oracle lets ${name} pass`, () => {
    const judge = oracle();
    judge.restart(shows(seen), 9);
    judge.restart(shows(seen), 9);
  });
}

const broken: [
  name: string,
  oracle: () => KillOracle,
  seen: SeenRecord | undefined,
  says: RegExp,
][] = [
  ["a lost write", () => told(), undefined, /acknowledged write is lost/],
  [
    "a deleted key that is back",
    () => told(done(erase, 2)),
    atOne,
    /deleted or expired key is back/,
  ],
  ["an expired key that is back", () => told(expired), atOne, /deleted or expired key is back/],
  ["an older value", () => told(done(set(two), 2)), atOne, /older shows/],
  ["half a value", () => told(open(set(two))), { ...atTwo, value: Buffer.from("tw") }, /no client/],
  ["a refused write", () => told(refused), atTwo, /refused write shows/],
  ["a late write", () => told(restarted), atTwo, /settled before/],
  ["a loss of what nobody touched", () => told(restarted), undefined, /nobody touched is lost/],
  ["another version than told", () => told(), { value: one, version: 2 }, /another version/],
  ["a change without a write", () => told(restarted), { ...atOne, value: two }, /without a write/],
  ["a lost touch", () => told(done(touch(), 3)), atOne, /older shows/],
  [
    "a touch of another value",
    () => told(done(touch(), 3)),
    { value: two, version: 3 },
    /another value/,
  ],
  [
    "another expiry than told",
    () => told(done(set(two, 500), 2, 1500)),
    { value: two, version: 2 },
    /another expiry/,
  ],
];

for (const [name, oracle, seen, says] of broken) {
  test(`the oracle sees ${name}`, () => {
    const judge = oracle();
    assert.throws(() => judge.restart(shows(seen), 9), says);
  });
}

test("the oracle sees a version that is given twice, goes back, or is below one shown (V15)", () => {
  const twice = told();
  const other = twice.begin("other", set(two));
  assert.throws(() => twice.acknowledge(other, { version: 1 }), /given twice/);
  const back = told(restarted);
  assert.throws(() => done(set(one), 4)(back), /went back/);
  assert.throws(() => told().restart(shows(atOne), 0), /store's version went back/);
});

test("the oracle sees a read that shows too little, or what has expired (T1)", () => {
  const oracle = told();
  assert.throws(() => oracle.read("k", undefined, 1), /nobody deleted is absent/);
  // A read that began before anything was acknowledged may have come first.
  oracle.read("k", undefined, 0);
  done(set(two), 2)(oracle);
  assert.throws(() => oracle.read("k", atOne, 2), /less than an earlier/);
  oracle.read("k", atOne, 1);
  done(erase, 3)(oracle);
  done(set(one, 10), 4, 1010)(oracle);
  // The delete is older than what was acknowledged when the read began.
  assert.throws(() => oracle.read("k", undefined, 4), /nobody deleted is absent/);
  const late: SeenRecord = { value: one, version: 4, expiresAtMs: 1010 };
  oracle.read("k", late, 4, 1009);
  assert.throws(() => oracle.read("k", late, 4, 1010), /expired record shows/);
});

test("the oracle sees a delete or a touch that finds nothing where a record stands", () => {
  const oracle = told();
  for (const write of [erase, touch()]) {
    const attempt = oracle.begin("k", write);
    assert.throws(() => oracle.acknowledge(attempt, { version: 0 }), /found nothing/);
  }
  oracle.acknowledge(oracle.begin("never written", erase), { version: 0 });
});

test("the oracle sees an expiry that was not asked for (T2)", () => {
  assert.throws(() => done(set(two), 2, 5000)(told()), /another expiry/);
  assert.throws(() => done(set(two, 10), 2)(told()), /another expiry/);
  assert.throws(() => done(set(two, 10), 2, 1009)(told()), /another expiry/);
});

test("the oracle sees an expiry before the instant that was asked for, or after it (T1)", () => {
  done(setUntil(two, 10), 2, 1010)(told());
  for (const otherMs of [1009, 1011, undefined]) {
    assert.throws(() => done(setUntil(two, 10), 2, otherMs)(told()), /another expiry/);
    const shown = { value: two, version: 7, expiresAtMs: otherMs };
    assert.throws(() => told(open(setUntil(two, 10))).restart(shows(shown), 9), /expiry than told/);
  }
});

/** An oracle with a synced and a buffered write on one key, and one of each on another. */
function withBuffered(): KillOracle {
  const oracle = told(done(set(two), 2, undefined, false));
  oracle.acknowledge(oracle.begin("l", set(one), false), { version: 3 });
  return oracle;
}

const both = (k: SeenRecord | undefined, l: SeenRecord | undefined) =>
  new Map([
    ["k", k],
    ["l", l],
  ]);

test("the oracle lets a disk forget buffered writes, and nothing that a sync stands behind (D1, D4)", () => {
  const lost = () => withBuffered();
  lost().restart(both(atOne, undefined), 9, "unsynced");
  lost().restart(both({ value: two, version: 2 }, undefined), 9, "unsynced");
  assert.throws(() => lost().restart(both(atOne, undefined), 9), /older shows/);
  assert.throws(() => lost().restart(both(undefined, undefined), 9, "unsynced"), /is lost/);
  const synced = lost();
  synced.synced(3);
  assert.throws(() => synced.restart(both(atOne, undefined), 9, "unsynced"), /older shows|is lost/);
});

test("the oracle takes no sync for one that a failing disk gave", () => {
  const oracle = told();
  oracle.distrustDisk();
  done(set(two), 2)(oracle);
  oracle.restart(shows(atOne), 9, "unsynced");
  done(set(two), 10)(oracle);
  assert.throws(() => oracle.restart(shows(atOne), 20, "unsynced"), /older shows/);
});

test("the oracle sees a disk that kept a write behind one that it lost (D4)", () => {
  const shown = both(atOne, { value: one, version: 3 });
  assert.throws(() => withBuffered().restart(shown, 9, "unsynced"), /came after it is not/);
});
