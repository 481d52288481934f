/** What a segment keeps of its records, and the set that finds segments by their ids. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { SEGMENT_ID_MAX } from "../../src/base/limits.js";
import { segmentSalt } from "../../src/format/frame.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SegmentSet } from "../../src/storage/segment-set.js";

const directories = { data: "/store", segments: "/elsewhere" };
const storeId = Uint8Array.from({ length: 16 }, (_, index) => index);

function segmentOf(id: number, length = 0, liveBytes = 0): Segment {
  const name = new SegmentName(directories, storeId, "segment", id, BigInt(id + 1));
  const segment = new Segment(name, undefined, true);
  segment.length = length;
  segment.liveBytes = liveBytes;
  return segment;
}

test("a segment and its hint lie in the segment directory, and its salt is its own", () => {
  const name = new SegmentName(directories, storeId, "segment", 7, 42n);
  assert.equal(name.path, `/elsewhere/${name.fileName}`);
  assert.equal(name.hintPath, `/elsewhere/${name.hintName}`);
  assert.equal(name.salt, segmentSalt(storeId, 7, 42n));
  assert.notEqual(name.salt, new SegmentName(directories, storeId, "segment", 8, 42n).salt);
});

test("a new segment holds nothing, and is of the log unless it is said", () => {
  const { name } = segmentOf(3);
  const segment = new Segment(name, undefined, false);
  const { isSealed, isLog, isRemoved, length, checksum, liveBytes } = segment;
  assert.deepEqual(
    { isSealed, isLog, isRemoved, length, checksum, liveBytes },
    { isSealed: false, isLog: true, isRemoved: false, length: 0, checksum: 0, liveBytes: 0 },
  );
  assert.equal(new Segment(name, undefined, true, false).isLog, false);
});

test("M1 I8: what dies counts as dead, and as died since for a compaction that has judged it", () => {
  const segment = segmentOf(1, 1000, 500);
  segment.release(0, 60);
  assert.equal(segment.liveBytes, 440);
  segment.judgement = { upTo: 100, keptBytes: 440, diedBytes: 0 };
  segment.release(99, 40);
  segment.release(100, 35);
  segment.release(200, 10);
  assert.equal(segment.liveBytes, 355);
  assert.deepEqual(segment.judgement, { upTo: 100, keptBytes: 440, diedBytes: 40 });
});

test("V6: the bytes of tombstones add up, and the highest of them is known in any order", () => {
  const segment = segmentOf(1);
  for (const version of [5, 9, 7]) segment.coverTombstone(version, 30);
  assert.deepEqual([segment.tombstoneBytes, segment.highestTombstone], [90, 9]);
});

test("the newest time, and the lowest and highest version, are known in any order", () => {
  const segment = segmentOf(1);
  for (const timestampMs of [50, 90, 70]) segment.coverTimestamp(timestampMs);
  assert.equal(segment.newestTimestampMs, 90);
  for (const version of [6, 4, 8, 5]) segment.coverVersion(version);
  assert.deepEqual([segment.lowestVersion, segment.highestVersion], [4, 8]);
});

test("V2: a set finds segments by their ids, and never mistakes one for another", () => {
  const set = new SegmentSet();
  const [one, other] = [segmentOf(1), segmentOf(5)];
  set.add(one);
  set.add(other);
  assert.deepEqual([set.at(1), set.find(5), set.find(2), set.count], [one, other, undefined, 2]);
  assert.throws(() => set.at(2), /segment 2/);
  assert.throws(() => set.add(segmentOf(5)), /two segments/);
  assert.equal(set.at(5), other);
  assert.throws(() => set.delete(segmentOf(5)), /not there/);
  assert.equal(set.at(5), other);
});

test("M10 V7: one that is replaced counts no more, is found until its readers have left, and then its id is free", () => {
  const set = new SegmentSet();
  const [one, other] = [segmentOf(1, 100, 60), segmentOf(2, 50, 20)];
  set.add(one);
  set.add(other);
  assert.deepEqual(set.sums(), { bytes: 150, liveBytes: 80 });
  set.markRemoved(one);
  assert.ok(one.isRemoved);
  assert.deepEqual([[...set], [...set.all()], set.count], [[other], [one, other], 1]);
  assert.deepEqual(set.sums(), { bytes: 50, liveBytes: 20 });
  assert.equal(set.at(1), one);
  assert.equal(
    set.freeId(0, () => false),
    3,
  );
  set.delete(one);
  assert.equal(set.find(1), undefined);
  assert.deepEqual([...set.all()], [other]);
  assert.equal(
    set.freeId(0, () => false),
    1,
  );
});

test("I3: the next free id comes behind the last one, in a circle, and none is given that is in use or taken", () => {
  const set = new SegmentSet();
  for (const id of [0, 1, 4, SEGMENT_ID_MAX]) set.add(segmentOf(id));
  const free = (last: number, taken: readonly number[] = []): number | undefined =>
    set.freeId(last, (id) => taken.includes(id));
  assert.equal(free(1), 2);
  assert.equal(free(3), 5);
  assert.equal(free(1, [2, 3, 5]), 6);
  assert.equal(free(SEGMENT_ID_MAX - 1), 2);
  assert.equal(free(SEGMENT_ID_MAX - 2), SEGMENT_ID_MAX - 1);
  // The one free id may be the last one itself.
  assert.equal(
    set.freeId(9, (id) => id !== 9),
    9,
  );
  assert.equal(
    set.freeId(9, () => true),
    undefined,
  );
});
