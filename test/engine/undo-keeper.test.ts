/** The undo list and its keeper: who sees which replaced entry, what that counts, and when it goes. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Keydir, NO_ENTRY } from "../../src/engine/keydir/keydir.js";
import { UndoKeeper, type View } from "../../src/engine/snapshots/undo-keeper.js";
import { UndoEntry, UndoList } from "../../src/engine/snapshots/undo-list.js";
import { SimClock } from "../support/sim-clock.js";

const entryOf = (key: string, version: number, replacedBy: number): UndoEntry =>
  new UndoEntry(key, 1, 10 * version, 40, 0, version, replacedBy);

test("I9: a key is found as it was from its version on, up to the one that took its place", () => {
  const list = new UndoList();
  // Replaced by 5, then by 9; between 12 and 20 the key was gone.
  for (const [version, by] of [
    [2, 5],
    [5, 9],
    [9, 12],
    [20, 30],
  ] as const) {
    list.add(entryOf("k", version, by));
  }
  const found = (version: number) => list.find("k", version)?.version;
  assert.deepEqual([1, 2, 4, 5, 8, 9, 11, 12, 19, 20, 29, 30].map(found), [
    undefined,
    2,
    2,
    5,
    5,
    9,
    9,
    undefined,
    undefined,
    20,
    20,
    undefined,
  ]);
  assert.equal(list.find("other", 5), undefined);
  assert.deepEqual([list.count, list.bytes], [4, 4 * 257]);
});

test("I9: entries go in any order, and their key with the last of them", () => {
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 0, 2],
    [1, 2, 0],
  ]) {
    const list = new UndoList();
    list.add(entryOf("a", 1, 2));
    const entries = [entryOf("k", 2, 5), entryOf("k", 5, 9), entryOf("k", 9, 12)] as const;
    for (const entry of entries) list.add(entry);
    const left = new Set([2, 5, 9]);
    for (const index of order) {
      const entry = entries[index] as UndoEntry;
      list.remove(entry);
      left.delete(entry.version);
      for (const version of [2, 5, 9]) {
        assert.equal(list.find("k", version)?.version, left.has(version) ? version : undefined);
      }
      assert.equal(list.keyAbove("a", false), left.size > 0 ? "k" : undefined);
      assert.deepEqual([list.count, list.bytes], [left.size + 1, 257 * (left.size + 1)]);
    }
    assert.equal(list.keyBelow(undefined), "a");
    assert.equal(list.keyBelow("b"), "a");
    assert.equal(list.keyAbove("a", true), "a");
    assert.throws(() => list.remove(entries[0]), /not there/);
  }
});

/** A keeper over an index; versions count on. */
function setUp(bytesMax = 1_000_000) {
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const clock = new SimClock();
  const keeper = new UndoKeeper(keydir, clock, bytesMax);
  const ended: number[] = [];
  let version = 0;
  const set = (key: string): void => {
    version += 1;
    const source = Buffer.from(key, "latin1");
    const entry = keydir.find(source);
    if (entry !== NO_ENTRY) keeper.replaced(entry, version);
    keydir.put(source, 0, source.length, 1, version, 40, 7, version);
  };
  const open = (): View => {
    const view: View = { version, onOverflow: () => ended.push(view.version) };
    keeper.add(view);
    return view;
  };
  const seen = (key: string, at: View): number | undefined =>
    keeper.list.find(key, at.version)?.version;
  return { keeper, clock, keydir, set, open, seen, ended };
}

test("I9: what is replaced is kept while some view sees it, and nothing else is", async () => {
  const { keeper, clock, set, open, seen } = setUp();
  set("a");
  set("b");
  set("b");
  assert.deepEqual([keeper.hasViews, keeper.list.count], [false, 0]);
  const first = open();
  set("a");
  // Of the second time nobody saw what it replaces.
  set("a");
  assert.deepEqual([seen("a", first), seen("b", first), keeper.list.count], [1, undefined, 1]);
  const { expiresAtMs, segment, offset, length, replacedBy } = keeper.list.find(
    "a",
    3,
  ) as UndoEntry;
  assert.deepEqual([expiresAtMs, segment, offset, length, replacedBy], [7, 1, 1, 40, 4]);
  const second = open();
  set("a");
  set("b");
  assert.deepEqual([seen("a", second), seen("b", second)], [5, 3]);
  assert.deepEqual([seen("a", first), seen("b", first), keeper.list.count], [1, 3, 3]);
  assert.equal(keeper.bytes, 3 * 257);
  // What the first sees as well is handed down to it; the rest goes.
  keeper.remove(second);
  assert.equal(keeper.bytes, 2 * 257);
  await clock.settle();
  assert.deepEqual([seen("a", first), seen("b", first), keeper.list.count], [1, 3, 2]);
  keeper.remove(second);
  assert.ok(keeper.hasViews);
  keeper.remove(first);
  assert.deepEqual([keeper.hasViews, keeper.bytes, keeper.list.count], [false, 0, 0]);
});

test("I9: a view in the middle hands down to the one before, and the first to nobody", async () => {
  const { keeper, clock, set, open, seen } = setUp();
  set("a");
  const first = open();
  set("a");
  const middle = open();
  set("a");
  const last = open();
  set("a");
  keeper.remove(middle);
  await clock.settle();
  assert.deepEqual([seen("a", first), seen("a", last), keeper.list.count], [1, 3, 2]);
  keeper.remove(first);
  await clock.settle();
  assert.deepEqual([seen("a", last), keeper.list.count], [3, 1]);
  assert.equal(keeper.bytes, 257);
});

test("V11: past the bound the oldest view ends, and as many as it takes", async () => {
  const { keeper, set, open, ended } = setUp(2 * 257);
  for (const key of ["a", "b", "c", "d"]) set(key);
  const views = [open(), open()];
  set("a");
  set("b");
  assert.deepEqual([ended, keeper.bytes], [[], 2 * 257]);
  set("c");
  // Both see the same: it helps only if both go.
  assert.deepEqual(
    ended,
    views.map(({ version }) => version),
  );
  assert.deepEqual([keeper.bytes, keeper.hasViews], [0, false]);
});

test("V11: what goes is taken out 4,096 entries a turn, and 8 for each that is added", async () => {
  const { keeper, clock, set, open } = setUp(1e9);
  const keys = Array.from({ length: 5000 }, (_, index) => `k${index}`);
  for (const key of keys) set(key);
  const first = open();
  for (const key of keys) set(key);
  const second = open();
  set("k0");
  keeper.remove(first);
  assert.deepEqual([keeper.list.count, keeper.bytes], [5001, 256 + 2]);
  set("k1");
  assert.equal(keeper.list.count, 5002 - 8);
  let turns = 0;
  const { soon } = clock;
  clock.soon = (task) => {
    turns += 1;
    soon.call(clock, task);
  };
  await clock.settle();
  assert.equal(keeper.list.count, 2);
  assert.equal(turns, 1);
  keeper.remove(second);
});
