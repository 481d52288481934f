/**
 * What a repair takes over from the manifest before, and what it says of each segment:
 * a fact that is dropped here is given up for good, and nobody is told.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  DamagedRangeSchema,
  type Segment as ListedSegment,
  type Manifest,
  SegmentSchema,
  SegmentState,
  VersionRangeSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { openStore } from "../../src/engine/open-store.js";
import { repairStore } from "../../src/engine/repair.js";
import { VERSION_BLOCK } from "../../src/engine/versions.js";
import {
  fileOf,
  hintPathOf,
  hostOf,
  imageOf,
  manifestOf,
  manifestPath,
  type StoreImage,
  segmentPathOf,
  withFile,
  withManifest,
} from "../support/store-image.js";
import {
  absent,
  buildStore,
  bytesOf,
  put,
  smallStore,
  soundState,
  stateOf,
} from "../support/store-life.js";
import { check, kindsOf } from "../support/verify-image.js";

const previousPath = "/store/MANIFEST.prev";
const keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
const noise = new Uint8Array(8).fill(0xa5);

const built = await buildStore(async (store) => {
  for (const key of keys) await put(store, key, key.repeat(60));
  await store.delete(bytesOf("a"));
  // Some share a sync, so that not every frame has BARRIER.
  await Promise.all(keys.slice(1).map((key) => put(store, key, `2${key.repeat(60)}`)));
}, "killed");
const [first, second] = built.sealed as [ListedSegment, ListedSegment];
const highest = Math.max(...[...built.frames.values()].flat(2).flatMap(versionsIn));

function versionsIn({ records }: { records: readonly { version: number }[] }): number[] {
  return records.map(({ version }) => version);
}

/** The image with a damaged manifest, and the one before as `edit` makes it. */
function damaged(image: StoreImage, edit: (manifest: Manifest) => void): StoreImage {
  const before = fileOf(withManifest(image, edit), manifestPath);
  return withFile(withFile(image, previousPath, before), manifestPath, noise);
}

const inState = (listed: ListedSegment, state: SegmentState) => (manifest: Manifest) => {
  manifest.segments = manifest.segments.map((each) =>
    each.timestamp === listed.timestamp ? create(SegmentSchema, { ...each, state }) : each,
  );
};

async function repaired(image: StoreImage) {
  const host = hostOf(image);
  const report = await repairStore(smallStore, host);
  assert.ok(report.isRepaired);
  const after = imageOf(host.files);
  return { host, report, image: after, manifest: manifestOf(after) };
}

const stateIn = ({ segments }: Manifest, { timestamp }: ListedSegment): SegmentState | undefined =>
  segments.find((each) => each.timestamp === timestamp)?.state;

/** A manifest with something of everything. */
function richly(manifest: Manifest): void {
  const { id: segmentId, timestamp: segmentTimestamp } = first;
  manifest.versionMark = 2n ** 30n;
  manifest.lostRanges = [create(VersionRangeSchema, { first: 2n ** 29n, last: 2n ** 30n - 1n })];
  const versions = create(VersionRangeSchema, { first: 1n, last: 1n });
  manifest.damagedRanges = [
    create(DamagedRangeSchema, { segmentId, segmentTimestamp, offset: 0n, length: 9n, versions }),
  ];
}

test("V15 V13: a repair keeps the mark of versions, lost and damaged ranges, and counts on from the manifest before", async () => {
  const { host, manifest } = await repaired(damaged(built.image, richly));
  const { lostRanges, damagedRanges } = manifest;
  assert.equal(manifest.versionMark, 2n ** 30n + 4n * BigInt(VERSION_BLOCK));
  assert.deepEqual(
    lostRanges.map(({ first, last }) => [first, last]),
    [[2n ** 29n, 2n ** 30n - 1n]],
  );
  assert.deepEqual(
    damagedRanges.map(({ length }) => length),
    [9n],
  );
  assert.equal(manifest.historyFloor, BigInt(highest));
  assert.equal(manifest.generation, manifestOf(built.image).generation + 1n);
  const store = await openStore(smallStore, host);
  assert.ok((await put(store, "new", "1")) >= 2 ** 30 + 4 * VERSION_BLOCK);
  assert.equal(store.stats().damage.length, 1);
  await store.close();
});

test("V15: without any manifest a repair skips the versions that may have been reserved", async () => {
  const image = withFile(withFile(built.image, manifestPath), previousPath);
  const { manifest } = await repaired(image);
  assert.equal(manifest.versionMark, BigInt(highest + 1 + 4 * VERSION_BLOCK));
});

test("V15 V9: of an outdated manifest and the one before, a repair goes by the newer one", async () => {
  for (const [older, newer] of [
    [previousPath, manifestPath],
    [manifestPath, previousPath],
  ] as const) {
    // Neither knows the newest segment.
    const unaware = (generation: bigint) => (manifest: Manifest) => {
      manifest.generation = generation;
      manifest.segments = manifest.segments.filter(
        ({ timestamp }) => timestamp !== built.active.timestamp,
      );
      manifest.segmentTimestamp = built.active.timestamp - 1n;
      if (generation === 9n) richly(manifest);
    };
    const manifestOfGeneration = (generation: bigint): Uint8Array =>
      fileOf(withManifest(built.image, unaware(generation)), manifestPath);
    const image = withFile(built.image, older, manifestOfGeneration(8n));
    const { manifest } = await repaired(withFile(image, newer, manifestOfGeneration(9n)));
    assert.equal(manifest.generation, 10n, newer);
    assert.equal(manifest.lostRanges.length, 1, newer);
    assert.ok(manifest.versionMark > 2n ** 30n, newer);
  }
});

test("M1 V6 V16: what the manifest before calls removed is not taken in again, and goes", async () => {
  const holder = built.sealed.find((listed) =>
    built.frames.get(listed)?.some(({ records }) => records.some((each) => each.isTombstone)),
  ) as ListedSegment;
  assert.ok(holder.timestamp > first.timestamp);
  // The file with the delete is gone already; that with the value is not.
  const gone = withFile(withFile(built.image, segmentPathOf(holder)), hintPathOf(holder));
  const { host, manifest } = await repaired(
    damaged(gone, (draft) => {
      for (const listed of [first, holder]) inState(listed, SegmentState.REMOVED)(draft);
    }),
  );
  assert.equal(stateIn(manifest, first), SegmentState.REMOVED);
  const store = await openStore(smallStore, host);
  assert.deepEqual(await stateOf(store, ["a"]), { a: absent });
  await put(store, "new", "1");
  await store.close();
  assert.ok(!imageOf(host.files).has(segmentPathOf(first)));
});

test("M5 R2: a pending output is taken in as an output, and half of one is left out", async () => {
  const pending = inState(second, SegmentState.PENDING);
  const whole = await repaired(damaged(built.image, pending));
  assert.equal(stateIn(whole.manifest, second), SegmentState.COMPACTED);
  const path = segmentPathOf(second);
  const half = withFile(built.image, path, fileOf(built.image, path).slice(0, -10));
  const { report, manifest, image } = await repaired(damaged(half, pending));
  assert.deepEqual(report.leftOut, [path.slice(path.lastIndexOf("/") + 1)]);
  assert.equal(stateIn(manifest, second), undefined);
  assert.ok(image.has(path), "nothing is removed");
});

test("R2 V13: what the manifest before calls an output or sealed stays so, whatever its frames say", async () => {
  const output = await repaired(damaged(built.image, inState(second, SegmentState.COMPACTED)));
  assert.equal(stateIn(output.manifest, second), SegmentState.COMPACTED);
  const mixed = built.sealed.find((listed) => {
    const frames = built.frames.get(listed) ?? [];
    return new Set(frames.map(({ isBarrier }) => isBarrier)).size === 2;
  }) as ListedSegment;
  // No frame with BARRIER is left in it.
  const path = segmentPathOf(mixed);
  const bytes = fileOf(built.image, path).slice();
  for (const { offset, isBarrier } of built.frames.get(mixed) ?? []) {
    if (isBarrier) bytes.fill(0xa5, offset, offset + 20);
  }
  const sealed = await repaired(damaged(withFile(built.image, path, bytes), () => undefined));
  assert.equal(stateIn(sealed.manifest, mixed), SegmentState.SEALED);
});

test("R2 V13: the damaged end of a sealed segment is not cut by a repair, though no active one is left", async () => {
  const last = built.sealed.at(-1) as ListedSegment;
  const path = segmentPathOf(last);
  const bytes = fileOf(built.image, path).slice();
  bytes.fill(0xa5, bytes.length - 40);
  const image = withFile(withFile(built.image, path, bytes), segmentPathOf(built.active));
  const { host, manifest } = await repaired(damaged(image, () => undefined));
  assert.equal(stateIn(manifest, last), SegmentState.SEALED);
  const store = await openStore(smallStore, host);
  assert.equal(store.stats().damage.length, 1);
  assert.equal(store.stats().open.tornBytesCut, 0);
  await store.close();
});

test("R7: the hints are good after a repair, and a check finds nothing", async () => {
  const { host, image } = await repaired(damaged(built.image, () => undefined));
  assert.deepEqual(kindsOf(await check(image)), []);
  const store = await openStore(smallStore, host);
  assert.equal(store.stats().open.segmentsFromHints, built.sealed.length);
  await store.close();
});

test("V9: a store can be repaired a second time", async () => {
  const { image } = await repaired(damaged(built.image, () => undefined));
  const again = await repaired(withFile(image, manifestPath, noise));
  assert.deepEqual(again.image.get("/store/MANIFEST.damaged"), noise);
  const store = await openStore(smallStore, again.host);
  assert.deepEqual(await stateOf(store, built.keys), soundState(built));
  await store.close();
});
