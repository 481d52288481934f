/** Frames that lie side by side are read in one piece, and each is verified by itself. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import type { Place } from "../../src/engine/place.js";
import { RUN_BYTES_MAX, runsOf } from "../../src/engine/place-runs.js";
import { FRAME_HEADER_BYTES } from "../../src/format/frame.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Rig, segmentFiles, text } from "../support/store-rig.js";

const somePlace = fc.record({
  segment: fc.integer({ min: 0, max: 1 }),
  gap: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: 256 }) },
    { weight: 1, arbitrary: fc.integer({ min: 257, max: 600 }) },
  ),
  recordBytes: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 10, max: 200 }) },
    { weight: 1, arbitrary: fc.integer({ min: 10, max: 40_000 }) },
  ),
  isRead: fc.nat({ max: 15 }).map((dice) => dice === 0),
});

/** Places that follow one another in their segments, with gaps. */
function placesOf(
  drawn: readonly { segment: number; gap: number; recordBytes: number; isRead: boolean }[],
) {
  const ends = [0, 0, 0];
  return drawn.map(({ segment, gap, recordBytes, isRead }, at): Place => {
    const offset = (ends[segment] ?? 0) + gap;
    ends[segment] = offset + FRAME_HEADER_BYTES + recordBytes;
    const record = isRead ? "keys-only" : undefined;
    return {
      key: bytes(`${at}`),
      version: at,
      expiresAtMs: 0,
      recordBytes,
      segment,
      offset,
      record,
    };
  });
}

test("a run has places of one segment that are still to be read, close together and of 64 KiB at most (V11)", () => {
  let found = 0;
  fc.assert(
    fc.property(
      fc.array(somePlace, { maxLength: 60, size: "max" }),
      fc.infiniteStream(fc.nat()),
      (drawn, dice) => {
        const places = placesOf(drawn);
        const shuffled = places
          .map((place) => ({ place, at: dice.next().value as number }))
          .sort((one, other) => one.at - other.at)
          .map(({ place }) => place);
        const runs = runsOf(shuffled);
        const seen = new Set<Place>();
        for (const { places: members, segment, from, to } of runs) {
          found += 1;
          assert.ok(members.length >= 4 && to - from <= RUN_BYTES_MAX);
          let end = from;
          for (const place of members) {
            assert.ok(place.record === undefined && place.segment === segment && !seen.has(place));
            assert.ok(place.offset >= end && place.offset - end <= 256);
            end = place.offset + FRAME_HEADER_BYTES + place.recordBytes;
            seen.add(place);
          }
          assert.deepEqual([members[0]?.offset, end], [from, to]);
        }
      },
    ),
  );
  assert.ok(found > 50, `${found} runs`);
});

async function filled(count: number): Promise<Rig> {
  const rig = await Rig.open({ cacheBytesMax: 0, segmentBytesMax: 64 * 1024 * 1024 });
  const mutations = Array.from({ length: count }, (_, at) => {
    const key = bytes(String(1000 + at));
    return { kind: "set", key, value: bytes(`value ${at}`) } as const;
  });
  await rig.store.commit(mutations);
  return rig;
}

async function valuesOf(rig: Rig): Promise<string[]> {
  const { records } = await rig.store.list({});
  return records.map(({ record }) => (typeof record === "string" ? record : text(record.value)));
}

test("records that were written in key order take one read for hundreds of them", async () => {
  const rig = await filled(500);
  let reads = 0;
  rig.injector = ({ op, path }) => {
    if (op === "read" && segmentFiles.test(path)) reads += 1;
    return undefined;
  };
  const expected = Array.from({ length: 500 }, (_, at) => `value ${at}`);
  assert.deepEqual(await valuesOf(rig), expected);
  assert.ok(reads >= 1 && reads <= 3, `${reads} reads`);
  await rig.store.close();
});

test("V13: a damaged record within a run is unreadable, and its neighbours are not", async () => {
  const rig = await filled(50);
  const place = await rig.store.batchGet([bytes("1020")]);
  assert.equal(place.entries.length, 1);
  await rig.store.close();
  const [frame] = await rig.frames();
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  const file = await rig.sim.files.open(path, "read");
  const content = Buffer.alloc(await file.size());
  await file.read(content, 0);
  await file.close();
  const at = content.indexOf("value 20");
  await flipBitAtRest(rig.sim.files, path, at * 8);
  const again = await Rig.open(rig.options, rig.sim);
  const values = await valuesOf(again);
  assert.equal(values[20], "unreadable");
  assert.equal(values.filter((value) => value === "unreadable").length, 1);
  await again.store.close();
});

test("where a run cannot be read, its records are read one by one", async () => {
  const rig = await filled(20);
  let reads = 0;
  rig.injector = ({ op, path }) => {
    if (op !== "read" || !segmentFiles.test(path)) return undefined;
    reads += 1;
    return reads === 1 ? { kind: "error", code: "EIO" } : undefined;
  };
  assert.deepEqual(
    await valuesOf(rig),
    Array.from({ length: 20 }, (_, at) => `value ${at}`),
  );
  assert.equal(reads, 21);
  assert.equal(rig.store.stats().damage.length, 0, "that was no damage");
  await rig.store.close();
});
