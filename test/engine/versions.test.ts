/** The counter of versions: what is reserved, when more is, and where it ends. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { VERSION_MAX } from "../../src/base/limits.js";
import { VERSION_BLOCK, Versions } from "../../src/engine/versions.js";

test("V15: a version may go to disk below the mark, and not from it on", () => {
  const versions = new Versions(5, 100);
  assert.deepEqual(
    [5, 99, 100, 101].map((version) => versions.isReserved(version)),
    [true, true, false, false],
  );
  versions.reservedTo(200);
  assert.deepEqual([versions.isReserved(199), versions.isReserved(200)], [true, false]);
  // A change of the manifest that ends late takes nothing back.
  versions.reservedTo(150);
  assert.ok(versions.isReserved(199));
});

test("V15: versions are given one after the other, and the next mark covers what was given and asked", () => {
  const versions = new Versions(5, 5);
  assert.equal(versions.last, 4);
  assert.equal(versions.nextMark(4), 5 + VERSION_BLOCK);
  assert.deepEqual([versions.take(), versions.take(), versions.last], [5, 6, 6]);
  assert.equal(versions.nextMark(6), 7 + VERSION_BLOCK);
  assert.equal(versions.nextMark(5), 7 + VERSION_BLOCK);
  assert.equal(versions.nextMark(9), 10 + VERSION_BLOCK);
  versions.reservedTo(1000);
  assert.equal(versions.nextMark(9), 1000 + VERSION_BLOCK);
});

test("V15: the next block is due when less than half of one is left, and none when there is no other", () => {
  const half = VERSION_BLOCK / 2;
  const isLowWith = (left: number): boolean => new Versions(100, 100 + left).isRunningLow;
  assert.deepEqual([half + 1, half, half - 1, 0].map(isLowWith), [false, false, true, true]);
  const near = (mark: number): boolean => new Versions(mark - 1, mark).isRunningLow;
  assert.deepEqual([near(VERSION_MAX - 1), near(VERSION_MAX)], [true, true]);
  assert.ok(!near(VERSION_MAX + 1));
});

test("V15: the last version is given, and none after it; nothing is begun that would need more", () => {
  const versions = new Versions(VERSION_MAX - 2, VERSION_MAX - 2);
  const exhausted = { reason: "VERSIONS_EXHAUSTED" };
  assert.equal(versions.nextMark(VERSION_MAX), VERSION_MAX + 1);
  versions.requireRoomFor(3);
  assert.throws(() => versions.requireRoomFor(4), exhausted);
  assert.deepEqual([versions.take(), versions.take(), versions.take()].at(-1), VERSION_MAX);
  assert.throws(() => versions.requireRoomFor(1), exhausted);
  assert.throws(() => versions.take(), exhausted);
  versions.requireRoomFor(0);
});
