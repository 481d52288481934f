/** The keeper of hints alone: what it writes of a segment, in what turns, and when it writes none. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DamageRegister } from "../../src/engine/damage.js";
import { HintKeeper } from "../../src/engine/hint-keeper.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import { Latch } from "../../src/engine/latch.js";
import { Pins } from "../../src/engine/pins.js";
import { crc32 } from "../../src/format/checksum.js";
import { FrameFlag } from "../../src/format/frame.js";
import { HintFlag } from "../../src/format/hint-layout.js";
import { loadHint } from "../../src/storage/hint-file.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import {
  batchOf,
  concat,
  frameOf,
  recordOf,
  sampleStoreId,
  text,
  tombstoneOf,
  withFlippedBit,
} from "../format/frames.js";
import { type FaultTarget, FaultyFileSystem, injectFault } from "../support/faulty-file-system.js";
import { MemoryFile } from "../support/memory-file.js";
import { simHost } from "../support/sim-host.js";

const directories = { data: "/d", segments: "/d" };
const nameOf = (id: number): SegmentName =>
  new SegmentName(directories, sampleStoreId, "segment", id, BigInt(id + 1));
const name = nameOf(3);
const { TOMBSTONE, EXPIRED, BATCH, BARRIER } = FrameFlag;

function frame(key: string, version: number, flags = 0, timestampMs = 5000, value = "value") {
  const isTombstone = (flags & TOMBSTONE) !== 0;
  const payload = isTombstone
    ? tombstoneOf(text(key), version)
    : recordOf(text(key), text(value), version, timestampMs, version * 1000);
  return frameOf(payload, flags, name.salt, timestampMs);
}

async function setUp(pieces: readonly Uint8Array[], badBlocks: readonly number[] = []) {
  const host = simHost({ seed: 1 });
  await host.files.makeDirectory("/d");
  const files = new FaultyFileSystem(host.files);
  const trace: string[] = [];
  const trouble = { injector: undefined as ReturnType<typeof injectFault> | undefined };
  files.injector = (operation) => {
    trace.push(operation.op);
    return trouble.injector?.(operation);
  };
  const content = concat(...pieces);
  const file = new MemoryFile(content, badBlocks);
  const segment = new Segment(name, file.asFile(), true);
  segment.length = content.length;
  segment.checksum = crc32(content);
  segment.lowestVersion = 1;
  segment.highestVersion = 99;
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const damage = new DamageRegister();
  const latch = new Latch(host.log);
  const pins = new Pins();
  const context = { host: { ...host, files }, directories, storeId: sampleStoreId };
  const keeper = new HintKeeper({ ...context, keydir, damage, latch, pins });
  const fail = (target: FaultTarget): void => {
    trouble.injector = injectFault({ kind: "error", code: "EIO" }, target);
  };
  /** What the hint on disk says. */
  const read = async () => {
    const entries: string[] = [];
    const hint = await loadHint(host.files, sampleStoreId, segment, (block) => {
      let at = 0;
      for (let index = 0; index < block.count; index += 1) {
        const end = at + (block.keyLengths[index] ?? 0);
        const flags = block.flags[index] ?? 0;
        const marks = [
          (flags & HintFlag.TOMBSTONE) === 0 ? "" : " tombstone",
          (flags & HintFlag.EXPIRED) === 0 ? "" : " expired",
          (flags & HintFlag.DAMAGED) === 0 ? "" : " lost",
        ];
        const place = `${block.offsets[index]}+${block.lengths[index]}`;
        const key = Buffer.from(block.keys.subarray(at, end)).toString();
        entries.push(`${key} ${block.versionsLow[index]} ${place}${marks.join("")}`);
        at = end;
      }
    });
    return { kind: hint.kind, entries, summary: hint.kind === "loaded" ? hint.summary : undefined };
  };
  /** Has the hint written, and reads it. */
  const write = async () => {
    keeper.add(segment);
    await keeper.idle();
    return await read();
  };
  const put = (key: string, id: number, version: number): void => {
    keydir.put(text(key), 0, key.length, id, 0, 40, 0, version);
  };
  return {
    host,
    file,
    segment,
    damage,
    latch,
    pins,
    keeper,
    trace,
    fail,
    read,
    write,
    put,
    content,
  };
}

const warned = ({ host }: { host: ReturnType<typeof simHost> }): number =>
  host.log.lines.filter(({ level }) => level === "warn").length;

test("R7: a hint has every record and tombstone of its segment, its requests, and its newest time", async () => {
  const id = text("the id of a request");
  const members = concat(frame("c", 8), frame("d", 9, TOMBSTONE));
  const payload = batchOf(id, new Uint8Array(32), new Uint8Array(0), members);
  const batch = frameOf(payload, BATCH, name.salt, 6000);
  const pieces = [frame("a", 6, BARRIER, 9000), frame("b", 7, TOMBSTONE | EXPIRED), batch];
  const rig = await setUp(pieces);
  const { kind, entries, summary } = await rig.write();
  const [a = 0, b = 0] = pieces.map(({ length }) => length);
  const start = a + b + batch.length - members.length;
  const [c, d] = [frame("c", 8).length, frame("d", 9, TOMBSTONE).length];
  assert.equal(kind, "loaded");
  assert.deepEqual(entries, [
    `a 6 0+${a}`,
    `b 7 ${a}+${b} tombstone expired`,
    `c 8 ${start}+${c}`,
    `d 9 ${start + c}+${d} tombstone`,
  ]);
  assert.deepEqual(
    summary?.requests.map(({ requestId, offset, length }) => [requestId, offset, length]),
    [[id, BigInt(a + b), BigInt(batch.length)]],
  );
  assert.equal(summary?.newestTimestamp, 9_000_000_000n);
  assert.deepEqual([summary?.lowestVersion, summary?.highestVersion], [1n, 99n]);
  assert.deepEqual(summary?.damagedRanges, []);
  assert.deepEqual([rig.keeper.missing, rig.trace.at(-1)], [0, "syncDirectory"]);
});

test("V16 V6: a record is left out only if a newer one of its key lies in the very segment", async () => {
  const keys = ["absent", "same", "older", "newer", "elsewhere"];
  const rig = await setUp(keys.map((key, index) => frame(key, 10 + index)));
  rig.put("same", 3, 11);
  rig.put("older", 3, 5);
  rig.put("newer", 3, 20);
  rig.put("elsewhere", 4, 20);
  const { entries } = await rig.write();
  assert.deepEqual(
    entries.map((entry) => entry.split(" ")[0]),
    ["absent", "same", "older", "elsewhere"],
  );
});

test("V13 R3: of damage a hint has the keys that its bytes still tell, and says which bytes and versions", async () => {
  const spoilt = withFlippedBit(frame("b", 7), 25 * 8);
  const noise = new Uint8Array(80).fill(0xa5);
  const first = frame("a", 6);
  const rig = await setUp([first, spoilt, frame("c", 9), noise, frame("d", 12), noise]);
  const { entries, summary } = await rig.write();
  const at = first.length;
  assert.deepEqual(
    entries.map((entry) => entry.replace(/ \d+\+\d+/, "")),
    ["a 6", "b 7 lost", "c 9", "d 12"],
  );
  const ranges = summary?.damagedRanges.map(({ offset, length, versions, keysUnknown }) => {
    return [
      Number(offset),
      Number(length),
      Number(versions?.first),
      Number(versions?.last),
      keysUnknown,
    ];
  });
  const second = at + spoilt.length + frame("c", 9).length;
  const third = second + 80 + frame("d", 12).length;
  assert.deepEqual(ranges, [
    [at, spoilt.length, 7, 8, false],
    [second, 80, 10, 11, true],
    [third, 80, 13, 99, true],
  ]);
  assert.equal(rig.damage.count, 3);
});

test("V13: the versions that damage hides lie behind the highest before it and before the frame behind it", async () => {
  const noise = new Uint8Array(80).fill(0xa5);
  for (const [before, behind, versions] of [
    // In the output of a compaction versions come in no order.
    [
      [9, 6],
      [12, 11],
      [10, 11],
    ],
    // None is free between neighbours: the head of a batch has none. The range has one all the same.
    [[6], [7], [7, 7]],
  ] as const) {
    const pieces = [...before.map((each) => frame("a", each)), noise];
    const rig = await setUp([...pieces, ...behind.map((each) => frame("b", each))]);
    const { summary } = await rig.write();
    const [range] = summary?.damagedRanges ?? [];
    assert.deepEqual([range?.versions?.first, range?.versions?.last], versions.map(BigInt));
  }
});

test("R7: a hint of several blocks has all of them", async () => {
  // A block has a MiB of keys at most.
  const keys = Array.from({ length: 40 }, (_, index) => `${index} ${"k".repeat(60_000)}`);
  const rig = await setUp(keys.map((key, index) => frame(key, index + 1, 0, 5000, "")));
  const { kind, entries } = await rig.write();
  assert.deepEqual([kind, entries.length], ["loaded", 40]);
  assert.ok(entries.every((entry, index) => entry.startsWith(`${index} kkk`)));
});

test("V13: damage that is known is in the hint, unless it lies behind the end", async () => {
  const rig = await setUp([frame("a", 6), frame("b", 7)]);
  const range = { segment: name, firstVersion: 1, lastVersion: 2, keysUnknown: true };
  const { length } = rig.segment;
  rig.damage.add({ ...range, offset: 10, length: length - 10 });
  rig.damage.add({ ...range, offset: length, length: 1 });
  rig.damage.add({ ...range, segment: nameOf(9), offset: 3, length: 5 });
  const { summary } = await rig.write();
  assert.deepEqual(
    summary?.damagedRanges.map(({ offset }) => Number(offset)),
    [10],
  );
});

test("V13 V1 R7: no hint is written of a segment that is short, missing, not read wholly, or of a later kind", async () => {
  const pieces = [frame("a", 6), frame("b", 7, 0, 5000, "x".repeat(9000)), frame("c", 8)];
  const short = await setUp(pieces);
  short.segment.length += 1;
  const unread = await setUp(pieces, [1]);
  const strange = await setUp([frame("a", 6), frameOf(Uint8Array.of(1, 2), 0, name.salt)]);
  for (const rig of [short, unread, strange]) {
    assert.equal((await rig.write()).kind, "missing");
    assert.deepEqual(await rig.host.files.list("/d"), []);
    assert.deepEqual([rig.keeper.missing, warned(rig), rig.latch.isClosed], [0, 1, false]);
  }
});

test("D3: a hint that cannot be written is given up; a sync of the directory that fails closes the latch", async () => {
  for (const op of ["create", "write", "syncData", "rename"] as const) {
    const rig = await setUp([frame("a", 6)]);
    rig.fail({ op });
    assert.equal((await rig.write()).kind, "missing");
    assert.deepEqual(await rig.host.files.list("/d"), []);
    assert.ok(!rig.latch.isClosed);
    assert.equal((await rig.write()).kind, "loaded");
  }
  const rig = await setUp([frame("a", 6)]);
  rig.fail({ op: "syncDirectory" });
  await rig.write();
  assert.ok(rig.latch.isClosed);
});

test("M10: a segment on its way out gets no hint, and one that gets its hint is held", async () => {
  const rig = await setUp([frame("a", 6)]);
  void rig.pins.released(rig.segment);
  assert.equal((await rig.write()).kind, "missing");
  assert.equal(warned(rig), 0);
  const other = await setUp([frame("a", 6)]);
  other.keeper.add(other.segment);
  assert.equal(other.pins.count, 1);
  await other.keeper.idle();
  assert.equal(other.pins.count, 0);
});

test("hints are written one after the other; who waits for one is told when it is there or given up", async () => {
  const rig = await setUp([frame("a", 6)]);
  const missing = new Segment(nameOf(4), undefined, true);
  missing.length = 10;
  rig.keeper.add(missing);
  rig.keeper.add(rig.segment);
  assert.deepEqual([rig.keeper.missing, rig.keeper.isPending(rig.segment)], [2, true]);
  await rig.keeper.untilWritten(missing);
  assert.deepEqual(
    [rig.keeper.isPending(missing), rig.keeper.isPending(rig.segment)],
    [false, true],
  );
  await rig.keeper.untilWritten(rig.segment);
  assert.equal((await rig.read()).kind, "loaded");
  await rig.keeper.untilWritten(rig.segment);
  // After all were written the next one is begun as the first was.
  await rig.host.files.remove(name.hintPath);
  assert.equal((await rig.write()).kind, "loaded");
});

test("M13: a keeper that stops leaves what it is at, and wakes who waits", async () => {
  const rig = await setUp([frame("a", 6, 0, 5000, "x".repeat(600_000)), frame("b", 7)]);
  rig.keeper.add(rig.segment);
  const waiting = rig.keeper.untilWritten(rig.segment);
  await rig.keeper.stop();
  await waiting;
  assert.deepEqual(await rig.host.files.list("/d"), []);
  assert.equal(warned(rig), 0);
  rig.keeper.add(rig.segment);
  await rig.keeper.idle();
  assert.deepEqual(await rig.host.files.list("/d"), []);
});

test("V11: others get a turn after every half MiB that is read", async () => {
  const value = "x".repeat(100_000);
  const pieces = Array.from({ length: 24 }, (_, index) =>
    frame(`k${index}`, 5 + index, 0, 5000, value),
  );
  const rig = await setUp(pieces);
  let turns = 0;
  const { soon } = rig.host.clock;
  rig.host.clock.soon = (task) => {
    turns += 1;
    soon.call(rig.host.clock, task);
  };
  const { entries } = await rig.write();
  assert.equal(entries.length, 24);
  assert.ok(turns >= 4 && turns <= 6, `${turns} turns`);
});
