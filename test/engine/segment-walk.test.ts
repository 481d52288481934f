/** Walking a segment for somebody who looks at it: sound on sound bytes and on damaged ones. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { type WalkItem, walkSegment } from "../../src/engine/segment-walk.js";
import { crc32 } from "../../src/format/checksum.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { concat, falseStarts, frameOf, recordOf, text, viewOf } from "../format/frames.js";
import { MemoryFile } from "../support/memory-file.js";
import { simHost } from "../support/sim-host.js";
import { SimRandom } from "../support/sim-random.js";
import {
  fileOf,
  flipped,
  hostOf,
  manifestOf,
  type StoreImage,
  segmentDir,
  segmentPathOf,
  withFile,
} from "../support/store-image.js";
import { type BuiltStore, buildStore, put, richLife } from "../support/store-life.js";

const directories = { data: "/store", segments: segmentDir };
const decoder = new TextDecoder();

async function walk(
  image: StoreImage,
  listed: BuiltStore["active"],
  withValues = false,
): Promise<{ items: WalkItem[]; bunches: number }> {
  const host = hostOf(image);
  const { prefix, id, timestamp } = listed;
  const name = new SegmentName(directories, manifestOf(image).storeId, prefix, id, timestamp);
  const file = await host.files.open(name.path, "read");
  const items: WalkItem[] = [];
  let bunches = 0;
  const segment = new Segment(name, file, true);
  for await (const bunch of walkSegment(segment, await file.size(), withValues)) {
    items.push(...bunch);
    bunches += 1;
  }
  await file.close();
  return { items, bunches };
}

/** The items lie one behind the other, from the first byte to the last. */
function assertTiles(items: readonly WalkItem[], length: number, where: string): void {
  let end = 0;
  for (const item of items) {
    assert.equal(item.offset, end, where);
    assert.ok(item.length > 0, where);
    end += item.length;
  }
  assert.equal(end, length, where);
}

test("every frame of a sound segment is met, with its records and their values", async () => {
  const built = await buildStore(richLife, "closed");
  for (const [listed, frames] of built.frames) {
    const { items } = await walk(built.image, listed, true);
    const seen = items.map((item) => {
      assert.equal(item.kind, "frame");
      return item.kind === "frame"
        ? item.records.map(({ key, version, value, offset, valueBytes }) => {
            assert.equal(value?.length, valueBytes);
            return { key: decoder.decode(key), version, value: decoder.decode(value), offset };
          })
        : [];
    });
    const written = frames.map(({ records }) =>
      records.map(({ key, version, value, offset }) => ({ key, version, value, offset })),
    );
    assert.deepEqual(seen, written);
    assertTiles(items, fileOf(built.image, segmentPathOf(listed)).length, listed.prefix);
  }
});

test("R3: around any damaged byte all other frames are met, and the damage is marked", async () => {
  const built = await buildStore(richLife, "closed");
  for (const [listed, frames] of built.frames) {
    const path = segmentPathOf(listed);
    const bytes = fileOf(built.image, path);
    for (let byte = 0; byte < bytes.length; byte += 1) {
      const image = withFile(built.image, path, flipped(bytes, byte * 8 + (byte % 8)));
      const { items } = await walk(image, listed);
      assertTiles(items, bytes.length, `byte ${byte}`);
      const marked = items.filter(({ kind }) => kind !== "frame");
      assert.ok(
        marked.some(({ offset, length }) => byte >= offset && byte < offset + length),
        `byte ${byte} is marked`,
      );
      const met = new Set(items.filter(({ kind }) => kind === "frame").map(({ offset }) => offset));
      for (const { offset, length } of frames) {
        const isHit = byte >= offset && byte < offset + length;
        assert.equal(met.has(offset), !isHit, `frame at ${offset}, byte ${byte}`);
      }
    }
  }
});

test("R1: a segment that ends anywhere is walked to its end, whose last frame may be a tail", async () => {
  const built = await buildStore(richLife, "killed");
  const path = segmentPathOf(built.active);
  const bytes = fileOf(built.image, path);
  const ends = (built.frames.get(built.active) ?? []).map(({ offset, length }) => offset + length);
  for (let length = 0; length <= bytes.length; length += 1) {
    const { items } = await walk(
      withFile(built.image, path, bytes.subarray(0, length)),
      built.active,
    );
    assertTiles(items, length, `length ${length}`);
    const tail = items.filter(({ kind }) => kind !== "frame");
    const isAtEnd = length === 0 || ends.includes(length);
    if (isAtEnd) assert.deepEqual(tail, [], `length ${length}`);
    // In what is left of a batch its whole members are still sound frames.
    else assert.ok(tail.length > 0, `length ${length}`);
  }
});

test("V11: many records come in many bunches, and noise is walked too", async () => {
  const built = await buildStore(
    async (store) => {
      const all: Promise<number>[] = [];
      for (let each = 0; each < 9000; each += 1) all.push(put(store, `k${each}`, "v"));
      await Promise.all(all);
    },
    "closed",
    { segmentBytesMax: 2 ** 30 },
  );
  const { items, bunches } = await walk(built.image, built.active);
  assert.equal(items.length, 9000);
  assert.ok(bunches >= 3, `${bunches} bunches`);
  const random = new SimRandom(5);
  const path = segmentPathOf(built.active);
  const noise = withFile(built.image, path, random.bytes(200_000));
  const walked = await walk(noise, built.active);
  assertTiles(walked.items, 200_000, "noise");
  assert.deepEqual(
    walked.items.map(({ kind }) => kind),
    ["tail"],
  );
});

/** Walks these bytes as a segment. */
async function walkBytes(make: (salt: number) => Uint8Array, withValues = false) {
  const name = new SegmentName(directories, new Uint8Array(16), "segment", 0, 1n);
  const content = make(name.salt);
  const segment = new Segment(name, new MemoryFile(content).asFile(), true);
  const items: WalkItem[] = [];
  let bunches = 0;
  for await (const bunch of walkSegment(segment, content.length, withValues)) {
    items.push(...bunch);
    bunches += 1;
    assert.ok(bunches < 100, "it comes to an end");
  }
  assertTiles(items, content.length, "all bytes");
  return { items, bunches };
}

const kindsOf = ({ items }: { items: readonly WalkItem[] }): string[] =>
  items.map(({ kind }) => kind);

test("R10 V11: sound frames that are not ours are unknown, and what follows them is met", async () => {
  const sound = (salt: number, version: number, valueBytes = 9): Uint8Array =>
    frameOf(recordOf(text(`k${version}`), new Uint8Array(valueBytes), version), 0, salt);
  const later = (salt: number): Uint8Array => {
    const frame = sound(salt, 7);
    frame[8] = 2;
    viewOf(frame).setUint32(0, crc32(frame.subarray(4), salt), true);
    return frame;
  };
  // Its checksum is right, and what it holds begins like a record and is none.
  const strange = (salt: number): Uint8Array => frameOf(Uint8Array.of(0x0a, 1, 0x6b), 0, salt);
  for (const unknown of [strange, later]) {
    const between = await walkBytes((salt) =>
      concat(sound(salt, 1), unknown(salt), sound(salt, 2)),
    );
    assert.deepEqual(kindsOf(between), ["frame", "unknown", "frame"]);
    const last = await walkBytes((salt) => concat(sound(salt, 1), unknown(salt)));
    assert.deepEqual(kindsOf(last), ["frame", "unknown"]);
  }
  const many = await walkBytes((salt) => falseStarts(100, sound(salt, 1)));
  assert.deepEqual(kindsOf(many), ["given-up"]);
});

test("V11: keys are its own, values come only if they are asked for, and end a bunch at 4 MiB", async () => {
  const count = 12;
  const frames = (salt: number): Uint8Array =>
    concat(
      ...Array.from({ length: count }, (_, index) =>
        frameOf(recordOf(text(`key-${index}`), new Uint8Array(1024 * 1024), index + 1), 0, salt),
      ),
    );
  for (const withValues of [true, false]) {
    const { items, bunches } = await walkBytes(frames, withValues);
    const records = items.flatMap((item) => (item.kind === "frame" ? item.records : []));
    const keys = records.map(({ key }) => decoder.decode(key));
    assert.deepEqual(
      keys,
      Array.from({ length: count }, (_, index) => `key-${index}`),
    );
    assert.ok(
      records.every(({ value }) => value?.length === (withValues ? 1024 * 1024 : undefined)),
    );
    assert.equal(bunches, withValues ? 3 : 1);
  }
});

test("a segment without its file is nothing", async () => {
  const host = simHost({ seed: 1 });
  const name = new SegmentName(directories, host.entropy.bytes(16), "segment", 0, 1n);
  const bunches = [];
  for await (const bunch of walkSegment(new Segment(name, undefined, true), 10, false)) {
    bunches.push(bunch);
  }
  assert.deepEqual(bunches, []);
});
