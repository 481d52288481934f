/**
 * A hint is believed only when it is whole and of this very segment; otherwise
 * the store is as it would be without it, and the hint is written anew.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Segment as ListedSegment } from "../../gen/kvix/v1/kvix_pb.js";
import { openStore } from "../../src/engine/open-store.js";
import type { StoreStats } from "../../src/engine/store-stats.js";
import { HintWriter } from "../../src/format/hint-writer.js";
import {
  fileOf,
  flipped,
  hintPathOf,
  hostOf,
  imageOf,
  manifestOf,
  type StoreImage,
  segmentPathOf,
  withFile,
  withoutHints,
} from "../support/store-image.js";
import {
  absent,
  type BuiltStore,
  bitLife,
  buildStore,
  bytesOf,
  openImage,
  put,
  richLife,
  smallStore,
  soundState,
  stateOf,
} from "../support/store-life.js";

/** What of the figures does not depend on how the store was read. */
function lasting({ version, keys, liveBytes, deadBytes, segments, damage, condition }: StoreStats) {
  return { version, keys, liveBytes, deadBytes, segments, damage, condition };
}

/** Opens, and holds state and figures against those without any hint. */
async function judgeDoubt(
  built: BuiltStore,
  image: StoreImage,
  plain: ReturnType<typeof lasting>,
  where: string,
): Promise<void> {
  const { store } = await openImage(image, { segmentBytesMax: 250 }, built.clock);
  const stats = store.stats();
  assert.equal(stats.open.segmentsFromHints, built.sealed.length - 1, where);
  assert.deepEqual(lasting(stats), plain, where);
  const expected = soundState(built);
  assert.deepEqual(await stateOf(store, built.keys), expected, where);
  await store.close();
}

async function plainFigures(built: BuiltStore): Promise<ReturnType<typeof lasting>> {
  const { store } = await openImage(withoutHints(built.image), {}, built.clock);
  const figures = lasting(store.stats());
  await store.close();
  return figures;
}

/** One sealed segment with a short hint: a record, and the tombstone of another. */
const tinyBuilt = (): Promise<BuiltStore> =>
  buildStore(
    async (store) => {
      await put(store, "a", "1");
      await store.delete(bytesOf("a"));
      await put(store, "b", "1".repeat(30));
      await put(store, "c", "1");
    },
    "closed",
    { segmentBytesMax: 140 },
  );

const littleBuilt = (): Promise<BuiltStore> =>
  buildStore(bitLife, "closed", { segmentBytesMax: 250 });

test("R7: a hint cut at any byte, or longer than it was, is as good as none", async () => {
  const built = await tinyBuilt();
  const plain = await plainFigures(built);
  const path = hintPathOf(built.sealed.at(-1) as ListedSegment);
  const hint = fileOf(built.image, path);
  await judgeDoubt(built, withFile(built.image, path), plain, "no hint");
  for (let left = 0; left < hint.length; left += 1) {
    const image = withFile(built.image, path, hint.subarray(0, left));
    await judgeDoubt(built, image, plain, `${left} bytes`);
  }
  for (const more of [1, 4, 64]) {
    const longer = new Uint8Array(hint.length + more);
    longer.set(hint);
    await judgeDoubt(built, withFile(built.image, path, longer), plain, `${more} bytes more`);
  }
});

test("R7: a hint with any bit flipped is as good as none", async () => {
  const built = await tinyBuilt();
  const plain = await plainFigures(built);
  const path = hintPathOf(built.sealed.at(-1) as ListedSegment);
  const hint = fileOf(built.image, path);
  // One of every byte: format/hint-damage has them all decoded.
  for (let bit = 0; bit < hint.length * 8; bit += 7) {
    await judgeDoubt(built, withFile(built.image, path, flipped(hint, bit)), plain, `bit ${bit}`);
  }
});

/** A sound hint of the segment, but for what `change` makes of it. */
function forgedHint(
  built: BuiltStore,
  listed: ListedSegment,
  change: { length?: bigint; checksum?: number; offset?: number },
): Uint8Array {
  const { storeId } = manifestOf(built.image);
  const writer = new HintWriter({ storeId, segmentId: listed.id, timestampNs: listed.timestamp });
  const key = bytesOf("a");
  const pieces = [
    writer.add(key, 0, key.length, change.offset ?? 0, 33, Number(listed.highestVersion), 0, 0),
    ...writer.finish({
      segmentLength: change.length ?? listed.length,
      segmentChecksum: change.checksum ?? listed.checksum,
      lowestVersion: listed.lowestVersion,
      highestVersion: listed.highestVersion,
      newestTimestamp: 1n,
      damagedRanges: [],
      requests: [],
    }),
  ];
  return Buffer.concat(pieces.filter((piece) => piece !== undefined));
}

test("R7: a hint of another segment, another store, an older length or past the end is as good as none", async () => {
  const built = await littleBuilt();
  const plain = await plainFigures(built);
  const listed = built.sealed.at(-1) as ListedSegment;
  const other = built.sealed[0] as ListedSegment;
  const path = hintPathOf(listed);
  const stranger = await buildStore(richLife, "closed");
  const hints: Record<string, Uint8Array> = {
    "another segment's": fileOf(built.image, hintPathOf(other)),
    "another store's": fileOf(stranger.image, hintPathOf(stranger.sealed[0] as ListedSegment)),
    "an older one's, shorter": forgedHint(built, listed, { length: listed.length - 1n }),
    "one of other bytes": forgedHint(built, listed, { checksum: (listed.checksum ^ 1) >>> 0 }),
    "one past the end": forgedHint(built, listed, { offset: Number(listed.length) - 32 }),
  };
  for (const [what, hint] of Object.entries(hints)) {
    await judgeDoubt(built, withFile(built.image, path, hint), plain, what);
  }
  // The forgery is otherwise believed, so the refusals above have the reason they name.
  const believed = withFile(built.image, path, forgedHint(built, listed, {}));
  const { store } = await openImage(believed, {}, built.clock);
  assert.equal(store.stats().open.segmentsFromHints, built.sealed.length);
  await store.close();
});

test("R7: hints that are missing or doubtful are written anew in the background, byte for byte, without a compaction", async () => {
  const built = await littleBuilt();
  for (const [index, listed] of built.sealed.entries()) {
    const path = hintPathOf(listed);
    const bad = index % 2 === 0 ? undefined : flipped(fileOf(built.image, path), 500);
    const { host, store } = await openImage(withFile(built.image, path, bad), {}, built.clock);
    assert.equal(store.stats().hintsMissing, 1);
    await store.hintsWritten();
    assert.equal(store.stats().hintsMissing, 0);
    await store.close();
    assert.deepEqual(imageOf(host.files), built.image);
  }
});

test("R7 I8: any choice of hints gives the same state and the same figures, tombstones included", async () => {
  const built = await buildStore(
    async (store, host) => {
      for (const key of ["a", "b", "c", "d"]) await put(store, key, "1".repeat(40));
      for (const key of ["a", "b"]) await store.delete(bytesOf(key));
      await richLife(store, host);
    },
    "closed",
    { segmentBytesMax: 250 },
  );
  assert.ok(built.sealed.length >= 4);
  const expected = soundState(built);
  assert.equal(expected["b"], absent);
  const plain = await plainFigures(built);
  for (let chosen = 0; chosen < 2 ** built.sealed.length; chosen += 1) {
    let image = built.image;
    for (const [index, listed] of built.sealed.entries()) {
      if ((chosen & (1 << index)) === 0) image = withFile(image, hintPathOf(listed));
    }
    const { store } = await openImage(image, {}, built.clock);
    assert.deepEqual(await stateOf(store, built.keys), expected, `hints ${chosen}`);
    assert.deepEqual(lasting(store.stats()), plain, `hints ${chosen}`);
    await store.close();
  }
});

test("V13 R7: bytes that the disk refuses to read for a while are in no hint: once it reads them again, all is there", async () => {
  const built = await littleBuilt();
  const expected = soundState(built);
  const listed = built.sealed.at(-1) as ListedSegment;
  const image = withFile(built.image, hintPathOf(listed));
  const { host, store } = await openImage(image, {}, built.clock);
  host.files.onOperation = ({ op, path }) =>
    op === "read" && path === segmentPathOf(listed) ? "fail" : undefined;
  await store.hintsWritten();
  host.files.onOperation = undefined;
  await store.close();
  assert.equal(imageOf(host.files).has(hintPathOf(listed)), false);
  const again = await openStore(smallStore, host);
  assert.deepEqual(await stateOf(again, built.keys), expected);
  await again.close();
});

test("R7 I8: tombstones in the sound blocks of a hint that is damaged further on count once", async () => {
  // The keys of a segment fill several blocks.
  const keys = Array.from({ length: 40 }, (_, index) => `${index}`.padEnd(60_000, "k"));
  const options = { segmentBytesMax: 3 * 1024 * 1024, compaction: "manual" } as const;
  const built = await buildStore(
    async (store) => {
      for (const key of keys) await put(store, key, "1");
      await put(store, "large", "x".repeat(1024 * 1024));
      for (const key of keys) await store.delete(bytesOf(key));
      await put(store, "large", "x".repeat(1024 * 1024));
    },
    "closed",
    options,
  );
  assert.equal(built.sealed.length, 2);
  const path = hintPathOf(built.sealed.at(-1) as ListedSegment);
  const hint = fileOf(built.image, path);
  const kept = async (image: StoreImage): Promise<unknown> => {
    const input: { kept?: unknown } = {};
    const store = await openStore(
      { ...smallStore, ...options, watchRetentionMs: 0 },
      hostOf(image),
      {
        chooseVictims: ({ candidates }) => {
          input.kept ??= candidates.map(({ id, keptBytes }) => [id, keptBytes]);
          return { kind: "nothing" };
        },
      },
    );
    await store.hintsWritten();
    for await (const _ of store.compact());
    await store.close();
    return input.kept;
  };
  const plain = await kept(withFile(built.image, path));
  assert.deepEqual(
    await kept(withFile(built.image, path, flipped(hint, 8 * (hint.length - 70_000)))),
    plain,
  );
});
