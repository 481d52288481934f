/** The cache of records: what it may answer, what it keeps, and what it takes. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { VERSION_MAX } from "../../src/base/limits.js";
import { CACHED_FRAME_BYTES_MAX, RecordCache } from "../../src/engine/record-cache.js";
import { bytes, Rig, segmentFiles, text } from "../support/store-rig.js";

const KiB = 1024;
const pageBytes = 64 * KiB;

/** Bytes that tell which version they belong to. */
function frameOf(version: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (version * 31 + at * 7) & 0xff);
}

test("what is found under a version is what was added under it, whatever else came (V2, V15)", () => {
  const version = fc.oneof(
    fc.integer({ min: 1, max: 5000 }),
    fc.integer({ min: 2 ** 32 - 50, max: 2 ** 32 + 50 }),
    fc.integer({ min: VERSION_MAX - 50, max: VERSION_MAX }),
  );
  const addition = fc.record({ version, length: fc.integer({ min: 18, max: 600 }) });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4 * pageBytes }),
      fc.array(addition, { minLength: 300, maxLength: 1500 }),
      (bytesMax, additions) => {
        const cache = new RecordCache(bytesMax);
        const lengths = new Map<number, number>();
        for (const { version, length } of additions) {
          const known = lengths.get(version) ?? length;
          if (!lengths.has(version)) cache.add(version, frameOf(version, known));
          lengths.set(version, known);
          for (const asked of [version, version + 1]) {
            const found = cache.find(asked);
            const expected = lengths.get(asked);
            if (found === undefined) continue;
            assert.notEqual(expected, undefined);
            assert.deepEqual(new Uint8Array(found), frameOf(asked, expected ?? 0));
          }
        }
      },
    ),
    { numRuns: 40 },
  );
});

test("it keeps what fits, and takes no more than its bound (V11)", () => {
  const cache = new RecordCache(16 * pageBytes);
  const length = 1000;
  const fitting = 16 * 60;
  for (let version = 1; version <= fitting; version += 1)
    cache.add(version, frameOf(version, length));
  let kept = 0;
  for (let version = 1; version <= fitting; version += 1) {
    if (cache.find(version) !== undefined) kept += 1;
  }
  assert.ok(kept >= fitting * 0.95, `${kept} of ${fitting} are there`);
  for (let version = fitting + 1; version <= 20 * fitting; version += 1) {
    cache.add(version, frameOf(version, length));
  }
  kept = 0;
  for (let version = 1; version <= 20 * fitting; version += 1) {
    if (cache.find(version) !== undefined) kept += 1;
  }
  assert.ok(kept * length <= 16 * pageBytes, `${kept} are there`);
  assert.ok(kept >= fitting * 0.9, `${kept} are there`);
});

test("records larger than the cache, read over and over, are found in part: none wash all others out", () => {
  const cache = new RecordCache(16 * pageBytes);
  const count = 2 * 16 * 60;
  let hits = 0;
  for (let lap = 0; lap < 4; lap += 1) {
    hits = 0;
    for (let version = 1; version <= count; version += 1) {
      if (cache.find(version) !== undefined) hits += 1;
      else cache.add(version, frameOf(version, 1000));
    }
  }
  assert.ok(hits > count / 5, `${hits} of ${count} were found`);
});

test("a value that looks like an entry of the cache is never taken for one", () => {
  const cache = new RecordCache(pageBytes);
  const forged = new Uint8Array(1000);
  const words = new Uint32Array(forged.buffer);
  // Every 16 bytes an entry of version 7, 8 bytes long.
  for (let at = 0; at + 3 < words.length; at += 2) {
    words[at] = 7;
    words[at + 1] = 8 << 16;
  }
  // Not at the start of the page, where the next entry has its header.
  cache.add(6, frameOf(6, 100));
  cache.add(7, frameOf(7, 500));
  for (let version = 8; version < 2000; version += 1) {
    cache.add(version, forged);
    const found = cache.find(7);
    if (found !== undefined) assert.equal(found.length, 500);
  }
});

test("large records are not kept, and without room none is", () => {
  const cache = new RecordCache(pageBytes);
  cache.add(1, new Uint8Array(CACHED_FRAME_BYTES_MAX + 1));
  cache.add(2, new Uint8Array(CACHED_FRAME_BYTES_MAX));
  assert.equal(cache.find(1), undefined);
  assert.equal(cache.find(2)?.length, CACHED_FRAME_BYTES_MAX);
  const none = new RecordCache(pageBytes - 1);
  none.add(1, frameOf(1, 100));
  assert.equal(none.find(1), undefined);
});

test("a record that was read is read again without the file, and only the one that stands (V5)", async () => {
  const rig = await Rig.open();
  await rig.set("k", "one");
  assert.equal(await rig.get("k"), "one");
  await rig.set("k", "two");
  assert.equal(await rig.get("k"), "two");
  await rig.set("other", "o");
  let reads = 0;
  rig.injector = ({ op, path }) => {
    if (op === "read" && segmentFiles.test(path)) reads += 1;
    return undefined;
  };
  assert.equal(await rig.get("k"), "two");
  assert.equal(reads, 0, "the file was read");
  assert.equal(await rig.get("other"), "o");
  assert.equal(reads, 1, "the injector sees no reads");
  await rig.delete("k");
  assert.equal(await rig.get("k"), undefined);
  await rig.store.close();
});

test("what a caller does to the bytes of an answer does not reach the next answer", async () => {
  const rig = await Rig.open();
  await rig.set("k", "value");
  for (let turn = 0; turn < 3; turn += 1) {
    const record = await rig.store.get(bytes("k"));
    assert.ok(record);
    assert.equal(text(record.value), "value");
    record.payload.fill(0);
  }
  await rig.store.close();
});

test("with cacheBytesMax 0 every get reads the file", async () => {
  const rig = await Rig.open({ cacheBytesMax: 0 });
  await rig.set("k", "value");
  let reads = 0;
  rig.injector = ({ op, path }) => {
    if (op === "read" && segmentFiles.test(path)) reads += 1;
    return undefined;
  };
  for (let turn = 1; turn <= 3; turn += 1) {
    assert.equal(await rig.get("k"), "value");
    assert.equal(reads, turn);
  }
  await rig.store.close();
});
