/** Places in the log: found by version, spread over the log, and never too many. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import {
  LOG_PLACES_MAX,
  LogPlaces,
  LOG_PLACE_SPACING_BYTES as spacing,
} from "../../src/engine/log-places.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { versionsOf } from "../support/log-versions.js";
import { bytes, Rig } from "../support/store-rig.js";

function segment(id: number): Segment {
  const directories = { data: "/store", segments: "/store/segments" };
  return new Segment(
    new SegmentName(directories, new Uint8Array(16), "segment", id, BigInt(id)),
    undefined,
    true,
  );
}

test("a place is found by the newest version that all before it was written by", () => {
  const places = new LogPlaces();
  const [one, other] = [segment(1), segment(2)];
  places.add({ segment: one, offset: spacing, seenVersion: 10 });
  places.add({ segment: one, offset: 3 * spacing, seenVersion: 30 });
  places.add({ segment: other, offset: spacing, seenVersion: 50 });
  places.add({ segment: one, offset: 2 * spacing, seenVersion: 20 });
  const found = (of: Segment, version: number) => places.before(of, version)?.offset;
  assert.deepEqual(
    [9, 10, 19, 20, 29, 30, 49].map((version) => found(one, version)),
    [undefined, spacing, spacing, 2 * spacing, 2 * spacing, 3 * spacing, 3 * spacing],
  );
  assert.equal(found(one, 50), undefined, "another segment has what comes next");
  assert.equal(found(other, 50), spacing);
  places.add({ segment: one, offset: 2 * spacing + 100, seenVersion: 21 });
  assert.equal(places.count, 4, "one is close by");
});

test("V11: with too many places every second one goes, and those of removed segments", () => {
  const places = new LogPlaces();
  const [kept, removed] = [segment(1), segment(2)];
  for (let index = 1; index <= LOG_PLACES_MAX; index += 1) {
    const isEarly = index <= 100;
    const offset = index * spacing;
    places.add({ segment: isEarly ? removed : kept, offset, seenVersion: index });
  }
  assert.equal(places.count, LOG_PLACES_MAX);
  removed.isRemoved = true;
  places.add({ segment: kept, offset: 5000 * spacing, seenVersion: 5000 });
  assert.equal(places.count, Math.ceil((LOG_PLACES_MAX + 1 - 100) / 2));
  assert.equal(places.before(kept, 4999)?.seenVersion, 4095);
});

test("who resumes in a segment that another has read begins close to his version (V11)", async () => {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024 });
  const value = "v".repeat(100_000);
  for (let index = 0; index < 100; index += 1) {
    await rig.set(`k${index}`, value, { durability: "buffered" });
  }
  await rig.store.sync();
  const { version, logReaders } = rig.store;
  const first = logReaders.open({ afterVersion: 0 });
  assert.equal((await versionsOf(first)).length, 100);
  let read = 0;
  rig.injector = ({ op, lengthBytes: length }) => {
    if (op === "read") read += length ?? 0;
    return undefined;
  };
  const second = logReaders.open({ afterVersion: version - 1 });
  assert.deepEqual(await versionsOf(second), [version]);
  assert.ok(read < 2_000_000, `${read} bytes were read`);
  assert.ok(read >= bytes(value).length);
  await rig.store.close();
});
