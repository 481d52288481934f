/** Which tombstones may go, by the hints of the segments that stay. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { SegmentRef } from "../../../src/engine/compaction/copier-orders.js";
import { TombstoneCheck } from "../../../src/engine/compaction/tombstones.js";
import { HintFlag } from "../../../src/format/hint-layout.js";
import { HintWriter } from "../../../src/format/hint-writer.js";
import { HintFile } from "../../../src/storage/hint-file.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";
import { simHost } from "../../support/sim-host.js";

const directories = { data: "/store", segments: "/store/segments" };
const storeId = new Uint8Array(16).fill(3);

interface HintedKey {
  readonly key: string;
  readonly version: number;
  readonly isTombstone?: boolean;
  readonly length?: number;
}

const value = (key: string, version: number): HintedKey => ({ key, version });
const tombstone = (key: string, version: number, length = 40): HintedKey => {
  return { key, version, isTombstone: true, length };
};

/** Hints on a simulated disk. */
class Hints {
  readonly files = simHost({ seed: 1 }).files;
  #id = 0;

  /** A segment with these keys; without a hint if `isMissing`. */
  async segmentOf(keys: readonly HintedKey[], isMissing = false): Promise<SegmentRef> {
    const id = this.#id;
    this.#id += 1;
    if (id === 0) {
      await this.files.makeDirectory(directories.data);
      await this.files.makeDirectory(directories.segments);
    }
    const name = new SegmentName(directories, storeId, "segment", id, BigInt(100 + id));
    const segment = new Segment(name, undefined, true);
    segment.length = 1_000_000;
    segment.checksum = 77;
    for (const { version } of keys) segment.coverVersion(version);
    const { length, checksum, lowestVersion, highestVersion } = segment;
    const ref = {
      prefix: "segment",
      id,
      timestampNs: name.timestampNs,
      length,
      checksum,
      lowestVersion,
      highestVersion,
    };
    if (isMissing) return ref;
    const writer = new HintWriter({ storeId, segmentId: id, timestampNs: name.timestampNs });
    const hint = await HintFile.create(this.files, segment);
    for (const [index, { key, version, isTombstone, length: frame }] of keys.entries()) {
      const bytes = Buffer.from(key);
      const flags = isTombstone === true ? HintFlag.TOMBSTONE : 0;
      const at = index * 50;
      const piece = writer.add(bytes, 0, bytes.length, at, frame ?? 50, version, 0, flags);
      if (piece !== undefined) await hint.append(piece);
    }
    const facts = {
      segmentLength: BigInt(length),
      segmentChecksum: checksum,
      lowestVersion: BigInt(lowestVersion),
      highestVersion: BigInt(highestVersion),
      newestTimestamp: 0n,
      damagedRanges: [],
      requests: [],
    };
    for (const piece of writer.finish(facts)) await hint.append(piece);
    await hint.commit();
    return ref;
  }
}

/** What is asked of a check. */
interface Case {
  readonly horizon?: number;
  readonly unknownFrom?: number;
  readonly elders: readonly SegmentRef[];
}

async function checkOf(hints: Hints, { horizon, unknownFrom, elders }: Case, subject: SegmentRef) {
  const rule = {
    storeId,
    directories,
    horizon: horizon ?? 0,
    unknownFrom: unknownFrom ?? Number.POSITIVE_INFINITY,
    elders,
  };
  const check = new TombstoneCheck(rule, hints.files);
  await check.learn([subject]);
  return {
    check,
    mayGo: (key: string, version: number): boolean => {
      // Behind other bytes: the key is not all of what it lies in.
      const bytes = Buffer.from(`..${key}..`);
      return check.mayGo(bytes, 2, 2 + Buffer.byteLength(key), version);
    },
  };
}

test("V6 M6: a tombstone goes if no segment that stays names its key, and stays if one does", async () => {
  const hints = new Hints();
  const elder = await hints.segmentOf([value("kept", 3), value("other", 4)]);
  const subject = await hints.segmentOf([
    tombstone("kept", 20, 31),
    tombstone("gone", 21, 33),
    value("alive", 22),
  ]);
  const { check, mayGo } = await checkOf(hints, { elders: [elder] }, subject);
  assert.ok(!mayGo("kept", 20));
  assert.ok(mayGo("gone", 21));
  // Of a key that was not asked about nothing is known.
  assert.ok(!mayGo("alive", 22));
  assert.ok(!mayGo("stranger", 23));
  assert.equal(await check.droppableBytes(subject), 33);
});

test("V6: below the horizon every tombstone goes, from it on it is asked about", async () => {
  const hints = new Hints();
  const elder = await hints.segmentOf([value("a", 19), value("b", 20), value("c", 21)]);
  const subject = await hints.segmentOf([
    tombstone("a", 29, 31),
    tombstone("b", 30, 33),
    tombstone("c", 31, 35),
    tombstone("d", 32, 37),
  ]);
  const { check, mayGo } = await checkOf(hints, { horizon: 30, elders: [elder] }, subject);
  assert.deepEqual(
    [mayGo("a", 29), mayGo("b", 30), mayGo("c", 31), mayGo("d", 32)],
    [true, false, false, true],
  );
  assert.equal(await check.droppableBytes(subject), 31 + 37);
});

test("V6: where no hint tells what an elder holds, its versions and all younger ones stay", async () => {
  const hints = new Hints();
  const silent = await hints.segmentOf([value("x", 25), value("y", 40)], true);
  const elder = await hints.segmentOf([value("x", 3)]);
  const subject = await hints.segmentOf([
    tombstone("p", 24, 31),
    tombstone("q", 25, 33),
    tombstone("r", 50, 35),
  ]);
  for (const elders of [
    [silent, elder],
    [elder, silent],
  ]) {
    const { check, mayGo } = await checkOf(hints, { elders }, subject);
    assert.deepEqual([mayGo("p", 24), mayGo("q", 25), mayGo("r", 50)], [true, false, false]);
    assert.equal(await check.droppableBytes(subject), 31);
  }
});

test("V6: from the version on from which nobody knows, every tombstone stays", async () => {
  const hints = new Hints();
  const elder = await hints.segmentOf([value("x", 3)]);
  const subject = await hints.segmentOf([tombstone("p", 24, 31), tombstone("q", 25, 33)]);
  const { check, mayGo } = await checkOf(hints, { unknownFrom: 25, elders: [elder] }, subject);
  assert.deepEqual([mayGo("p", 24), mayGo("q", 25)], [true, false]);
  assert.equal(await check.droppableBytes(subject), 31);
});

test("V6: without an elder nothing is known of a tombstone above the horizon", async () => {
  const hints = new Hints();
  const subject = await hints.segmentOf([tombstone("p", 24, 31), tombstone("q", 25, 33)]);
  const { check, mayGo } = await checkOf(hints, { horizon: 25, elders: [] }, subject);
  assert.deepEqual([mayGo("p", 24), mayGo("q", 25)], [true, false]);
  assert.equal(await check.droppableBytes(subject), 31);
});

test("V6: versions past 2^32 are told from those below", async () => {
  const hints = new Hints();
  const horizon = 2 ** 32 + 10;
  const elder = await hints.segmentOf([value("kept", horizon + 1)]);
  const subject = await hints.segmentOf([
    tombstone("kept", horizon + 5, 31),
    tombstone("gone", horizon + 6, 33),
  ]);
  const { check, mayGo } = await checkOf(hints, { horizon, elders: [elder] }, subject);
  assert.deepEqual([mayGo("kept", horizon + 5), mayGo("gone", horizon + 6)], [false, true]);
  assert.equal(await check.droppableBytes(subject), 33);
});

test("V6: the key whose hash would be that of an empty place is none that was asked about", async () => {
  const hints = new Hints();
  const subject = await hints.segmentOf([tombstone("p", 24)]);
  const { check } = await checkOf(hints, { elders: [] }, subject);
  // FNV-1a makes 0 of it.
  const key = Uint8Array.of(0xcc, 0x24, 0x31, 0xc4);
  assert.ok(!check.mayGo(key, 0, key.length, 24));
});

test("V6: thousands of keys are told apart, those that an elder names and those that none does", async () => {
  const hints = new Hints();
  const keys = Array.from({ length: 5000 }, (_, index) => `key ${index}`);
  const elder = await hints.segmentOf(
    keys.filter((_, index) => index % 3 === 0).map((key) => value(key, 5)),
  );
  const subject = await hints.segmentOf(keys.map((key, index) => tombstone(key, 10 + index)));
  const { check, mayGo } = await checkOf(hints, { elders: [elder] }, subject);
  const wrong = keys.filter((key, index) => mayGo(key, 10 + index) === (index % 3 === 0));
  assert.deepEqual(wrong, []);
  const free = keys.filter((_, index) => index % 3 !== 0).length;
  assert.equal(await check.droppableBytes(subject), 40 * free);
});
