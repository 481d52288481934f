/** What a repeat is answered with, read from the frame of the first request. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DamageRegister } from "../../../src/engine/damage.js";
import { RepeatReader } from "../../../src/engine/requests/repeat-reader.js";
import { encodeBatchResult } from "../../../src/format/batch-result.js";
import { FrameFlag } from "../../../src/format/frame.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";
import {
  batchOf,
  concat,
  frameOf,
  recordOf,
  sampleStoreId,
  text,
  withFlippedBit,
} from "../../format/frames.js";
import { MemoryFile } from "../../support/memory-file.js";

const directories = { data: "/store", segments: "/store/segments" };
const name = new SegmentName(directories, sampleStoreId, "segment", 3, 9n);
const id = text("the id of a request");
const digest = new Uint8Array(32).fill(9);
const identity = { id, digest, name: "" };
const answer = [{ version: 7, expiresAtMs: 0, found: true, value: 0n }];
const result = encodeBatchResult(answer);

const front = frameOf(recordOf(text("front"), text("value"), 5), 0, name.salt);
const member = (bytes: number): Uint8Array =>
  frameOf(recordOf(text("k"), new Uint8Array(bytes), 7), 0, name.salt);
const batch = (bytes = 10, flags: number = FrameFlag.BATCH): Uint8Array =>
  frameOf(batchOf(id, digest, result, member(bytes)), flags, name.salt);

function setUp(frame: Uint8Array, badBlocks: readonly number[] = [], behind = new Uint8Array(50)) {
  const file = new MemoryFile(concat(front, frame, behind), badBlocks);
  const segment = new Segment(name, file.asFile(), true);
  segment.lowestVersion = 3;
  segment.highestVersion = 80;
  const damage = new DamageRegister();
  const reader = new RepeatReader(damage);
  const place = { kind: "published", segment, offset: front.length, length: frame.length } as const;
  const read = (version = 7, who = identity) => reader.read({ ...place, version }, who);
  return { file, segment, damage, reader, place, read };
}

const ranges = (damage: DamageRegister): unknown[] =>
  damage.toStats().map(({ offset, length, firstVersion, lastVersion, keysUnknown }) => {
    return [offset, length, firstVersion, lastVersion, keysUnknown];
  });

test("G-REQID-1: a repeat is answered what the first was, of a batch of any size, in bounded memory", async () => {
  const piece = 1024 * 1024;
  const around = batch(0).length;
  for (const bytes of [10, piece - around - 3, piece - around, piece, 3 * piece + 5]) {
    const { file, damage, read } = setUp(batch(bytes));
    assert.deepEqual(await read(), answer, `${bytes}`);
    assert.equal(damage.count, 0);
    assert.ok(file.reads.every(([, length]) => length <= piece));
  }
});

test("G-REQID-2: another digest under the same id is another request", async () => {
  const { read, damage } = setUp(batch());
  const other = { ...identity, digest: new Uint8Array(32) };
  await assert.rejects(read(7, other), { reason: "REQUEST_ID_REUSED" });
  assert.equal(damage.count, 0);
});

test("V13: a frame with a wrong bit, anywhere, tells nothing, and is damage from then on", async () => {
  const frame = batch();
  for (let bit = 0; bit < frame.length * 8; bit += 1) {
    const { damage, read } = setUp(withFlippedBit(frame, bit));
    await assert.rejects(read(), { reason: "PREVIOUS_CORRUPT" }, `${bit}`);
    assert.deepEqual(ranges(damage), [[front.length, frame.length, 3, 7, false]]);
  }
  const large = batch(1024 * 1024 + 100);
  const { read } = setUp(withFlippedBit(large, 8 * (large.length - 1)));
  await assert.rejects(read(), { reason: "PREVIOUS_CORRUPT" });
});

test("V13: of a request that an opening found its version is not known, and damage that is known is not told again", async () => {
  const frame = batch();
  const { damage, read, segment } = setUp(withFlippedBit(frame, 300));
  await assert.rejects(read(0), { reason: "PREVIOUS_CORRUPT" });
  assert.deepEqual(ranges(damage), [[front.length, frame.length, 3, 80, false]]);
  const known = { segment: segment.name, firstVersion: 6, lastVersion: 6, keysUnknown: true };
  for (const [offset, length, isKnown] of [
    [front.length + 5, 10, true],
    [front.length - 5, 6, true],
    [front.length + frame.length - 1, 9, true],
    [front.length - 5, 5, false],
    [front.length + frame.length, 9, false],
  ] as const) {
    const other = setUp(withFlippedBit(frame, 300));
    other.damage.add({ ...known, offset, length });
    await assert.rejects(other.read(), { reason: "PREVIOUS_CORRUPT" });
    assert.equal(other.damage.count, isKnown ? 1 : 2, `${offset}`);
  }
});

test("V13: a sound frame that is no batch, or that of another request, is not what was remembered", async () => {
  const record = frameOf(recordOf(text("k"), new Uint8Array(90), 7), 0, name.salt);
  const stranger = frameOf(
    batchOf(text("another request's id"), digest, result, member(3)),
    FrameFlag.BATCH,
    name.salt,
  );
  const unread = frameOf(
    batchOf(id, digest, Uint8Array.of(0xff, 0xff), member(3)),
    FrameFlag.BATCH,
    name.salt,
  );
  for (const frame of [record, stranger, unread]) {
    await assert.rejects(setUp(frame).read(), { reason: "PREVIOUS_CORRUPT" });
  }
  // A sound frame, and a place that takes it for a longer or shorter one.
  const { reader, place } = setUp(batch());
  for (const length of [place.length - 1, place.length + 1]) {
    const read = reader.read({ ...place, length, version: 7 }, identity);
    await assert.rejects(read, { reason: "PREVIOUS_CORRUPT" });
  }
});

test("V13 M12: a file that is missing or short has lost it; what the disk cannot read now is no damage", async () => {
  const frame = batch();
  const short = setUp(frame.slice(0, -1), [], new Uint8Array(0));
  await assert.rejects(
    short.reader.read({ ...short.place, length: frame.length, version: 7 }, identity),
    {
      reason: "PREVIOUS_CORRUPT",
    },
  );
  const { reader, place } = setUp(frame);
  const gone = { ...place, segment: new Segment(name, undefined, true), version: 7 };
  await assert.rejects(reader.read(gone, identity), { reason: "PREVIOUS_CORRUPT" });
  const unread = setUp(batch(9000), [1]);
  await assert.rejects(unread.read(), { reason: "READ_FAILED", outcome: "unknown" });
  assert.equal(unread.damage.count, 0);
});

test("V11: one frame is read at a time, and a failure holds up nobody", async () => {
  const { segment, reader, place, file } = setUp(batch());
  const spoilt = setUp(withFlippedBit(batch(), 300));
  let underWay = 0;
  const read = file.read.bind(file);
  file.read = async (target, position) => {
    underWay += 1;
    assert.equal(underWay, 1);
    for (let turn = 0; turn < 5; turn += 1) await undefined;
    underWay -= 1;
    return await read(target, position);
  };
  const wrong = reader.read({ ...place, segment: spoilt.segment, version: 7 }, identity);
  const reads = [1, 2, 3].map(() => reader.read({ ...place, segment, version: 7 }, identity));
  await assert.rejects(wrong, { reason: "PREVIOUS_CORRUPT" });
  assert.deepEqual(await Promise.all(reads), [answer, answer, answer]);
});
