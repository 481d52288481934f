/**
 * Segments that are gone or too short, batches with several damaged members,
 * and bursts of damage: what is left is served, what is lost is told.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Segment as ListedSegment } from "../../gen/kvix/v1/kvix_pb.js";
import type { DamageStats } from "../../src/engine/store-stats.js";
import { SimRandom } from "../support/sim-random.js";
import {
  fileOf,
  flipped,
  hintPathOf,
  imageOf,
  type PlacedRecord,
  type StoreImage,
  segmentPathOf,
  withFile,
  withoutHints,
} from "../support/store-image.js";
import {
  type BuiltStore,
  buildStore,
  bytesOf,
  corrupt,
  deleteOf,
  expectedState,
  openImage,
  put,
  recordsOf,
  refusalOf,
  richLife,
  setOf,
  stateOf,
} from "../support/store-life.js";

/** The records of a segment whose frames do not end at or before `length`. */
function cutOff(built: BuiltStore, listed: ListedSegment, length: number): Set<PlacedRecord> {
  const frames = built.frames.get(listed) ?? [];
  return new Set(frames.flatMap((frame) => frame.records).filter(isCut));
  function isCut(record: PlacedRecord): boolean {
    return record.offset + record.length > length;
  }
}

function shortened(image: StoreImage, listed: ListedSegment, length: number): StoreImage {
  const path = segmentPathOf(listed);
  return withFile(image, path, fileOf(image, path).subarray(0, length));
}

/** Whether some range with unknown keys reaches over the version. */
function isHidden(damage: readonly DamageStats[], version: number): boolean {
  return damage.some(
    ({ keysUnknown, firstVersion, lastVersion }) =>
      keysUnknown && firstVersion <= version && version <= lastVersion,
  );
}

/** Writes, closes and opens again: damage and segments stay, and what was written is there. */
async function liveOn(image: StoreImage, built: BuiltStore, where: string): Promise<void> {
  const first = await openImage(image, {}, built.clock);
  const state = await stateOf(first.store, built.keys);
  const told = first.store.stats().damage;
  const version = await put(first.store, "new", "1");
  const newest = Math.max(...recordsOf(built).map((record) => record.version));
  assert.ok(version > newest, `${where}: version ${version} after ${newest}`);
  await first.store.hintsWritten();
  await first.store.close();
  const left = imageOf(first.host.files);
  for (const listed of [...built.sealed, built.active]) {
    const path = segmentPathOf(listed);
    const bytes = left.get(path)?.subarray(0, image.get(path)?.length);
    assert.deepEqual(bytes, image.get(path), `${where}: no byte of ${path} is written over`);
    const isDamaged = told.some(({ file }) => path.endsWith(file));
    if (isDamaged) assert.deepEqual(left.get(path), image.get(path), `${where}: no append to it`);
  }
  const again = await openImage(left, {}, built.clock);
  assert.deepEqual(again.store.stats().damage, told, where);
  assert.deepEqual(await stateOf(again.store, built.keys), state, where);
  assert.deepEqual(await stateOf(again.store, ["new"]), { new: "1" }, where);
  await again.store.close();
}

test("V13 R4: a sealed segment that is missing, or too short, loses its own records alone, by name if a hint is there", async () => {
  const built = await buildStore(richLife, "closed");
  for (const listed of built.sealed) {
    const { length } = fileOf(built.image, segmentPathOf(listed));
    for (let left = -1; left < length; left += left < 0 ? 1 : 23) {
      const where = `${left} of ${length} bytes of segment ${listed.id}`;
      const path = segmentPathOf(listed);
      const image = left < 0 ? withFile(built.image, path) : shortened(built.image, listed, left);
      const lost = cutOff(built, listed, left);
      const { store } = await openImage(image, {}, built.clock);
      const [range, ...others] = store.stats().damage;
      const values = new Set([...lost].filter((record) => !record.isTombstone));
      const expected = expectedState(built, recordsOf(built), values);
      assert.deepEqual(await stateOf(store, built.keys), expected, where);
      assert.deepEqual(others, [], where);
      assert.equal(range?.offset, Math.max(left, 0), where);
      assert.equal(range?.length, length - Math.max(left, 0), where);
      assert.equal(range?.keysUnknown, false, where);
      assert.ok(path.endsWith(range?.file ?? ""), where);
      const strict = await refusalOf(image, { recovery: "strict" });
      assert.equal(strict.error.reason, "STORE_DAMAGED", where);
      await liveOn(image, built, where);
    }
  }
});

test("V13: where neither segment nor hint tells the keys, the versions that are hidden are told, and stay told", async () => {
  const built = await buildStore(richLife, "closed");
  for (const listed of built.sealed) {
    const { length } = fileOf(built.image, segmentPathOf(listed));
    for (let left = -1; left < length; left += left < 0 ? 1 : 23) {
      const where = `${left} of ${length} bytes of segment ${listed.id}`;
      const bare = withFile(built.image, hintPathOf(listed));
      const image =
        left < 0 ? withFile(bare, segmentPathOf(listed)) : shortened(bare, listed, left);
      const lost = cutOff(built, listed, left);
      const { host, store } = await openImage(image, {}, built.clock);
      const kept = recordsOf(built).filter((record) => !lost.has(record));
      const state = await stateOf(store, built.keys);
      assert.deepEqual(state, expectedState(built, kept), where);
      const { damage } = store.stats();
      for (const { version } of lost) assert.ok(isHidden(damage, version), `${where}: ${version}`);
      await store.hintsWritten();
      await store.close();
      const again = await openImage(imageOf(host.files), {}, built.clock);
      assert.deepEqual(again.store.stats().damage, damage, `${where}: with the hint made since`);
      assert.deepEqual(await stateOf(again.store, built.keys), state, where);
      await liveOn(image, built, where);
    }
  }
});

test("V13 R2 D5: a segment that is shorter than a clean close left it is damage, told at every length", async () => {
  const built = await buildStore(richLife, "closed");
  const { active } = built;
  const { length } = fileOf(built.image, segmentPathOf(active));
  for (let left = -1; left < length; left += 1) {
    const where = `${left} of ${length} bytes`;
    const image =
      left < 0
        ? withFile(built.image, segmentPathOf(active))
        : shortened(built.image, active, left);
    const lost = cutOff(built, active, left);
    const kept = recordsOf(built).filter((record) => !lost.has(record));
    const { host, store } = await openImage(image, {}, built.clock);
    assert.deepEqual(await stateOf(store, built.keys), expectedState(built, kept), where);
    const { damage } = store.stats();
    for (const { version } of lost) assert.ok(isHidden(damage, version), `${where}: ${version}`);
    assert.deepEqual(imageOf(host.files), image, `${where}: nothing is cut`);
    await store.close();
    if (left % 41 !== 0 && left >= 0) continue;
    const strict = await refusalOf(image, { recovery: "strict" });
    assert.equal(strict.error.reason, "STORE_DAMAGED", where);
    await liveOn(image, built, where);
  }
});

test("V13: an active segment that is missing after a crash is damage, not an empty store", async () => {
  const built = await buildStore(richLife, "killed");
  const image = withFile(built.image, segmentPathOf(built.active));
  const { store } = await openImage(image, {}, built.clock);
  const kept = recordsOf(built, (_frame, listed) => listed !== built.active);
  assert.deepEqual(await stateOf(store, built.keys), expectedState(built, kept));
  const { damage } = store.stats();
  for (const { version } of recordsOf(built, (_frame, listed) => listed === built.active)) {
    assert.ok(isHidden(damage, version));
  }
  await liveOn(image, built, "no active segment");
});

/** Four members in a batch; older values and a later frame around it. */
async function batchBuilt(end: "closed" | "killed"): Promise<BuiltStore> {
  return buildStore(
    async (store) => {
      for (const key of ["m1", "m2", "m3", "m4"]) await put(store, key, "old");
      const batch = [setOf("m1", "new"), setOf("m2", "new"), deleteOf("m3"), setOf("m4", "new")];
      await store.commit(batch);
      await put(store, "after", "1");
    },
    end,
    { segmentBytesMax: 4096 },
  );
}

test("V13 R3 B1: members of a damaged batch with a sound checksum count, all others are DATA_LOSS", async () => {
  for (const end of ["closed", "killed"] as const) {
    const built = await batchBuilt(end);
    const path = segmentPathOf(built.active);
    const batch = built.frames.get(built.active)?.find((frame) => frame.isBatch);
    assert.ok(batch);
    for (let chosen = 1; chosen < 16; chosen += 1) {
      const hit = batch.records.filter((_record, index) => (chosen & (1 << index)) !== 0);
      let bytes = fileOf(built.image, path);
      for (const { offset, length } of hit) bytes = flipped(bytes, (offset + length - 3) * 8);
      const { store } = await openImage(withFile(built.image, path, bytes), {}, built.clock);
      const expected = expectedState(built, recordsOf(built), new Set(hit));
      assert.deepEqual(await stateOf(store, built.keys), expected, `members ${chosen}, ${end}`);
      assert.ok(store.stats().damage.every((range) => !range.keysUnknown));
      await store.close();
    }
  }
});

test("V13 R3 R6: bursts of zeros, ones and noise hide nothing but what they hit, and what they hide is told", async () => {
  const built = await buildStore(richLife, "closed");
  const clean = withoutHints(built.image);
  const random = new SimRandom(20);
  const all = recordsOf(built);
  let told = 0;
  for (let round = 0; round < 400; round += 1) {
    const listed = random.pick([...built.sealed, built.active]);
    const path = segmentPathOf(listed);
    const bytes = fileOf(clean, path).slice();
    const from = random.below(bytes.length);
    const burst = random.bytes(1 + random.below(60)).subarray(0, bytes.length - from);
    const fill = random.pick(["zeros", "ones", "noise"] as const);
    if (fill !== "noise") burst.fill(fill === "zeros" ? 0 : 0xff);
    bytes.set(burst, from);
    const frames = built.frames.get(listed) ?? [];
    const hit = new Set(
      frames
        .flatMap((frame) => frame.records)
        .filter(({ offset, length }) => offset < from + burst.length && from < offset + length),
    );
    const { store } = await openImage(withFile(clean, path, bytes), {}, built.clock);
    const state = await stateOf(store, built.keys);
    const { damage } = store.stats();
    const right = expectedState(built, all);
    for (const key of built.keys) {
      if (state[key] === right[key]) continue;
      const newest = all.filter((each) => each.key === key).at(-1) as PlacedRecord;
      const where = `round ${round}: ${fill} at ${from}+${burst.length} of ${listed.id}: ${key}`;
      assert.ok(hit.has(newest), where);
      assert.ok(state[key] === corrupt || isHidden(damage, newest.version), where);
      told += 1;
    }
    await store.close();
  }
  assert.ok(told > 100, `${told} keys were hit`);
});

test("V13: a burst in a key that leaves all else in order does not pass for another key in silence", async () => {
  const built = await buildStore(
    async (store) => {
      await put(store, "key-one", "old");
      await put(store, "key-one", "new");
      await put(store, "after", "1");
    },
    "closed",
    { segmentBytesMax: 4096 },
  );
  const path = segmentPathOf(built.active);
  const bytes = fileOf(built.image, path).slice();
  const second = built.frames.get(built.active)?.[1];
  assert.ok(second);
  bytes.set(bytesOf("two"), second.offset + 17 + 2 + "key-".length);
  const { store } = await openImage(withFile(built.image, path, bytes), {}, built.clock);
  const damage = store.stats().damage;
  assert.equal((await stateOf(store, ["key-one"]))["key-one"], "old");
  assert.ok(isHidden(damage, 2), "that an older value may show is told");
  await store.close();
});
