/** The reader of the log: what it may tell, and what ends it. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { versionsOf } from "../support/log-versions.js";
import { imageOf, manifestOf } from "../support/store-image.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text } from "../support/store-rig.js";

const buffered = { durability: "buffered" } as const;

test("V14: nothing is told that a crash could take back", async () => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  const { version } = await rig.set("a", "1");
  const reader = rig.store.logReaders.open({ afterVersion: version });
  await rig.set("b", "1", buffered);
  assert.equal(await rig.get("b"), "1", "it is visible");
  assert.deepEqual(await reader.next(), { changes: [], version, isCaughtUp: true });
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const sync = rig.set("c", "1");
  await rig.settle();
  assert.deepEqual(await versionsOf(reader), []);
  gate.open();
  await sync;
  assert.deepEqual(await versionsOf(reader), [version + 1, version + 2]);
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await rejects(rig.set("d", "1"), "SYNC_FAILED");
  assert.deepEqual(await versionsOf(reader), [], "nobody knows what became of it");
  reader.close();
});

test("V11: a read answers at most the bytes that it is asked for, or one frame of any length", async () => {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024 });
  for (let index = 0; index < 20; index += 1)
    await rig.set(`k${index}`, "v".repeat(1000), buffered);
  await rig.set("big", "v".repeat(3_000_000));
  await rig.set("last", "1");
  const reader = rig.store.logReaders.open({ afterVersion: 0 });
  const counts: number[] = [];
  for (;;) {
    const { changes, isCaughtUp } = await reader.next(5000);
    if (isCaughtUp) break;
    counts.push(changes.length);
  }
  assert.deepEqual(counts, [4, 4, 4, 4, 4, 1, 1]);
  for (let index = 0; index < 5000; index += 1) await rig.set("small", "", buffered);
  await rig.store.flush();
  assert.equal((await reader.next()).changes.length, 4096, "and others get their turn");
  assert.equal((await reader.next()).changes.length, 904);
  for (const bytesMax of [0, -1, 1.5, 1024 * 1024 + 1]) {
    await rejects(reader.next(bytesMax), "FIELD_INVALID");
  }
  const one = reader.next();
  await assert.rejects(reader.next(), /two reads/);
  await one;
  await rig.store.close();
});

/** A store of several segments, ten records, one of them spoilt while it is open. */
async function spoiltRig(key: string, options = {}): Promise<Rig> {
  const rig = await Rig.open({ segmentBytesMax: 300, ...options });
  for (let index = 0; index < 10; index += 1) await rig.set(`k${index}`, "v".repeat(80));
  await rig.store.hintsWritten();
  const frame = (await rig.frames()).find(({ records }) => records[0]?.key === key);
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  await flipBitAtRest(rig.sim.files, path, (frame.offset + frame.length - 1) * 8);
  return rig;
}

test("V13: damage that a reader of the log meets ends it with the range, and raises the floor for those to come", async () => {
  for (const bad of [0, 1, 4, 5, 9]) {
    const rig = await spoiltRig(`k${bad}`);
    const version = bad + 1;
    const { logReaders } = rig.store;
    const reader = logReaders.open({ afterVersion: 0 });
    const told: number[] = [];
    const error = await rejects(
      (async () => {
        for (;;) {
          const { changes } = await reader.next(1);
          told.push(...changes.flatMap((change) => change.map((each) => each.version)));
        }
      })(),
      "RECORD_CORRUPT",
      "none",
    );
    assert.equal(error.row.status, "DATA_LOSS");
    assert.deepEqual(
      told,
      Array.from({ length: bad }, (_, index) => index + 1),
      "all before it",
    );
    assert.equal(error.metadata["first_version"], version);
    assert.equal(error.metadata["last_version"], version);
    assert.equal(await reader.next().catch((again: unknown) => again), error);
    assert.equal(logReaders.floor, version);
    const lost = await rejects(
      (async () => logReaders.open({ afterVersion: bad }))(),
      "HISTORY_LOST",
    );
    assert.deepEqual(lost.metadata, { after_version: bad, floor: version, version: 10 });
    const rest = Array.from({ length: 10 - version }, (_, index) => version + 1 + index);
    assert.deepEqual(await versionsOf(logReaders.open({ afterVersion: version })), rest);
    await rig.settle();
    assert.equal(Number(manifestOf(imageOf(rig.sim.files)).historyFloor), version);
    assert.equal(rig.store.stats().condition.degraded, true);
    const next = await rig.reopened();
    assert.equal(next.store.logReaders.floor, version);
    assert.deepEqual(await versionsOf(next.store.logReaders.open({ afterVersion: version })), rest);
    await next.store.close();
    assert.equal(next.store.stats().pins, 0);
  }
});

test("V13: damage that is found at an opening raises the floor before anything is written", async () => {
  const first = await spoiltRig("k4");
  await first.store.close();
  for (const { name } of await first.sim.files.list("/store/segments")) {
    if (name.endsWith(".hint")) await first.sim.files.remove(`/store/segments/${name}`);
  }
  const rig = await Rig.open(first.options, first.sim);
  const { logReaders } = rig.store;
  assert.equal(Number(manifestOf(imageOf(rig.sim.files)).historyFloor), 0);
  assert.equal(logReaders.floor, 5);
  await rejects((async () => logReaders.open({ afterVersion: 4 }))(), "HISTORY_LOST");
  assert.deepEqual(await versionsOf(logReaders.open({ afterVersion: 5 })), [6, 7, 8, 9, 10]);
  await rig.store.close();
});

test("B2: a batch whose frame is damaged is told by no part of it", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const mutations = ["b", "c", "d"].map((key) => {
    return { kind: "set", key: bytes(key), value: bytes("2") } as const;
  });
  await rig.store.commit(mutations);
  await rig.set("e", "3");
  const frame = (await rig.frames()).find(({ isBatch }) => isBatch);
  assert.ok(frame);
  // The timestamp in the head of the batch; its members are sound.
  await flipBitAtRest(rig.sim.files, `/store/segments/${frame.segment}`, (frame.offset + 10) * 8);
  const reader = rig.store.logReaders.open({ afterVersion: 0 });
  const { changes } = await reader.next();
  assert.deepEqual(
    changes.map((change) => change.map(({ key }) => text(key))),
    [["a"]],
  );
  await rejects(reader.next(), "RECORD_CORRUPT");
  await rig.store.close();
});

test("a disk that refuses one read does not end a reader, and a close does", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const reader = rig.store.logReaders.open({ afterVersion: 0 });
  rig.injector = ({ op }) => (op === "read" ? { kind: "error", code: "EIO" } : undefined);
  await rejects(reader.next(), "READ_FAILED", "none");
  const gate = new Gate();
  rig.injector = ({ op }) => (op === "read" ? gate.fault : undefined);
  const [read, other] = [reader.next(), rig.store.logReaders.open({ afterVersion: 0 })];
  const cancelled = other.next();
  await rig.settle();
  assert.equal(rig.store.stats().pins, 4, "each a segment, and a read of the disk");
  other.close();
  const closing = rig.store.close();
  gate.open();
  await rejects(read, "STORE_CLOSING", "none");
  await rejects(cancelled, "CANCELLED", "none");
  await closing;
  await rejects(reader.next(), "STORE_CLOSING");
  await rejects((async () => rig.store.logReaders.open({ afterVersion: 0 }))(), "STORE_CLOSING");
  reader.close();
  assert.equal(rig.store.stats().pins, 0);
});

test("whoever begins at the newest version reads nothing of what was before", async () => {
  const rig = await Rig.open();
  for (let index = 0; index < 50; index += 1)
    await rig.set(`k${index}`, "v".repeat(2000), buffered);
  await rig.store.flush();
  const reader = rig.store.logReaders.open({ afterVersion: rig.store.version });
  await rig.set("a", "1");
  let read = 0;
  rig.injector = ({ op, lengthBytes }) => {
    if (op === "read") read += lengthBytes ?? 0;
    return undefined;
  };
  assert.deepEqual(await versionsOf(reader), [51]);
  assert.ok(read > 0 && read < 100, `${read} bytes`);
  // Nor does one that begins where another has been.
  assert.deepEqual(await versionsOf(rig.store.logReaders.open({ afterVersion: 51 })), []);
  await rig.set("b", "1");
  read = 0;
  assert.deepEqual(await versionsOf(rig.store.logReaders.open({ afterVersion: 51 })), [52]);
  assert.ok(read > 0 && read < 100, `${read} bytes`);
  await rig.store.close();
});

test("V13 V15: damage that a reader meets among frames that have changed places is told between its neighbours", async () => {
  // The newest frame of a segment lies over its third; the fourth, or the newest, is gone.
  for (const [gone, versions] of [
    [3, [5, 6]],
    [5, [6, 6]],
  ] as const) {
    const rig = await Rig.open({ segmentBytesMax: 750 });
    for (let index = 1; index <= 8; index += 1) await rig.set(`k${index}`, "v".repeat(80));
    await rig.store.hintsWritten();
    const frames = await rig.frames();
    const [first] = frames;
    const own = frames.filter(({ segment }) => segment === first?.segment);
    assert.equal(own.length, 6);
    const file = await rig.sim.files.open(`/store/segments/${first?.segment}`, "write");
    const newest = own[5] as (typeof own)[number];
    const bytesOfNewest = new Uint8Array(newest.length);
    await file.read(bytesOfNewest, newest.offset);
    assert.equal(own[2]?.length, newest.length);
    await file.write(bytesOfNewest, own[2]?.offset ?? 0);
    await file.write(new Uint8Array(newest.length), own[gone]?.offset ?? 0);
    await file.close();
    const reader = rig.store.logReaders.open({ afterVersion: 0 });
    const { metadata } = await rejects(versionsOf(reader), "RECORD_CORRUPT");
    assert.deepEqual([metadata["first_version"], metadata["last_version"]], versions);
    assert.equal(rig.store.logReaders.floor, 6);
    const rest = rig.store.logReaders.open({ afterVersion: 6 });
    assert.deepEqual(await versionsOf(rest), [7, 8]);
    await rig.store.close();
  }
});
