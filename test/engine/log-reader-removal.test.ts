/** The reader of the log while a compaction takes away what it reads. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DamageRegister } from "../../src/engine/damage.js";
import { LOG_LEASE_MS } from "../../src/engine/log-reader.js";
import { LogReaders } from "../../src/engine/log-readers.js";
import { Pins } from "../../src/engine/pins.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SegmentSet } from "../../src/storage/segment-set.js";
import { readStoreMark } from "../../src/storage/store-mark.js";
import { versionsOf } from "../support/log-versions.js";
import { Rig, rejects, watch } from "../support/store-rig.js";

/** A set of which segments go. */
class ShrinkingSet extends SegmentSet {
  readonly gone = new Set<Segment>();

  override find(id: number): Segment | undefined {
    const found = super.find(id);
    return found !== undefined && this.gone.has(found) ? undefined : found;
  }

  override *[Symbol.iterator](): Iterator<Segment> {
    const all: Iterable<Segment> = { [Symbol.iterator]: () => super[Symbol.iterator]() };
    for (const segment of all) if (!this.gone.has(segment)) yield segment;
  }
}

/** The log of a store that was closed, in segments of two records, to be compacted away. */
class History {
  readonly pins = new Pins();
  readonly set = new ShrinkingSet();
  readonly segments: Segment[] = [];
  readonly readers: LogReaders;
  readonly rig: Rig;
  floor = 0;

  private constructor(rig: Rig) {
    this.rig = rig;
    this.readers = new LogReaders({
      segments: this.set,
      pins: this.pins,
      clock: rig.sim.clock,
      damage: new DamageRegister(),
      publishedVersion: () => 12,
      durableVersion: () => 12,
      givenVersion: () => 12,
      floor: () => this.floor,
      lostRanges: () => [],
    });
  }

  static async open(): Promise<History> {
    const rig = await Rig.open({ segmentBytesMax: 300 });
    for (let index = 0; index < 12; index += 1) await rig.set(`k${index}`, "v".repeat(80));
    const facts = rig.store.segments();
    await rig.store.close();
    const directories = { data: "/store", segments: "/store/segments" };
    const storeId = await readStoreMark(rig.sim.files, directories);
    assert.ok(storeId);
    const history = new History(rig);
    for (const { id, timestampNs, role, bytes, lowestVersion, highestVersion } of facts) {
      const name = new SegmentName(directories, storeId, "segment", id, timestampNs);
      const file = await rig.sim.files.open(name.path, "read");
      const segment = new Segment(name, file, role === "sealed");
      Object.assign(segment, { length: bytes, lowestVersion, highestVersion });
      history.segments.push(segment);
      history.set.add(segment);
    }
    assert.deepEqual(
      history.segments.map((each) => each.highestVersion),
      [2, 4, 6, 8, 10, 12],
    );
    return history;
  }

  /** What a compaction does: tell, commit, wait for the readers, remove. */
  async compact(...indices: readonly number[]): Promise<void> {
    const victims = indices.map((index) => this.segments[index] as Segment);
    const floor = Math.max(this.floor, ...victims.map((each) => each.highestVersion));
    this.readers.beforeFloorRises(floor);
    this.floor = floor;
    for (const victim of victims) {
      await this.pins.released(victim);
      this.set.gone.add(victim);
      await victim.file?.close();
    }
  }
}

test("M10: a reader reads on in the segment that it holds, and is told that history is gone behind it", async () => {
  const history = await History.open();
  const rises: number[] = [];
  const onFloorRise = (version: number): void => void rises.push(version);
  const reader = history.readers.open({ afterVersion: 2, onFloorRise });
  assert.equal((await reader.next(1)).version, 3);
  const first = watch(history.compact(0));
  await history.rig.settle();
  assert.equal(first.state, "resolved", "nobody holds it");
  const second = watch(history.compact(1));
  await history.rig.settle();
  assert.equal(second.state, "pending", "the reader does");
  assert.deepEqual(rises, [2, 4]);
  assert.equal((await reader.next(1)).version, 4);
  assert.equal((await reader.next(1)).version, 5, "the floor is at the end of what it has read");
  await history.rig.settle();
  assert.equal(second.state, "resolved", "it holds the next one now, and no other");
  assert.equal(history.pins.count, 1);
  const third = watch(history.compact(3));
  assert.equal((await reader.next(1)).version, 6, "the segment that it holds is whole");
  const error = await rejects(reader.next(), "HISTORY_LOST", "none");
  assert.deepEqual(error.metadata, { after_version: 6, floor: 8, version: 12 });
  await history.rig.settle();
  assert.equal(third.state, "resolved");
  assert.equal(history.pins.count, 0);
  await rejects((async () => history.readers.open({ afterVersion: 7 }))(), "HISTORY_LOST");
  assert.deepEqual(await versionsOf(history.readers.open({ afterVersion: 8 })), [9, 10, 11, 12]);
});

test("M10: one that does not read lets go of its segment after its lease, and must find its place again", async () => {
  const history = await History.open();
  const [stuck, slow] = [2, 2].map((afterVersion) => history.readers.open({ afterVersion }));
  assert.ok(stuck && slow);
  await stuck.next(1);
  await slow.next(1);
  const removal = watch(history.compact(1));
  await history.rig.sim.clock.advance(LOG_LEASE_MS - 1);
  assert.equal(removal.state, "pending");
  await slow.next(1);
  await history.rig.sim.clock.advance(1);
  assert.equal(history.pins.count, 1, "the stuck one has let go");
  assert.equal((await slow.next(1)).version, 5, "the slow one has all of it");
  await history.rig.settle();
  assert.equal(removal.state, "resolved");
  const error = await rejects(stuck.next(), "HISTORY_LOST");
  assert.equal(error.metadata["floor"], 4);
  await history.rig.sim.clock.advance(LOG_LEASE_MS);
  assert.equal(history.pins.count, 0);
  assert.deepEqual(await versionsOf(slow), [6, 7, 8, 9, 10, 11, 12], "its place is still there");
  for (const reader of [stuck, slow]) reader.close();
  assert.equal(history.pins.count, 0);
  assert.equal(history.rig.sim.clock.sleepers, 0, "no timer is left");
});

test("an output of a compaction is never read for its history", async () => {
  const history = await History.open();
  const output = history.segments[2] as Segment;
  history.set.gone.add(output);
  const name = { ...output.name, id: 40_000 } as SegmentName;
  const copy = new Segment(name, output.file, true, false);
  Object.assign(copy, { length: output.length, lowestVersion: 5, highestVersion: 12 });
  history.floor = 6;
  history.set.add(copy);
  assert.deepEqual(
    await versionsOf(history.readers.open({ afterVersion: 6 })),
    [7, 8, 9, 10, 11, 12],
  );
});
