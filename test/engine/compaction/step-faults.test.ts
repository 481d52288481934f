/** Steps of a compaction of which a part fails: nothing is lost, and the next run makes up for it. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { OutputWriter } from "../../../src/engine/compaction/output-writer.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";
import { choosing, compact, compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import { injectFault } from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { imageOf, manifestOf } from "../../support/store-image.js";
import { Rig } from "../../support/store-rig.js";

/** Every record has a segment of its own; ids count from 0. */
const oneEach = { ...onDemand, segmentBytesMax: 128 };
const filler = "x".repeat(60);
const all = { a: filler, b: filler, c: `2${filler}`, last: filler };

/** Segments 0 to 4, the last of them active; a compaction's first output is 5. */
async function fourRecords(...turns: readonly (readonly number[])[]): Promise<Rig> {
  const seams = { chooseVictims: choosing(...turns) };
  const rig = await Rig.open(oneEach, simHost({ seed: 1 }), undefined, seams);
  await rig.set("a", filler);
  await rig.set("b", filler);
  await rig.set("c", filler);
  await rig.set("c", `2${filler}`);
  await rig.set("last", filler);
  await rig.store.hintsWritten();
  return rig;
}

const isBare = (rig: Rig): Promise<Record<string, string>> => rig.values("a", "b", "c", "last");

test("V16 M1 M5: an index that could not be pointed at an output: no record of it is taken for dead", async () => {
  const rig = await fourRecords([0, 1, 2], [5], [5], [5]);
  const refusals = [
    injectFault({ kind: "error", code: "EMFILE" }, { op: "open", path: /_00005_.*hint/ }),
    injectFault({ kind: "error", code: "EIO" }, { op: "read", path: /_00005_.*seg/, sticky: true }),
  ];
  rig.injector = (operation) => refusals.map((refuse) => refuse(operation)).find(Boolean);
  const end = await compact(rig);
  assert.equal(end.outcome, "failed");
  assert.deepEqual(await isBare(rig), all);
  rig.injector = undefined;
  await compacted(rig);
  assert.deepEqual(await isBare(rig), all);
  const { liveBytes } = rig.store.stats();
  const again = await rig.reopened();
  assert.deepEqual(await isBare(again), all);
  assert.equal(again.store.stats().liveBytes, liveBytes);
});

test("V16 M5: where the hint of an output cannot be read, its frames say what lies there", async () => {
  const rig = await fourRecords([0, 1, 2, 3]);
  const refusal = { op: "open", path: /_00005_.*hint/ } as const;
  rig.injector = injectFault({ kind: "error", code: "EMFILE" }, refusal);
  const end = await compacted(rig);
  assert.equal(end.segmentsDone, 4);
  assert.deepEqual(await isBare(rig), all);
  assert.deepEqual(
    rig.store.segments().map(({ role }) => role),
    ["active", "compacted"],
  );
  assert.deepEqual(await isBare(await rig.reopened()), all);
});

test("M5 M11 M13: a victim that could not be removed is removed by the next run", async () => {
  const rig = await fourRecords([0, 1, 2]);
  const refusal = { op: "remove", path: /_00001_.*seg/ } as const;
  rig.injector = injectFault({ kind: "error", code: "EIO" }, refusal);
  await compact(rig);
  const isThere = async (): Promise<boolean> =>
    (await rig.sim.files.list("/store/segments")).some(({ name }) => /_00001_/.test(name));
  assert.equal(await isThere(), true);
  await compacted(rig);
  assert.equal(await isThere(), false);
  assert.deepEqual(await isBare(rig), all);
});

test("M13 M5 V16: a compaction that is cancelled at one of its file operations takes nothing along", async () => {
  for (let at = 0; ; at += 2) {
    const rig = await fourRecords([0, 1, 2, 3]);
    const cancel = new AbortController();
    let operations = 0;
    rig.injector = () => {
      if (operations === at) cancel.abort();
      operations += 1;
      return undefined;
    };
    const { outcome } = await compact(rig, cancel.signal);
    rig.injector = undefined;
    assert.deepEqual(await isBare(rig), all, `${outcome} at operation ${at}`);
    const again = await rig.reopened();
    assert.deepEqual(await isBare(again), all, `${outcome} at operation ${at}, opened again`);
    if (operations <= at) return;
    assert.ok(at < 500, "an end");
  }
});

test("V16 M1: a record that a BUFFERED write hides meanwhile goes only when that write is durable", async () => {
  for (let at = 0; ; at += 3) {
    const rig = await fourRecords([0, 1, 2, 3]);
    let write: Promise<unknown> | undefined;
    let operations = 0;
    rig.injector = () => {
      operations += 1;
      if (operations === at + 1) write = rig.set("a", "new", { durability: "buffered" });
      return undefined;
    };
    await compact(rig);
    rig.injector = undefined;
    await write;
    const { a, ...others } = await isBare(await rig.powerCut());
    assert.ok(a === filler || a === "new", `written at operation ${at}: it is ${a}`);
    assert.deepEqual({ a: filler, ...others }, all, `written at operation ${at}`);
    if (operations <= at) return;
  }
});

test("M5: versions that were durable and were compacted away are not called lost after a crash", async () => {
  const sim = simHost({ seed: 1 });
  const options = { ...onDemand, segmentBytesMax: 400 };
  const rig = await Rig.open(options, sim, undefined, { chooseVictims: takingAll(9) });
  await rig.set("a", filler);
  await rig.set("z", filler);
  const { version } = await rig.delete("z");
  await compacted(rig);
  await rig.store.hintsWritten();
  await compacted(rig);
  const again = await rig.killed();
  await again.set("y", filler);
  const { lostRanges, historyFloor } = manifestOf(imageOf(again.sim.files));
  assert.equal(historyFloor, BigInt(version));
  assert.deepEqual(
    lostRanges.map(({ first }) => first),
    [BigInt(version + 1)],
  );
});

test("M7 M12: a victim that the disk refuses to read is known as damaged and left alone, and the others are compacted", async () => {
  const rig = await fourRecords([0, 1], [2, 3]);
  const refusal = { op: "read", path: /_00001_.*seg/, sticky: true } as const;
  rig.injector = injectFault({ kind: "error", code: "EIO" }, refusal);
  const end = await compacted(rig);
  assert.equal(end.segmentsDone, 2);
  assert.equal(rig.store.stats().damage.length, 1);
  rig.injector = undefined;
  assert.deepEqual(await isBare(rig), all);
  assert.deepEqual(await isBare(await rig.reopened()), all);
});

test("I4: an output that would pass 4 GiB is given up, and no offset wraps", async () => {
  const { files } = simHost({ seed: 1 });
  await files.makeDirectory("/store");
  const name = new SegmentName(
    { data: "/store", segments: "/store" },
    new Uint8Array(16),
    "s",
    0,
    1n,
  );
  const segment = new Segment(name, undefined, true, false);
  segment.length = 2 ** 32 - 50;
  const output = await OutputWriter.create(files, segment, {
    storeId: new Uint8Array(16),
    bytesMax: 120,
  });
  const bytes = new Uint8Array(60);
  const place = { bytes, keyStart: 40, keyEnd: 41 };
  const facts = { flags: 0, length: 60, expiresAtMs: 0, timestampMs: 1 };
  await output.add({ ...place, ...facts, offset: 0, version: 1 }, bytes);
  await assert.rejects(
    output.add({ ...place, ...facts, offset: 60, version: 2 }, bytes),
    /too large/,
  );
  await output.abandon();
});
