/** What a change of the manifest says: segments, names, lost ranges, the floor of the history. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Manifest, ManifestSchema, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import {
  addLostRange,
  addPendingOutput,
  addToManifest,
  commitCompaction,
  dropFromManifest,
  noteName,
  sealInManifest,
} from "../../src/engine/manifest-edits.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";

const directories = { data: "/store", segments: "/store/segments" };

function nameOf(id: number): SegmentName {
  return new SegmentName(directories, new Uint8Array(16), "segment", id, BigInt(1000 + id));
}

/** A segment with figures that tell it from others. */
function segmentOf(id: number, isLog = true): Segment {
  const segment = new Segment(nameOf(id), undefined, true, isLog);
  segment.length = 100 * id;
  segment.checksum = 7 * id;
  segment.lowestVersion = 10 * id;
  segment.highestVersion = 10 * id + 9;
  return segment;
}

/** The manifest's segments as the edits left them. */
function listed(draft: Manifest) {
  return draft.segments.map(({ id, state, length, checksum, lowestVersion, highestVersion }) => {
    return { id, state, figures: [length, checksum, lowestVersion, highestVersion] };
  });
}

function rangesAfter(...ranges: [number, number][]): [number, number][] {
  const draft = create(ManifestSchema);
  for (const [first, last] of ranges) addLostRange(draft, { first, last });
  return draft.lostRanges.map(({ first, last }) => [Number(first), Number(last)]);
}

test("V15: lost versions stay lost, each once, however their ranges meet", () => {
  assert.deepEqual(rangesAfter([10, 20], [22, 30]), [
    [10, 20],
    [22, 30],
  ]);
  // Version 20 is what the store had in between, and what a watch may have been told.
  assert.deepEqual(rangesAfter([10, 20], [21, 30]), [
    [10, 20],
    [21, 30],
  ]);
  assert.deepEqual(rangesAfter([10, 20], [20, 30]), [[10, 30]]);
  assert.deepEqual(rangesAfter([10, 20], [12, 15]), [[10, 20]]);
  assert.deepEqual(rangesAfter([10, 20], [5, 40]), [[5, 40]]);
  assert.deepEqual(rangesAfter([1, 2], [5, 6], [10, 20], [22, 30], [15, 40]), [
    [1, 2],
    [5, 6],
    [10, 40],
  ]);
});

test("V11 V15: of 1,025 lost ranges the two oldest become one, and no lost version is forgotten", () => {
  const ranges = Array.from({ length: 1025 }, (_, at): [number, number] => [10 * at, 10 * at + 1]);
  assert.deepEqual(rangesAfter(...ranges.slice(0, 1024)), ranges.slice(0, 1024));
  assert.deepEqual(rangesAfter(...ranges), [[0, 11], ...ranges.slice(2)]);
});

test("V3: a segment that is sealed keeps the sums that its hint must match", () => {
  const draft = create(ManifestSchema);
  addToManifest(draft, nameOf(1));
  addToManifest(draft, nameOf(2));
  sealInManifest(draft, segmentOf(1));
  assert.deepEqual(listed(draft), [
    { id: 1, state: SegmentState.SEALED, figures: [100n, 7, 10n, 19n] },
    { id: 2, state: SegmentState.ACTIVE, figures: [0n, 0, 0n, 0n] },
  ]);
  assert.equal(draft.segments[0]?.prefix, "segment");
  assert.throws(() => sealInManifest(draft, segmentOf(3)), /not in the manifest/);
});

test("M5: one change makes an output part of the store and takes its victims out", () => {
  const draft = create(ManifestSchema);
  for (const id of [1, 2, 3]) {
    addToManifest(draft, nameOf(id));
    sealInManifest(draft, segmentOf(id));
  }
  addPendingOutput(draft, nameOf(9));
  assert.equal(draft.segments.at(-1)?.state, SegmentState.PENDING);
  assert.equal(draft.segments.at(-1)?.prefix, "segment");
  commitCompaction(draft, segmentOf(9, false), [segmentOf(1), segmentOf(3)]);
  assert.deepEqual(
    listed(draft).map(({ id, state }) => [id, state]),
    [
      [1, SegmentState.REMOVED],
      [2, SegmentState.SEALED],
      [3, SegmentState.REMOVED],
      [9, SegmentState.COMPACTED],
    ],
  );
  assert.deepEqual(listed(draft)[3]?.figures, [900n, 63, 90n, 99n]);
  dropFromManifest(draft, new Set([nameOf(1).timestampNs, nameOf(3).timestampNs]));
  assert.deepEqual(
    listed(draft).map(({ id }) => id),
    [2, 9],
  );
});

test("the floor of the history rises to the newest version of the log that left it, and never falls", () => {
  const draft = create(ManifestSchema);
  for (const id of [1, 2, 3, 4]) addToManifest(draft, nameOf(id));
  commitCompaction(draft, undefined, [segmentOf(2), segmentOf(1)]);
  assert.equal(draft.historyFloor, 29n);
  commitCompaction(draft, undefined, [segmentOf(1)]);
  assert.equal(draft.historyFloor, 29n);
  // An output of an earlier compaction is no part of the log.
  commitCompaction(draft, undefined, [segmentOf(4, false)]);
  assert.equal(draft.historyFloor, 29n);
  commitCompaction(draft, undefined, [segmentOf(3)]);
  assert.equal(draft.historyFloor, 39n);
});

test("the newest name that was given stays noted when an older one comes after it", () => {
  const draft = create(ManifestSchema);
  addPendingOutput(draft, nameOf(5));
  assert.deepEqual([draft.segmentId, draft.segmentTimestamp], [5, 1005n]);
  addToManifest(draft, nameOf(4));
  assert.deepEqual([draft.segmentId, draft.segmentTimestamp], [5, 1005n]);
  noteName(draft, nameOf(6));
  assert.deepEqual([draft.segmentId, draft.segmentTimestamp], [6, 1006n]);
});
