/**
 * One bit of a segment is wrong, whichever it is: the record that it belongs to
 * is DATA_LOSS, every other one has its right value, and the damage is told. One bit in
 * seven, so at least one of every byte, and each of the eight somewhere in a frame: the
 * lab's rot flips them all.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Segment as ListedSegment } from "../../gen/kvix/v1/kvix_pb.js";
import { segmentFileName } from "../../src/format/segment-name.js";
import type { SimDirectory } from "../support/sim-disk.js";
import type { SimHost } from "../support/sim-host.js";
import {
  fileOf,
  flipped,
  hintPathOf,
  imageOf,
  type PlacedFrame,
  type PlacedRecord,
  type StoreImage,
  segmentPathOf,
  withFile,
  withoutHints,
} from "../support/store-image.js";
import {
  type BuiltStore,
  bitLife,
  buildStore,
  expectedState,
  openImage,
  put,
  recordsOf,
  refusalOf,
  soundState,
  stateOf,
} from "../support/store-life.js";

const small = { segmentBytesMax: 250 };

const stride = 7;

/** What lies at a bit of a segment. */
interface Hit {
  readonly frame: PlacedFrame;
  /** The records whose own frames have the bit; none of a batch if it is in its head. */
  readonly records: readonly PlacedRecord[];
}

const covers = (place: { offset: number; length: number }, bit: number): boolean =>
  bit >> 3 >= place.offset && bit >> 3 < place.offset + place.length;

function hitAt(built: BuiltStore, listed: ListedSegment, bit: number): Hit {
  const frame = built.frames.get(listed)?.find((each) => covers(each, bit));
  assert.ok(frame, `bit ${bit} is in a frame`);
  return { frame, records: frame.records.filter((record) => covers(record, bit)) };
}

function bitsOf(image: StoreImage, listed: ListedSegment): number {
  return fileOf(image, segmentPathOf(listed)).length * 8;
}

function withFlip(image: StoreImage, listed: ListedSegment, bit: number): StoreImage {
  const path = segmentPathOf(listed);
  return withFile(image, path, flipped(fileOf(image, path), bit));
}

const nameOf = ({ prefix, id, timestamp }: ListedSegment): string =>
  segmentFileName(prefix, id, timestamp);

/** Opens the image with one bit flipped, and holds state and damage against what was hit. */
async function judgeRot(
  built: BuiltStore,
  image: StoreImage,
  listed: ListedSegment,
  bit: number,
): Promise<void> {
  const where = `bit ${bit} of segment ${listed.id}`;
  const { store } = await openImage(withFlip(image, listed, bit), small, built.clock);
  const { frame, records } = hitAt(built, listed, bit);
  const told = store.stats().damage;
  const expected = expectedState(built, recordsOf(built), new Set(records));
  assert.deepEqual(await stateOf(store, built.keys), expected, where);
  const { damage, condition, open } = store.stats();
  assert.deepEqual(damage, told, `${where}: reading a record that is known to be lost is no news`);
  const range = damage.find((each) => covers(each, bit));
  assert.ok(range, where);
  for (const { version } of records) {
    assert.ok(range.firstVersion <= version && version <= range.lastVersion, where);
  }
  for (const each of damage) {
    assert.equal(each.file, nameOf(listed), where);
    assert.equal(each.keysUnknown, false, where);
    assert.ok(each.firstVersion <= each.lastVersion, where);
    assert.ok(each.offset >= frame.offset, where);
    assert.ok(each.offset + each.length <= frame.offset + frame.length, where);
  }
  // A batch whose member is damaged has a head that does not fit any more.
  assert.ok(damage.length <= (frame.isBatch ? 2 : 1), where);
  assert.equal(condition.degraded, true, where);
  assert.equal(open.tornBytesCut, 0, where);
  await store.close();
}

test("R3 R4 R5 V13: any flipped bit of a sealed segment without a hint loses its own record alone, as DATA_LOSS", async () => {
  const built = await buildStore(bitLife, "closed", small);
  const listed = built.sealed.at(-1) as ListedSegment;
  const image = withFile(built.image, hintPathOf(listed));
  for (let bit = 0; bit < bitsOf(image, listed); bit += stride) {
    await judgeRot(built, image, listed, bit);
  }
});

test("R3 R4 R5 V13: any flipped bit below the synced length of a clean close is rot, and nothing is cut", async () => {
  const built = await buildStore(bitLife, "closed", small);
  for (let bit = 0; bit < bitsOf(built.image, built.active); bit += stride) {
    await judgeRot(built, built.image, built.active, bit);
  }
});

test("R2 R3 R4 V13 B1: after a crash a flipped bit is rot if a frame with BARRIER follows, and else a torn tail", async () => {
  const built = await buildStore(bitLife, "killed", small);
  const frames = built.frames.get(built.active) ?? [];
  const lastBarrier = frames.findLast((frame) => frame.isBarrier)?.offset ?? 0;
  let torn = 0;
  for (let bit = 0; bit < bitsOf(built.image, built.active); bit += stride) {
    const { frame } = hitAt(built, built.active, bit);
    if (frame.offset < lastBarrier) {
      await judgeRot(built, built.image, built.active, bit);
      continue;
    }
    torn += 1;
    const image = withFlip(built.image, built.active, bit);
    const { store } = await openImage(image, small, built.clock);
    const left = recordsOf(
      built,
      (each, listed) => listed !== built.active || each.offset < frame.offset,
    );
    assert.deepEqual(await stateOf(store, built.keys), expectedState(built, left), `bit ${bit}`);
    const { damage, open } = store.stats();
    assert.deepEqual(damage, [], `bit ${bit}: a torn tail is no damage`);
    assert.equal(open.tornBytesCut, bitsOf(image, built.active) / 8 - frame.offset);
    await store.close();
  }
  const all = Math.ceil(bitsOf(built.image, built.active) / stride);
  assert.ok(torn > 300 / stride && torn < all / 2, `${torn} bits`);
});

/** The bytes of a file of an open store, as they lie on its disk. */
function liveFile(host: SimHost, path: string) {
  let node = host.files.disk.root as SimDirectory;
  const names = path.split("/").slice(1);
  for (const name of names.slice(0, -1)) node = node.current.get(name) as SimDirectory;
  const file = node.current.get(names.at(-1) as string);
  assert.ok(file?.kind === "file");
  return file.current;
}

test("R3 R4 V13: any flipped bit of a sealed segment that its hint stands for is DATA_LOSS when it is read", async () => {
  const built = await buildStore(bitLife, "closed", small);
  const { host, store } = await openImage(built.image, small, built.clock);
  assert.equal(store.stats().open.segmentsFromHints, built.sealed.length);
  for (const listed of built.sealed) {
    const live = liveFile(host, segmentPathOf(listed));
    const sound = fileOf(built.image, segmentPathOf(listed));
    for (let bit = 0; bit < sound.length * 8; bit += stride) {
      live.write(flipped(sound, bit), 0);
      const { records } = hitAt(built, listed, bit);
      // What a tombstone says, its hint says too.
      const lost = new Set(records.filter((record) => !record.isTombstone));
      const expected = expectedState(built, recordsOf(built), lost);
      assert.deepEqual(await stateOf(store, built.keys), expected, `bit ${bit} of ${listed.id}`);
    }
    live.write(sound, 0);
  }
  assert.deepEqual(
    await stateOf(store, built.keys),
    soundState(built),
    "the faults were of the disk, and are gone with them",
  );
});

test("V13 R3 R7: damage is told again by every later opening, from frames and from the hint that was rebuilt", async () => {
  const built = await buildStore(bitLife, "closed", small);
  const clean = withoutHints(built.image);
  for (const listed of [built.sealed.at(-1) as ListedSegment, built.active]) {
    for (let bit = 3; bit < bitsOf(clean, listed); bit += 37) {
      const where = `bit ${bit} of segment ${listed.id}`;
      const damaged = withFlip(clean, listed, bit);
      const first = await openImage(damaged, small, built.clock);
      const state = await stateOf(first.store, built.keys);
      const told = first.store.stats().damage;
      await first.store.hintsWritten();
      assert.equal((await put(first.store, "new", "1")) > 0, true, where);
      await first.store.hintsWritten();
      await first.store.close();
      for (const image of [imageOf(first.host.files), withoutHints(imageOf(first.host.files))]) {
        const { store } = await openImage(image, small, built.clock);
        assert.deepEqual(await stateOf(store, built.keys), state, where);
        assert.deepEqual(await stateOf(store, ["new"]), { new: "1" }, where);
        assert.deepEqual(store.stats().damage, told, where);
        assert.equal(store.stats().condition.degraded, true, where);
        await store.close();
      }
    }
  }
});

test("V13: rot that a read finds is remembered, although the hint still calls the segment sound", async () => {
  const bare = await buildStore(
    async (store) => {
      for (const key of ["a", "b", "c", "d"]) await put(store, key, "1".repeat(60));
    },
    "closed",
    small,
  );
  const sealed = bare.sealed[0] as ListedSegment;
  const image = withFlip(bare.image, sealed, 400);
  const first = await openImage(image, small, bare.clock);
  assert.deepEqual(first.store.stats().damage, []);
  await put(first.store, "new", "1");
  await stateOf(first.store, bare.keys);
  const told = first.store.stats().damage;
  assert.equal(told.length, 1);
  await first.store.close();
  const again = await openImage(imageOf(first.host.files), small, bare.clock);
  assert.equal(again.store.stats().open.segmentsFromHints, again.store.stats().open.segments - 1);
  assert.deepEqual(again.store.stats().damage, told);
  await again.store.close();
});

test("V13: strict recovery refuses a damaged store with file, bytes and versions, and changes nothing", async () => {
  const built = await buildStore(bitLife, "closed", small);
  const clean = withoutHints(built.image);
  for (const listed of [built.sealed.at(-1) as ListedSegment, built.active]) {
    for (const frame of built.frames.get(listed) ?? []) {
      const image = withFlip(clean, listed, frame.offset * 8 + 200);
      const degraded = await openImage(image, small, built.clock);
      const [range] = degraded.store.stats().damage;
      assert.ok(range);
      const { host, error } = await refusalOf(image, { ...small, recovery: "strict" });
      assert.equal(error.reason, "STORE_DAMAGED");
      assert.match(error.message, new RegExp(nameOf(listed)));
      assert.match(error.message, new RegExp(`at ${range.offset}, ${range.length} bytes`));
      assert.match(
        error.message,
        new RegExp(`versions ${range.firstVersion} to ${range.lastVersion}`),
      );
      assert.deepEqual(imageOf(host.files), image);
    }
  }
  const sound = await openImage(clean, { ...small, recovery: "strict" }, built.clock);
  assert.deepEqual(sound.store.stats().damage, []);
});
