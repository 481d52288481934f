/**
 * The reader of the log over random histories: every change once, in version
 * order, batches whole, resumed anywhere, through rotations, closes and kills.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import type { LogChange } from "../../src/engine/log-events.js";
import { LOG_LEASE_MS, type LogReader } from "../../src/engine/log-reader.js";
import { newRecordFields, parseRecord } from "../../src/format/record.js";
import { compacted, onDemand, takingSome } from "../support/compaction-rig.js";
import { HistoryWriter, type Told, versionOf } from "../support/history-writer.js";
import { simHost } from "../support/sim-host.js";
import { SimRandom } from "../support/sim-random.js";
import { Rig, rejects, text } from "../support/store-rig.js";

const fields = newRecordFields();

/** Checks each event against its own bytes, and puts it into words. */
function tell(change: LogChange): Told[] {
  return change.map(({ kind, key, version, payload, acceptedAtMs, expiresAtMs }) => {
    assert.ok(parseRecord(payload, 0, payload.length, fields));
    assert.deepEqual(
      Buffer.from(payload.subarray(fields.keyStart, fields.keyEnd)),
      Buffer.from(key),
    );
    assert.equal(fields.version, version);
    assert.equal(fields.expiresAtMs, expiresAtMs);
    assert.equal(fields.updatedAtMs, acceptedAtMs);
    const value = text(payload.subarray(fields.valueStart, fields.valueEnd));
    return kind === "set"
      ? `${version} set ${text(key)} ${value}`
      : `${version} ${kind} ${text(key)}`;
  });
}

/** Reads until nothing more comes; checks the order, and that versions never go back. */
async function readAll(reader: LogReader, random: SimRandom): Promise<Told[][]> {
  const changes: Told[][] = [];
  for (;;) {
    const before = reader.version;
    const read = await reader.next(1 + random.below(random.chance(0.5) ? 300 : 20_000));
    assert.ok(read.version >= before);
    let last = before;
    for (const change of read.changes.map(tell)) {
      for (const told of change) {
        assert.ok(versionOf(told) > last, "ascending, each once");
        last = versionOf(told);
      }
      changes.push(change);
    }
    assert.ok(read.version >= last);
    assert.equal(read.isCaughtUp, read.changes.length === 0);
    if (read.isCaughtUp) return changes;
  }
}

test("B2 V5: a reader of the log tells every change after a version once, in order, batches whole, wherever it begins", async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    let rig = await Rig.open({ segmentBytesMax: 1500, flushIntervalMs: 1 });
    let following = rig.store.logReaders.open({ afterVersion: 0 });
    let followed: Told[][] = [];
    /** Versions that a crash has lost: one may not resume there. */
    const lost: { first: number; last: number }[] = [];
    for (let step = 0; step < 120; step += 1) {
      await writer.write(rig);
      const choice = random.below(20);
      if (choice < 4) followed.push(...(await readAll(following, random)));
      if (choice === 4) {
        await rig.sim.clock.advance(10);
        const { version } = following;
        const newest = rig.store.version;
        const isKilled = random.chance(0.5);
        rig = isKilled ? await rig.killed() : await rig.reopened();
        if (isKilled) lost.push({ first: newest + 1, last: rig.store.version });
        following = rig.store.logReaders.open({ afterVersion: version });
      }
      if (choice > 15) {
        await rig.sim.clock.advance(10);
        const afterVersion = random.below(rig.store.version + 1);
        const isLost = lost.some(({ first, last }) => afterVersion >= first && afterVersion < last);
        if (isLost) {
          const { logReaders } = rig.store;
          await rejects((async () => logReaders.open({ afterVersion }))(), "HISTORY_LOST", "none");
          continue;
        }
        const reader = rig.store.logReaders.open({ afterVersion });
        assert.deepEqual(await readAll(reader, random), writer.after(afterVersion));
        assert.equal(reader.version, rig.store.version);
        reader.close();
      }
    }
    await rig.sim.clock.advance(10);
    followed = [...followed, ...(await readAll(following, random))];
    assert.deepEqual(followed, writer.changes);
    assert.equal(following.version, rig.store.version);
    assert.ok(rig.store.stats().segments > 5);
    following.close();
    await rig.store.hintsWritten();
    assert.equal(rig.store.stats().pins, 0);
    await rig.store.close();
  }
});

test("M10 V7: a reader of the log beside compactions tells every change or says that history is gone, and above the floor none is", async () => {
  let [removed, lost, followed] = [0, 0, 0];
  for (let seed = 1; seed <= 5; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    const options = { ...onDemand, segmentBytesMax: 1000, flushIntervalMs: 1 };
    const rig = await Rig.open(options, simHost({ seed }), undefined, {
      chooseVictims: takingSome(random),
    });
    const { logReaders } = rig.store;
    const open: { reader: LogReader; from: number; told: Told[] }[] = [];
    let run: Promise<unknown> = Promise.resolve();
    for (let step = 0; step < 200; step += 1) {
      const choice = random.below(100);
      const one = open[random.below(Math.max(open.length, 1))];
      if (choice < 40) await writer.write(rig);
      else if (choice < 50) {
        await rig.store.hintsWritten();
        run = Promise.all([run, compacted(rig)]);
        if (random.chance(0.5)) await rig.settle();
      } else if (choice < 55) await rig.sim.clock.advance(random.below(LOG_LEASE_MS));
      else if (choice < 65 && open.length < 5) {
        const from = Math.min(logReaders.floor + random.below(5), rig.store.version);
        open.push({ reader: logReaders.open({ afterVersion: from }), from, told: [] });
      } else if (one !== undefined) {
        const isOver = await one.reader.next(1 + random.below(400)).then(
          ({ changes }) => void one.told.push(...changes.flatMap(tell)),
          (error: unknown) => {
            assert.ok(error instanceof KvixError && error.reason === "HISTORY_LOST", String(error));
            assert.ok(one.reader.version < logReaders.floor, "it is gone");
            lost += 1;
            return true;
          },
        );
        const wanted = writer.after(one.from).flat();
        assert.deepEqual(one.told, wanted.slice(0, one.told.length));
        if (isOver !== true && random.chance(0.9)) continue;
        one.reader.close();
        open.splice(open.indexOf(one), 1);
      }
    }
    await rig.sim.clock.advance(10);
    const { floor } = logReaders;
    const last = logReaders.open({ afterVersion: floor });
    assert.deepEqual(await readAll(last, random), writer.after(floor));
    last.close();
    for (const { reader, told } of open) {
      followed += told.length;
      reader.close();
    }
    for (let turn = 0; turn < 60; turn += 1) await rig.sim.clock.advance(1000);
    await run;
    const { pins, compaction } = rig.store.stats();
    assert.deepEqual([pins, compaction.pinnedBytes], [0, 0]);
    removed += compaction.segmentsRemoved;
    await rig.store.close();
  }
  assert.ok(removed > 25 && lost > 2 && followed > 10, `${removed}, ${lost}, ${followed}`);
});

test("V14 D4: what a reader of the log was told is there after a power cut, from the first change on", async () => {
  let lostChanges = 0;
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = new SimRandom(seed);
    const writer = new HistoryWriter(random);
    const rig = await Rig.open({ segmentBytesMax: 1500, flushIntervalMs: 1000 });
    const reader = rig.store.logReaders.open({ afterVersion: 0 });
    const told: Told[][] = [];
    for (let count = 1 + random.below(30); count > 0; count -= 1) {
      await writer.write(rig);
      if (random.chance(0.4)) told.push(...(await readAll(reader, random)));
    }
    told.push(...(await readAll(reader, random)));
    const next = await rig.powerCut();
    const kept = await readAll(next.store.logReaders.open({ afterVersion: 0 }), random);
    assert.deepEqual(kept.slice(0, told.length), told);
    // A rotation may have made more durable than the reader has asked for.
    const resumed = next.store.logReaders.open({ afterVersion: reader.version });
    assert.deepEqual(await readAll(resumed, random), kept.slice(told.length));
    assert.deepEqual(kept, writer.changes.slice(0, kept.length));
    if (kept.length < writer.changes.length) lostChanges += 1;
    await next.store.close();
  }
  assert.ok(lostChanges > 5, "some were lost, and never told");
});

test("V15: after a crash nobody resumes among the versions that it lost, before the first write and after", async () => {
  const rig = await Rig.open();
  const { version: before } = await rig.set("a", "1");
  let next = await rig.killed();
  const opens = (afterVersion: number) =>
    (async () => next.store.logReaders.open({ afterVersion }))();
  const newest = next.store.version;
  assert.ok(newest > before + 1000, "a block was reserved");
  for (let round = 0; round < 3; round += 1) {
    const last = newest - 1;
    for (const afterVersion of [before + 1, before + 500, last]) {
      const error = await rejects(opens(afterVersion), "HISTORY_LOST", "none");
      assert.equal(error.row.status, "OUT_OF_RANGE");
    }
    const [resumed, listed] = [await opens(before), await opens(newest)];
    const random = new SimRandom(1);
    const told = (await readAll(resumed, random)).flat();
    assert.deepEqual(
      told.map((each) => each.split(" ").slice(1)),
      [[], [["set", "b", "2"]], [["set", "b", "2"]]][round],
    );
    assert.deepEqual((await readAll(listed, random)).flat(), told);
    assert.equal(resumed.version, next.store.version);
    if (round === 0) await next.set("b", "2");
    if (round === 1) next = await next.reopened();
  }
  await rejects(opens(next.store.version + 1), "HISTORY_LOST");
  for (const afterVersion of [-1, 0.5, Number.NaN, 2 ** 48]) {
    await rejects(opens(afterVersion), "FIELD_INVALID");
  }
  await next.store.close();
});
