/** What keeps the order: bounded work without upkeep, numbers that wait, walks over all of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Keydir, NO_ENTRY, type OrderedCursor } from "../../../src/engine/keydir/keydir.js";

function newKeydir(): Keydir {
  return new Keydir({ seed: new Uint8Array(16).fill(0x5a) });
}

/** Eight bytes in the order of `number`; `number` below 2^32. */
function keyOf(number: number): Buffer {
  const key = Buffer.alloc(8, 0x78);
  key.writeUInt32BE(number, 3);
  return key;
}

function put(keydir: Keydir, number: number): number {
  return keydir.put(keyOf(number), 0, 8, 0, number, 1, 0, 1);
}

/** Numbers 0..`count` - 1 in an order that jumps about. */
function* scattered(count: number): Generator<number> {
  // 7,919 is prime and divides no count used here.
  for (let i = 0; i < count; i++) yield (i * 7_919) % count;
}

function* walk(keydir: Keydir, cursor: OrderedCursor): Generator<number> {
  for (let entry = cursor.next(); entry !== NO_ENTRY; entry = cursor.next()) {
    yield keydir.offsetOf(entry);
  }
}

test("writes keep the runs bounded when nobody calls maintain, and maintain makes them few (V11)", () => {
  const keydir = newKeydir();
  // 1,465 runs of a delta each, if nothing were merged.
  const keys = 1_500_000;
  let most = 0;
  for (const number of scattered(keys)) {
    put(keydir, number);
    if (number % 512 === 0) most = Math.max(most, keydir.runCount);
  }
  // In the lowest tier 8 runs merging into one and 1,032 waiting; in two above it, 8, 1 and 12.
  assert.ok(most <= 8 + 1 + 1032 + 2 * (8 + 1 + 12), `${most} runs`);
  while (keydir.maintain());
  assert.ok(keydir.runCount <= 4 * 7, `${keydir.runCount} runs at rest`);
  let expected = 0;
  for (const number of walk(keydir, keydir.first())) assert.equal(number, expected++);
  assert.equal(expected, keys);
});

test("the number of a removed entry waits until no run names it", () => {
  const keydir = newKeydir();
  const entries: number[] = [];
  for (let i = 0; i < 5_000; i++) entries.push(put(keydir, i));
  const removed = new Set(entries.slice(1_000, 1_400));
  for (const entry of removed) keydir.remove(entry);
  // These keys lie elsewhere in the order: under an old number they would be out of it.
  for (let i = 0; i < 400; i++) assert.ok(!removed.has(put(keydir, 1_000_000 + i)));
  const numbers = [...walk(keydir, keydir.first())];
  assert.deepEqual(
    numbers,
    [...numbers].sort((left, right) => left - right),
  );
  assert.equal(numbers.length, 5_000);
});

test("removing from all over the runs is dropped from them, with upkeep and without (V11)", () => {
  for (const hasUpkeep of [true, false]) {
    const keydir = newKeydir();
    const keys = 100_000;
    for (const number of scattered(keys)) put(keydir, number);
    const full = keydir.bytes;
    for (const number of scattered(keys)) {
      if (number % 10 !== 0) keydir.remove(keydir.find(keyOf(number)));
      if (hasUpkeep && number % 8 === 0) keydir.maintain();
    }
    // Nine in ten are gone: there is room for half as many again, but for a page or two.
    for (let i = 0; i < keys / 2; i++) put(keydir, keys + i);
    assert.ok(keydir.bytes <= 1.1 * full, `${keydir.bytes} > 1.1 * ${full}`);
    const numbers = [...walk(keydir, keydir.first())];
    assert.equal(numbers.length, keys / 10 + keys / 2);
    assert.ok(numbers.every((number, i) => i === 0 || number > numbers[i - 1]!));
  }
});

test("removals alone set rows free for new keys, without upkeep (V11, T8)", () => {
  const keydir = newKeydir();
  const keys = 100_000;
  for (const number of scattered(keys)) put(keydir, number);
  const full = keydir.bytes;
  // The oldest first: whole pages of rows come free, once the runs let go of them.
  for (const number of scattered(keys)) keydir.remove(keydir.find(keyOf(number)));
  assert.ok(keydir.bytes < full / 2, `${keydir.bytes} for no key, ${full} before`);
  for (let i = 0; i < keys / 2; i++) put(keydir, i);
  assert.ok(keydir.bytes < 0.75 * full, `${keydir.bytes} for half the keys, ${full} before`);
});

test("a walk goes on in order while every key around it is merged away and put anew (I9)", () => {
  const keydir = newKeydir();
  const keys = 30_000;
  // The thousands stay; all others come and go.
  for (const number of scattered(keys)) put(keydir, number);
  const up = keydir.seek(keyOf(0), false);
  const down = keydir.seekBackward(undefined, true);
  const stayed: number[] = [];
  for (const [walked, direction] of [
    [up, 1],
    [down, -1],
  ] as const) {
    let last = direction === 1 ? 0 : keys;
    for (const number of walk(keydir, walked)) {
      assert.ok((number - last) * direction > 0, `${number} after ${last}`);
      last = number;
      if (number % 1_000 === 0) stayed.push(number);
      for (let near = number + 1; near < number + 40; near++) {
        if (near % 1_000 === 0) continue;
        const entry = keydir.find(keyOf(near));
        if (entry === NO_ENTRY) put(keydir, near);
        else keydir.remove(entry);
      }
      keydir.maintain();
    }
  }
  const thousands = Array.from({ length: 29 }, (_, i) => (i + 1) * 1_000);
  assert.deepEqual(stayed, [...thousands, ...thousands.reverse(), 0]);
});

test("a walk sees what was put since the walk before it, and not what was removed since", () => {
  const keydir = newKeydir();
  for (let i = 0; i < 100; i++) {
    put(keydir, 2 * i);
    const expected = Array.from({ length: i + 1 }, (_, n) => 2 * n);
    assert.deepEqual([...walk(keydir, keydir.first())], expected);
  }
  keydir.remove(keydir.find(keyOf(0)));
  put(keydir, 1);
  assert.deepEqual([...walk(keydir, keydir.first())].slice(0, 3), [1, 2, 4]);
});

test("seeks find their place among long stretches of removed keys", () => {
  const keydir = newKeydir();
  const keys = 40_000;
  for (const number of scattered(keys)) put(keydir, number);
  for (let i = 10_000; i < 14_000; i++) keydir.remove(keydir.find(keyOf(i)));
  const next = (cursor: OrderedCursor) => keydir.offsetOf(cursor.next());
  for (const number of [10_000, 11_111, 12_000, 13_999]) {
    assert.equal(next(keydir.seek(keyOf(number), true)), 14_000);
    assert.equal(next(keydir.seekBackward(keyOf(number), true)), 9_999);
  }
  assert.equal(next(keydir.seek(keyOf(14_000), true)), 14_000);
  assert.equal(next(keydir.seek(keyOf(14_000), false)), 14_001);
  assert.equal(next(keydir.seekBackward(keyOf(9_999), true)), 9_999);
  assert.equal(next(keydir.seekBackward(keyOf(9_999), false)), 9_998);
  assert.equal(keydir.seek(keyOf(keys), true).next(), NO_ENTRY);
  assert.equal(keydir.seekBackward(keyOf(0), false).next(), NO_ENTRY);
});
