/** Entries that expire: exact counts, and a sweep that looks only where something is due. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Keydir } from "../../../src/engine/keydir/keydir.js";

const seed = new Uint8Array(16).fill(9);

function keyOf(number: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(number);
  return key;
}

function put(keydir: Keydir, number: number, expiresAtMs: number): number {
  return keydir.put(keyOf(number), 0, 4, 1, 2, 3, expiresAtMs, 4);
}

/** Sweeps until nothing more is due; the versions of what was visited, and the calls it took. */
function sweep(
  keydir: Keydir,
  nowMs: number,
  limit: number,
  visit: (entry: number) => void,
): number {
  let calls = 0;
  let more = true;
  while (more) {
    let visited = 0;
    more = keydir.soonestDue(nowMs, limit, (entry) => {
      visited++;
      visit(entry);
    });
    assert.ok(visited <= limit);
    assert.ok(++calls < 100_000, "the sweep ends");
  }
  return calls;
}

test("an entry is due at its deadline and not a millisecond before (T1)", () => {
  const keydir = new Keydir({ seed });
  const deadline = 2 ** 41 + 5;
  put(keydir, 1, deadline);
  put(keydir, 2, 0);
  const due: number[] = [];
  assert.equal(
    keydir.soonestDue(deadline - 1, 10, (entry) => due.push(entry)),
    false,
  );
  assert.equal(due.length, 0);
  keydir.soonestDue(deadline, 10, (entry) => due.push(entry));
  assert.deepEqual(due, [keydir.find(keyOf(1))]);
});

test("removing what is due gives the memory back, and no key is read for it (T8)", () => {
  const keydir = new Keydir({ seed });
  const before = keydir.bytes;
  const keys = 100_000;
  for (let i = 0; i < keys; i++) put(keydir, i, 1_000 + i);
  assert.equal(keydir.expiring, keys);
  const half = sweep(keydir, 999 + keys / 2, 1_000, (entry) => keydir.remove(entry));
  assert.equal(keydir.expiring, keys / 2);
  assert.ok(half <= 60, `${half} calls of up to 1,000 entries each`);
  sweep(keydir, 2 * keys, 1_000, (entry) => keydir.remove(entry));
  assert.equal(keydir.count, 0);
  while (keydir.maintain());
  assert.equal(keydir.bytes, before);
});

test("one call looks at a bounded part of the entries, and one that finds nothing ends", () => {
  const keydir = new Keydir({ seed });
  const keys = 200_000;
  // One entry of every block seems due until it is looked at.
  for (let i = 0; i < keys; i++) put(keydir, i, i % 256 === 0 ? 5 : 1_000_000);
  for (let i = 0; i < keys; i += 256) put(keydir, i, 1_000_000);
  const calls = sweep(keydir, 10, 100, () => assert.fail("nothing is due"));
  assert.ok(calls >= keys / 16_384, `${calls} calls`);
  assert.equal(
    sweep(keydir, 10, 100, () => assert.fail("nothing is due")),
    1,
  );
});

test("entries that a visitor leaves in place do not keep others from being visited", () => {
  const keydir = new Keydir({ seed });
  for (let i = 0; i < 1_000; i++) put(keydir, i, 5);
  const seen = new Set<number>();
  for (let call = 0; call < 100; call++) keydir.soonestDue(5, 10, (entry) => seen.add(entry));
  assert.equal(seen.size, 1_000);
});

test("entries that upkeep moved to other pages are found when they are due (T8)", () => {
  const keydir = new Keydir({ seed });
  const keys = 40_000;
  // One in four stays, the first due soonest: what moves is due before its new neighbours.
  for (let i = 0; i < keys; i++) put(keydir, i, i % 4 === 0 ? 1_000 + i : 5);
  sweep(keydir, 5, 1_000, (entry) => keydir.remove(entry));
  while (keydir.maintain());
  assert.equal(keydir.expiring, keys / 4);
  for (let nowMs = 1_000; nowMs <= 1_000 + keys; nowMs += 500) {
    sweep(keydir, nowMs, 1_000, (entry) => keydir.remove(entry));
    const due = Math.min(Math.floor((nowMs - 1_000) / 4) + 1, keys / 4);
    assert.equal(keydir.count, keys / 4 - due, `at ${nowMs}`);
  }
});

test("an entry left in place is visited again, also when what came behind it is gone", () => {
  const keydir = new Keydir({ seed });
  const left = put(keydir, 1, 5);
  const removed = put(keydir, 2, 5);
  const seen: number[] = [];
  keydir.soonestDue(5, 1, (entry) => seen.push(entry));
  keydir.remove(removed);
  for (let call = 0; call < 3; call++) keydir.soonestDue(5, 1, (entry) => seen.push(entry));
  assert.deepEqual(new Set(seen), new Set([left]));
  assert.ok(seen.length >= 3, `visited ${seen.length} times`);
});

test("sweeps find exactly what the model says is due, whatever was written before (T8)", () => {
  const operation = fc.record({
    from: fc.nat(3_000),
    count: fc.nat(2_000),
    expiresAtMs: fc.nat(20),
    kind: fc.constantFrom("put", "put", "remove", "sweep"),
  });
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 25, size: "max" }),
      fc.integer({ min: 1, max: 700 }),
      run,
    ),
    { numRuns: 60 },
  );
  function run(operations: readonly Operation[], limit: number) {
    const keydir = new Keydir({ seed });
    const model = new Map<number, number>();
    for (const { kind, from, count, expiresAtMs } of operations) {
      for (let i = from; i < from + count && kind !== "sweep"; i++) {
        if (kind === "put") {
          put(keydir, i, expiresAtMs);
          model.set(i, expiresAtMs);
        } else if (model.delete(i)) {
          keydir.remove(keydir.find(keyOf(i)));
        }
      }
      if (kind === "sweep") {
        const due = new Set([...model].filter(([, at]) => at > 0 && at <= expiresAtMs).map(first));
        sweep(keydir, expiresAtMs, limit, (entry) => {
          const number = Buffer.from(keydir.keyOf(entry)).readUInt32LE();
          assert.ok(due.delete(number));
          model.delete(number);
          keydir.remove(entry);
        });
        assert.equal(due.size, 0);
      }
      assert.equal(keydir.count, model.size);
      assert.equal(keydir.expiring, [...model.values()].filter((at) => at > 0).length);
    }
  }
});

interface Operation {
  readonly from: number;
  readonly count: number;
  readonly expiresAtMs: number;
  readonly kind: string;
}

function first([number]: readonly [number, number]): number {
  return number;
}
