/** Names of new segments: an id is given again only when nothing bears it any more. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ManifestSchema, SegmentSchema, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { SEGMENT_ID_MAX } from "../../src/base/limits.js";
import { SegmentNamer } from "../../src/engine/segment-namer.js";
import type { ManifestFile } from "../../src/storage/manifest-file.js";
import { SegmentSet } from "../../src/storage/segment-set.js";
import { simHost } from "../support/sim-host.js";

const directories = { data: "/store", segments: "/store/segments" };

function namerOf(
  listed: readonly { id: number; state: SegmentState }[],
  newest: { segmentId: number; segmentTimestamp: bigint },
  strayIds: ReadonlySet<number> = new Set(),
): SegmentNamer {
  const segments = listed.map((each) => create(SegmentSchema, each));
  const current = create(ManifestSchema, { storeId: new Uint8Array(16), segments, ...newest });
  return new SegmentNamer({
    clock: simHost({ seed: 1 }).clock,
    directories,
    manifest: { current } as unknown as ManifestFile,
    segments: new SegmentSet(),
    segmentPrefix: "segment",
    strayIds,
  });
}

const isExhausted = (error: unknown): boolean =>
  error instanceof KvixError && error.reason === "SEGMENTS_EXHAUSTED";

test("I3: no id is given that a listed segment has, whatever its state, or a strange file, or that was given", () => {
  const states = [SegmentState.REMOVED, SegmentState.PENDING, SegmentState.SEALED];
  const listed = [];
  const strays = new Set<number>();
  for (let id = 0; id <= SEGMENT_ID_MAX; id += 1) {
    if (id === 7 || id === 9) continue;
    if (id % 4 === 3) strays.add(id);
    else listed.push({ id, state: states[id % 4] as SegmentState });
  }
  const namer = namerOf(listed, { segmentId: 8, segmentTimestamp: 5n }, strays);
  const [one, other] = [namer.take(), namer.take()];
  assert.deepEqual([one.id, other.id], [9, 7]);
  assert.throws(() => namer.take(), isExhausted);
  namer.settle(other);
  assert.equal(namer.take().id, 7, "it was given up");
  assert.throws(() => namer.take(), isExhausted);
});

test("I3: ids go on behind the newest one ever given, from 0 in a new store", () => {
  const fresh = namerOf([], { segmentId: 0, segmentTimestamp: 0n });
  assert.deepEqual([fresh.take().id, fresh.take().id], [0, 1]);
  // All segments are gone; the newest had id 4.
  const emptied = namerOf([], { segmentId: 4, segmentTimestamp: 9n });
  const first = emptied.take();
  emptied.settle(first);
  assert.deepEqual([first.id, emptied.take().id], [5, 6]);
});
