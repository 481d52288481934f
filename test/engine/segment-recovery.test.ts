/** Reading one segment at opening: what is rot, what is a torn tail, and what the reading finds. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DamageRegister } from "../../src/engine/damage.js";
import type { EntrySink } from "../../src/engine/index-loader.js";
import { SegmentReader } from "../../src/engine/segment-recovery.js";
import { crc32 } from "../../src/format/checksum.js";
import { FrameFlag } from "../../src/format/frame.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import {
  batchOf,
  concat,
  falseStarts,
  frameOf,
  recordOf,
  text,
  tombstoneOf,
  viewOf,
} from "../format/frames.js";
import { MemoryFile } from "../support/memory-file.js";

const directories = { data: "/store", segments: "/store/segments" };
const name = new SegmentName(directories, new Uint8Array(16), "segment", 3, 9n);
const { BARRIER, TOMBSTONE } = FrameFlag;
const ceiling = 1000;

function frame(version: number, flags = 0, timestampMs = 5000): Uint8Array {
  const key = text(`k${version}`);
  const payload =
    flags & TOMBSTONE ? tombstoneOf(key, version) : recordOf(key, text("value"), version);
  return frameOf(payload, flags, name.salt, timestampMs);
}

/** Bytes of which nobody can say what they were. */
const lost = (): Uint8Array => new Uint8Array(80).fill(0xa5);

/** What reading these pieces finds; `synced`: how many of them were synced for certain. */
async function read(pieces: readonly Uint8Array[], synced = 0, badBlocks: readonly number[] = []) {
  const content = concat(...pieces);
  const segment = new Segment(name, new MemoryFile(content, badBlocks).asFile(), false);
  const loaded: number[] = [];
  const tombstones: number[] = [];
  const requests: { requestId: Uint8Array; offset: number; length: number }[] = [];
  const sink = {
    load: (_: Segment, entry: { version: number; isTombstone: boolean; isLost: boolean }) => {
      assert.ok(!entry.isLost);
      loaded.push(entry.version);
      if (entry.isTombstone) tombstones.push(entry.version);
    },
    loadRequest: (_: Segment, request: (typeof requests)[number]) => requests.push(request),
  } as unknown as EntrySink;
  const damage = new DamageRegister();
  const syncedLength = concat(...pieces.slice(0, synced)).length;
  const reading = { segment, fileLength: content.length, syncedLength, versionCeiling: ceiling };
  const findings = await new SegmentReader(reading, sink, damage).read();
  const ranges = damage.toStats().map(({ offset, length, firstVersion, lastVersion }) => {
    return [offset, length, firstVersion, lastVersion];
  });
  const isUnknown = damage.toStats().map(({ keysUnknown }) => keysUnknown);
  const fileLength = content.length;
  return { findings, loaded, tombstones, requests, ranges, isUnknown, fileLength };
}

const lengthOf = (...pieces: Uint8Array[]): number => concat(...pieces).length;

test("V8: a sound segment is read to its end, and tells its newest version, time and last BARRIER", async () => {
  const pieces = [
    frame(5, BARRIER, 9000),
    frame(6, TOMBSTONE, 7000),
    frame(9, BARRIER),
    frame(7, 0, 8000),
  ];
  const { findings, loaded, tombstones, ranges, fileLength } = await read(pieces);
  assert.deepEqual([loaded, tombstones, ranges], [[5, 6, 9, 7], [6], []]);
  assert.deepEqual(findings, {
    length: fileLength,
    lastBarrier: lengthOf(...pieces.slice(0, 2)),
    hasUnreadable: false,
    newestTimestampMs: 9000,
    highestVersion: 9,
  });
});

test("R1 R2: damage that no BARRIER follows is a torn tail, sound frames behind it included", async () => {
  const torn = frame(8).slice(0, -1);
  for (const tail of [[lost()], [lost(), frame(8)], [torn], [lost(), frame(8), lost(), frame(9)]]) {
    const pieces = [frame(5, BARRIER), frame(6)];
    const { findings, loaded, ranges } = await read([...pieces, ...tail]);
    assert.deepEqual([loaded, ranges], [[5, 6], []]);
    assert.deepEqual([findings.length, findings.hasUnreadable], [lengthOf(...pieces), false]);
  }
});

test("R2 V13: damage that a BARRIER follows, at once or later, is rot, and what follows is read", async () => {
  const first = frame(5, BARRIER);
  const range = [first.length, 80, 6, 7];
  for (const tail of [
    [frame(8, BARRIER)],
    [frame(8), frame(9, BARRIER)],
    [frame(8), frame(9, BARRIER), frame(10)],
  ]) {
    const { findings, loaded, ranges, isUnknown, fileLength } = await read([
      first,
      lost(),
      ...tail,
    ]);
    assert.deepEqual(loaded, [5, ...tail.map((_, index) => 8 + index)]);
    assert.deepEqual([ranges, isUnknown], [[range], [true]]);
    assert.equal(findings.length, fileLength);
  }
});

test("R2: a BARRIER behind more damage is one as well, and makes rot of all of it", async () => {
  const pieces = [frame(5, BARRIER), lost(), frame(8), lost(), frame(11, BARRIER)];
  const { loaded, ranges } = await read(pieces);
  assert.deepEqual(loaded, [5, 8, 11]);
  assert.deepEqual(
    ranges.map(([, , firstVersion, lastVersion]) => [firstVersion, lastVersion]),
    [
      [6, 7],
      [9, 10],
    ],
  );
});

test("R2 V1: below the length that was synced damage is never cut, with sound frames behind it and without", async () => {
  const first = frame(5, BARRIER);
  const middle = await read([first, lost(), frame(8), lost()], 4);
  assert.deepEqual(middle.loaded, [5, 8]);
  assert.equal(middle.findings.length, middle.fileLength);
  assert.deepEqual(middle.ranges.at(-1)?.slice(2), [9, ceiling - 1]);
  // What was written behind the synced part and is torn goes; the damage in front of it stays.
  const behind = await read([first, lost(), frame(8), lost()], 2);
  assert.deepEqual(behind.loaded, [5, 8]);
  assert.equal(behind.findings.length, behind.fileLength - 80);
  assert.deepEqual(behind.ranges, [[first.length, 80, 6, 7]]);
  const last = await read([first, lost(), lost()], 2);
  assert.equal(last.findings.length, first.length + 80);
  assert.deepEqual(last.ranges, [[first.length, 80, 6, ceiling - 1]]);
});

test("R2: what lies behind the synced part and is not sound is torn, though damage reaches into it", async () => {
  const first = frame(5, BARRIER);
  const { findings, loaded, ranges } = await read([first, lost(), lost(), frame(8)], 2);
  assert.deepEqual([loaded, findings.length], [[5], first.length + 80]);
  assert.deepEqual(ranges, [[first.length, 80, 6, ceiling - 1]]);
});

test("V13: the versions that damage hides end before the frame behind it, whatever comes later", async () => {
  // In the output of a compaction versions come in no order.
  const { ranges } = await read([frame(5), lost(), frame(9, BARRIER), frame(7)]);
  assert.deepEqual(
    ranges.map(([, , ...versions]) => versions),
    [[6, 8]],
  );
});

test("R2 V11: where the search gives up nothing is cut: what it did not see may have been acknowledged", async () => {
  const first = frame(5, BARRIER);
  const tooMany = falseStarts(76, frame(8, BARRIER));
  // Met twice: behind the sound frame that follows damage, and behind the damage that follows that.
  const { findings, loaded, ranges, fileLength } = await read([
    ...[first, lost(), frame(6), lost(), tooMany],
  ]);
  assert.deepEqual([loaded, findings.length], [[5, 6], fileLength]);
  const [offset = 0, length = 0] = ranges.at(-1) ?? [];
  assert.equal(offset + length, fileLength);
});

test("R7 B1: a batch gives its members, and the request that it answered", async () => {
  const members = concat(frame(6), frame(7, TOMBSTONE));
  const id = text("a request of mine");
  const [named, nameless] = [id, new Uint8Array(0)].map((requestId) => {
    const digest = new Uint8Array(requestId.length === 0 ? 0 : 32);
    return frameOf(
      batchOf(requestId, digest, new Uint8Array(0), members),
      FrameFlag.BATCH,
      name.salt,
    );
  }) as [Uint8Array, Uint8Array];
  const first = frame(5, BARRIER);
  const { loaded, tombstones, requests } = await read([first, named, nameless]);
  assert.deepEqual(
    [loaded, tombstones],
    [
      [5, 6, 7, 6, 7],
      [7, 7],
    ],
  );
  assert.deepEqual(requests, [{ requestId: id, offset: first.length, length: named.length }]);
});

const batchWith = (members: Uint8Array): Uint8Array =>
  batchOf(new Uint8Array(0), new Uint8Array(0), new Uint8Array(0), members);

test("R10: a frame whose payload is none of ours refuses the segment", async () => {
  for (const [payload, flags] of [
    [Uint8Array.of(1, 2, 3), 0],
    [Uint8Array.of(1, 2, 3), FrameFlag.BATCH],
    [recordOf(text("k"), text("value"), 8), TOMBSTONE],
    [recordOf(text("k"), new Uint8Array(0), 8, 1, 99), TOMBSTONE],
    [batchWith(frameOf(Uint8Array.of(1, 2, 3), 0, name.salt)), FrameFlag.BATCH],
    [batchWith(new Uint8Array(40).fill(0xa5)), FrameFlag.BATCH],
    // In a batch nothing is known to be synced, and no batch lies in one.
    [batchWith(frame(8, BARRIER)), FrameFlag.BATCH],
  ] as const) {
    const strange = frameOf(payload, flags, name.salt);
    await assert.rejects(read([frame(5, BARRIER), strange, frame(9, BARRIER)]), {
      reason: "FORMAT_TOO_NEW",
    });
  }
});

test("V13: bytes that the disk cannot read are never called torn", async () => {
  const first = frame(5, BARRIER);
  // The second block of the file, and sound frames before and behind it.
  const filling = frameOf(recordOf(text("k6"), new Uint8Array(4000), 6), 0, name.salt);
  const hidden = frameOf(recordOf(text("k7"), new Uint8Array(6000), 7), 0, name.salt);
  const { findings, loaded, fileLength } = await read([first, filling, hidden, frame(8)], 0, [1]);
  assert.ok(findings.hasUnreadable);
  assert.equal(findings.length, fileLength);
  assert.ok(loaded.includes(5) && loaded.includes(8));
});

test("R10 V9: a frame of a later kind refuses the segment, wherever it is", async () => {
  const later = frame(8);
  later[8] = 2;
  viewOf(later).setUint32(0, crc32(later.subarray(4), name.salt), true);
  await assert.rejects(read([frame(5, BARRIER), later]), { reason: "FORMAT_TOO_NEW" });
});
