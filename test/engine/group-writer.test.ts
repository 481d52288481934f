/** Groups that are taken while others write: what fits, and who is answered before the log rotates. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { GroupWriter } from "../../src/engine/group-writer.js";
import type { Log } from "../../src/engine/log.js";
import { Staging } from "../../src/engine/staging.js";
import type { Versions } from "../../src/engine/versions.js";
import type { WriteOp } from "../../src/engine/write-op.js";
import { FrameFlag } from "../../src/format/frame.js";

const segmentBytesMax = 1000;
const frameBytes = 400;

/** More turns of the microtask queue than lie between any two steps of a group. */
const turnsMax = 12;

/** A log with room for one frame, which rotates when it is to take more; it only counts. */
class CountingLog {
  room = frameBytes + 100;
  /** What was done, in order. */
  readonly did: string[] = [];
  onPrepare = (): void => undefined;
  readonly nextIsBarrier = false;

  isReadyFor(bytes: number): boolean {
    return bytes <= this.room;
  }

  async prepare(bytes: number): Promise<{ segment: object; room: number }> {
    this.onPrepare();
    if (bytes > this.room) {
      this.did.push("rotated");
      this.room = segmentBytesMax;
    }
    const segment = { length: 0, name: { salt: 1 }, coverTimestamp: () => undefined };
    return { segment, room: this.room };
  }

  async append(pieces: readonly Uint8Array[], beforeWaiting: () => void): Promise<void> {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    assert.ok(bytes <= this.room, `${bytes} bytes where ${this.room} have room`);
    this.room -= bytes;
    this.did.push("appended");
    beforeWaiting();
  }
}

/** A writer over that log, and the means to put a frame in line for it. */
function setUp() {
  const log = new CountingLog();
  const staging = new Staging(segmentBytesMax);
  let version = 0;
  const stage = (): void => {
    version += 1;
    const op = { request: { kind: "set" }, ops: [] } as unknown as WriteOp;
    const entry = { version, at: 0, length: frameBytes } as WriteOp["entries"][number];
    staging.chunkFor(frameBytes).add(op, [entry], frameBytes, 1);
  };
  const versions = { isReserved: () => true } as unknown as Versions;
  const writer = new GroupWriter(log as unknown as Log, staging, versions);
  return { log, staging, stage, writer };
}

/** Does something after so many turns of the microtask queue. */
async function after(turns: number, act: () => void): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await undefined;
  act();
}

test("I4: a frame that comes while the log is made ready is in the group only if there is room for it", async () => {
  for (let turns = 0; turns < turnsMax; turns += 1) {
    const { log, staging, stage, writer } = setUp();
    stage();
    log.onPrepare = () => {
      log.onPrepare = () => undefined;
      void after(turns, stage);
    };
    let frames = 0;
    await writer.write(() => undefined).then(({ bytes }) => (frames += bytes / frameBytes));
    await after(turnsMax, () => undefined);
    if (!staging.isEmpty) {
      await writer.write(() => undefined).then(({ bytes }) => (frames += bytes / frameBytes));
    }
    assert.equal(frames, 2, `after ${turns} turns`);
  }
});

test("I8 M3: whoever waits for an answer has it before the log rotates, whenever the frame comes that makes it", async () => {
  for (let turns = 0; turns < turnsMax; turns += 1) {
    const { log, stage, writer } = setUp();
    stage();
    assert.ok(writer.isReady);
    log.onPrepare = () => {
      log.onPrepare = () => undefined;
      void after(turns, stage);
    };
    await writer.write(() => log.did.push("answered"));
    const rotated = log.did.indexOf("rotated");
    if (rotated !== -1) assert.equal(log.did[rotated - 1], "answered", `after ${turns} turns`);
  }
});

test("I8 M3: one that was ready when it was looked at, and is not when it is written, answers before it rotates", async () => {
  const { log, stage, writer } = setUp();
  stage();
  assert.ok(writer.isReady);
  stage();
  assert.ok(!writer.isReady);
  await writer.write(() => log.did.push("answered"));
  assert.deepEqual(log.did, ["answered", "rotated", "appended", "answered"]);
});

/** A log with endless room that keeps what it is given. */
function keepingLog(nextIsBarrier = true, startsAt = 1000) {
  const timestamps: number[] = [];
  const segment = {
    length: startsAt,
    name: { salt: 1 },
    coverTimestamp: (timestampMs: number) => timestamps.push(timestampMs),
  };
  const pieces: Uint8Array[] = [];
  const log = {
    nextIsBarrier,
    room: Number.POSITIVE_INFINITY,
    isReadyFor: () => true,
    prepare: async () => ({ segment, room: log.room }),
    append: async (appended: readonly Uint8Array[]) => {
      for (const piece of appended) pieces.push(piece.slice());
    },
  };
  return { log, segment, pieces, timestamps };
}

/** A writer over that log; `reservedTo`: versions from here on are not reserved. */
function setUpGroups(chunkBytes = 100, { log, ...kept } = keepingLog()) {
  const staging = new Staging(chunkBytes);
  let version = 0;
  let reservedTo = Number.POSITIVE_INFINITY;
  const versions = { isReserved: (asked: number) => asked < reservedTo } as unknown as Versions;
  const writer = new GroupWriter(log as unknown as Log, staging, versions);
  const stage = (length: number, timestampMs = 1) => {
    version += 1;
    const chunk = staging.chunkFor(length);
    const op = { request: { kind: "set" } } as unknown as WriteOp;
    const entry = { version, at: chunk.used, length, segment: undefined, offset: -1 };
    chunk.add(op, [entry as unknown as WriteOp["entries"][number]], length, timestampMs);
    return { op, entry };
  };
  const observe = (): WriteOp => {
    const op = { request: { kind: "flush" }, frameBytes: 0, entries: [] } as unknown as WriteOp;
    staging.chunkFor(0).ops.push(op);
    return op;
  };
  const write = () => writer.write(() => undefined);
  const reserve = (to: number): void => {
    reservedTo = to;
  };
  return { ...kept, log, staging, writer, stage, observe, write, reserve };
}

const isBarrier = (piece: Uint8Array, at: number): boolean => {
  return ((piece[at + 8] ?? 0) & FrameFlag.BARRIER) !== 0;
};

test("V2: every entry of a group of many chunks is told where it comes to lie in the segment", async () => {
  const { segment, pieces, timestamps, stage, write } = setUpGroups();
  const staged = [stage(60, 5), stage(40, 6), stage(70, 7), stage(90, 8)];
  const group = await write();
  assert.deepEqual(
    staged.map(({ entry }) => entry.offset),
    [1000, 1060, 1100, 1170],
  );
  for (const { entry } of staged) assert.equal(entry.segment, segment);
  assert.deepEqual(
    pieces.map(({ length }) => length),
    [100, 70, 90],
  );
  assert.deepEqual(
    group.ops,
    staged.map(({ op }) => op),
  );
  assert.deepEqual([group.bytes, group.lastVersion], [260, 4]);
  assert.deepEqual(timestamps, [6, 7, 8]);
});

// Else what was never synced would count as synced, and its damage as rot.
test("V8: of a group that follows a sync the first frame alone is a BARRIER, and of another none", async () => {
  for (const follows of [true, false]) {
    const { pieces, stage, observe, write } = setUpGroups(100, keepingLog(follows));
    observe();
    stage(60);
    stage(40);
    stage(70);
    await write();
    const [first, second] = pieces;
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual(
      [isBarrier(first, 0), isBarrier(first, 60), isBarrier(second, 0)],
      [follows, false, false],
    );
  }
});

test("I4: a group ends where the segment's room does, and takes what fits exactly", async () => {
  const { log, stage, write, staging } = setUpGroups();
  for (const length of [100, 100, 100]) stage(length);
  log.room = 200;
  assert.equal((await write()).bytes, 200);
  log.room = 199;
  assert.equal((await write()).bytes, 100);
  assert.ok(staging.isEmpty);
});

test("V11: a group ends at 8 MiB, however much room there is", async () => {
  const { stage, write } = setUpGroups(Number.POSITIVE_INFINITY);
  const chunkBytes = 256 * 1024;
  for (let chunk = 0; chunk < 40; chunk += 1) stage(chunkBytes);
  assert.equal((await write()).bytes, 8 * 1024 * 1024);
  assert.equal((await write()).bytes, 8 * chunkBytes);
});

test("V15: no frame is written whose version is not reserved, though there is room for it", async () => {
  const { stage, write, writer, reserve, staging } = setUpGroups();
  for (let version = 1; version <= 3; version += 1) stage(100);
  reserve(3);
  assert.ok(writer.isReady);
  assert.deepEqual(await write().then(({ bytes, lastVersion }) => [bytes, lastVersion]), [200, 2]);
  assert.ok(!writer.isReady);
  assert.equal(staging.first?.lastVersion, 3);
  reserve(4);
  assert.equal((await write()).lastVersion, 3);
});

test("a group of mere observations asks nothing of the log, and is in its turn", async () => {
  const { log, observe, write, writer, pieces } = setUpGroups();
  log.prepare = () => assert.fail("the log was made ready");
  assert.ok(!writer.isReady);
  const ops = [observe(), observe()];
  assert.ok(!writer.isReady);
  const group = await write();
  assert.deepEqual(group.ops, ops);
  assert.deepEqual([group.bytes, group.lastVersion, pieces.length], [0, 0, 0]);
  await assert.rejects(write(), /no group/);
});

test("what failed is the group that was taken, and none if nothing was", async () => {
  const { log, stage, write, writer } = setUpGroups();
  const { op } = stage(100);
  const prepare = log.prepare;
  log.prepare = () => Promise.reject(new Error("no space"));
  await assert.rejects(write(), /no space/);
  assert.deepEqual(writer.taken.ops, []);
  log.prepare = prepare;
  log.append = () => Promise.reject(new Error("EIO"));
  await assert.rejects(write(), /EIO/);
  assert.deepEqual(writer.taken.ops, [op]);
});

test("V8: an observation in front of a group takes the BARRIER from no frame, and no bytes to the log", async () => {
  const { pieces, timestamps, stage, observe, write } = setUpGroups();
  const first = observe();
  const { op, entry } = stage(120, 9);
  const group = await write();
  assert.deepEqual(group.ops, [first, op]);
  assert.deepEqual(
    pieces.map((piece) => [piece.length, isBarrier(piece, 0)]),
    [[120, true]],
  );
  assert.equal(entry.offset, 1000);
  assert.deepEqual(timestamps, [9]);
  assert.deepEqual([group.bytes, group.lastVersion], [120, 1]);
});

test("I4 I6: a frame that fills the room to its last byte is written, and one past 8 MiB alone", async () => {
  const { log, stage, write } = setUpGroups();
  log.room = 100;
  stage(100);
  assert.equal((await write()).bytes, 100);
  log.room = Number.POSITIVE_INFINITY;
  const large = 9 * 1024 * 1024;
  stage(large);
  stage(60);
  assert.equal((await write()).bytes, large);
  assert.equal((await write()).bytes, 60);
});

test("observations in front of a frame that has no room, and behind one, change nothing of what is written", async () => {
  const { log, stage, observe, write, pieces } = setUpGroups();
  const first = observe();
  stage(120);
  log.room = 50;
  const append = log.append;
  log.append = () => assert.fail("nothing was to be appended");
  const group = await write();
  assert.deepEqual([group.ops, group.bytes, group.lastVersion], [[first], 0, 0]);
  log.room = Number.POSITIVE_INFINITY;
  log.append = append;
  const last = observe();
  const second = await write();
  assert.equal(second.ops.at(-1), last);
  assert.deepEqual([second.bytes, second.lastVersion, pieces.length], [120, 1, 1]);
});
