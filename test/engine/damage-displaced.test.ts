/**
 * Files that hold the bytes of other files: what is whole elsewhere stays
 * readable, whichever segment is read first.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { type Segment as ListedSegment, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import { openStore } from "../../src/engine/open-store.js";
import { choosing, compacted, onDemand } from "../support/compaction-rig.js";
import { simHost } from "../support/sim-host.js";
import { fileOf, imageOf, segmentPathOf, withFile, withoutHints } from "../support/store-image.js";
import {
  type BuiltStore,
  buildStore,
  describe,
  openImage,
  put,
  setOf,
  smallStore,
  stateOf,
} from "../support/store-life.js";
import { unpaced } from "../support/unpaced.js";

const options = { ...smallStore, ...onDemand, segmentBytesMax: 200 };

/** Sealed segments, and behind them in the manifest the output of a compaction with older records. */
async function compactedStore(): Promise<BuiltStore> {
  const host = simHost({ seed: 7 });
  const seams = { pacer: unpaced(host.clock), chooseVictims: choosing([0, 1]) };
  const store = await openStore(options, host, seams);
  for (let index = 0; index < 24; index += 1) await put(store, `k${index}`, `${index}`);
  await store.hintsWritten();
  await compacted({ store });
  await store.hintsWritten();
  await store.close();
  return describe(withoutHints(imageOf(host.files)), host.clock);
}

test("R3 V13: a segment that holds the bytes of another one withholds no record of that one", async () => {
  const built = await compactedStore();
  const whole = await stateOf((await openImage(built.image, options)).store, built.keys);
  const listed = [...built.frames.keys()];
  const output = listed.at(-1) as ListedSegment;
  assert.equal(output.state, SegmentState.COMPACTED);
  for (const spoilt of listed) {
    for (const source of [output, listed[0] as ListedSegment]) {
      if (source === spoilt) continue;
      const where = `segment ${spoilt.id} with the bytes of ${source.id}`;
      const bytes = fileOf(built.image, segmentPathOf(source));
      const frames = built.frames.get(spoilt) ?? [];
      const gone = new Set(frames.flatMap(({ records }) => records.map(({ key }) => key)));
      const image = withFile(built.image, segmentPathOf(spoilt), bytes);
      const first = await openImage(image, options, built.clock);
      await first.store.hintsWritten();
      const state = await stateOf(first.store, built.keys);
      for (const key of built.keys) {
        if (!gone.has(key)) assert.equal(state[key], whole[key], `${where}: ${key}`);
      }
      assert.ok(first.store.stats().damage.length > 0, where);
      await first.store.close();
      const again = await openImage(imageOf(first.host.files), options, built.clock);
      assert.deepEqual(await stateOf(again.store, built.keys), state, `${where}, opened again`);
      await again.store.close();
    }
  }
});

test("V13: the rest of a frame that another one has overwritten is not called known", async () => {
  const built = await buildStore(
    async (store) => {
      await put(store, "k", "older");
      await put(store, "m", "1");
      await put(store, "k", "newer");
      await put(store, "n", "1");
    },
    "closed",
    { segmentBytesMax: 4096 },
  );
  const path = segmentPathOf(built.active);
  const whole = fileOf(built.image, path);
  const [, moved, hit] = built.frames.get(built.active) ?? [];
  assert.ok(moved && hit);
  // A whole frame lies over the front of the next one, as pages that changed places leave it.
  for (const left of [1, 5, 19, 23]) {
    const bytes = whole.slice();
    const at = hit.offset + hit.length - left - moved.length;
    bytes.copyWithin(at, moved.offset, moved.offset + moved.length);
    bytes.fill(0, moved.offset, at);
    const { store } = await openImage(withFile(built.image, path, bytes), {}, built.clock);
    assert.deepEqual(await stateOf(store, ["k", "m"]), { k: "older", m: "1" });
    const { damage } = store.stats();
    assert.ok(
      damage.every(({ keysUnknown }) => keysUnknown),
      `${left} bytes are left`,
    );
    await store.close();
  }
});

test("V13 B1: a member of a batch that a whole frame lies over is not called known", async () => {
  const options = { segmentBytesMax: 400 };
  const filler = "x".repeat(330);
  const built = await buildStore(
    async (store) => {
      await put(store, "a", "1");
      await put(store, "filler", filler);
      await store.commit([setOf("a", "2"), setOf("b", "2")]);
      await put(store, "c", "y".repeat(30));
      await put(store, "filler", filler);
    },
    "killed",
    options,
  );
  const [segment, frames] = [...built.frames].find(([, all]) =>
    all.some(({ records }) => records.length === 2),
  ) ?? [undefined, []];
  const batch = frames.find(({ records }) => records.length === 2);
  const over = frames.find(({ records }) => records[0]?.key === "c");
  const first = batch?.records[0];
  assert.ok(segment && over && first);
  const image = withoutHints(built.image);
  const whole = fileOf(image, segmentPathOf(segment));
  for (let shift = 1; shift < 30; shift += 1) {
    const bytes = whole.slice();
    bytes.copyWithin(first.offset + shift, over.offset, over.offset + over.length);
    const damaged = withFile(image, segmentPathOf(segment), bytes);
    const { store } = await openImage(damaged, options, built.clock);
    const { damage } = store.stats();
    const isTold = damage.length > 0 && damage.every(({ keysUnknown }) => keysUnknown);
    assert.ok(isTold, `${shift} bytes into the member`);
    await store.close();
  }
});

test("V13 V15: damage among frames that have changed places has no version that was never given", async () => {
  for (const end of ["closed", "killed"] as const) {
    const built = await buildStore(
      async (store) => {
        for (let index = 1; index <= 6; index += 1) await put(store, `k${index}`, `${index}`);
      },
      end,
      { segmentBytesMax: 4096 },
    );
    const path = segmentPathOf(built.active);
    const frames = built.frames.get(built.active) ?? [];
    assert.equal(frames.length, 6);
    const newest = frames[5] as (typeof frames)[number];
    // The newest frame lies where the third was; the fourth, or the newest, is gone.
    for (const [at, versions] of [
      [3, [5, 6]],
      [5, [6, 6]],
    ] as const) {
      const gone = frames[at] as typeof newest;
      const bytes = fileOf(built.image, path).slice();
      bytes.copyWithin(frames[2]?.offset ?? 0, newest.offset, newest.offset + newest.length);
      bytes.fill(0, gone.offset, gone.offset + gone.length);
      const { store } = await openImage(withFile(built.image, path, bytes), {}, built.clock);
      const told = store.stats().damage.map((range) => [range.firstVersion, range.lastVersion]);
      // Behind the end of what was synced, zeros are a torn tail.
      const isTail = end === "killed" && at === 5;
      assert.deepEqual(told, isTail ? [] : [versions], `${end}, without frame ${at}`);
      await store.close();
    }
  }
});
