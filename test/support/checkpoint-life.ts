/**
 * Lives of small stores that end with a checkpoint, and what an opening makes of
 * their files: everything that recovery answers, told so that two openings can
 * be compared.
 */
import { strict as assert } from "node:assert";
import { DamageRegister } from "../../src/engine/damage.js";
import { holdDirectories, openManifest } from "../../src/engine/directories.js";
import { Keydir, NO_ENTRY } from "../../src/engine/keydir/keydir.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import { resolveStoreOptions, type StoreOptionsInput } from "../../src/engine/options.js";
import { recover } from "../../src/engine/recovery.js";
import { RequestMemory } from "../../src/engine/requests/request-memory.js";
import type { StoreStats } from "../../src/engine/store-stats.js";
import { FilePool } from "../../src/storage/file-pool.js";
import { SegmentSet } from "../../src/storage/segment-set.js";
import type { SimClock } from "./sim-clock.js";
import { type SimHost, simHost } from "./sim-host.js";
import type { SimRandom } from "./sim-random.js";
import { hostOf, imageOf, type StoreImage, withFile } from "./store-image.js";
import { bytesOf, deleteOf, setOf, smallStore } from "./store-life.js";

export const checkpointPath = "/store/CHECKPOINT";
export const checkpointTemporaryPath = "/store/CHECKPOINT.tmp";

/** Opens a store that is worth a checkpoint with a single key. */
export function openChecked(
  host: SimHost,
  options: Partial<StoreOptionsInput> = {},
): Promise<LocalStore> {
  return openStore({ ...smallStore, ...options }, host, { checkpointKeysMin: 0 });
}

/** Random writes of every kind over a few keys, at times with deadlines, sweeps and reopenings. */
export async function randomLife(
  host: SimHost,
  random: SimRandom,
  steps: number,
): Promise<LocalStore> {
  let store = await openChecked(host);
  for (let step = 0; step < steps; step++) {
    const key = bytesOf(`key${random.below(12)}`);
    const value = bytesOf(`${step}`.padEnd(1 + random.below(60), "."));
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
        await store.set(key, value, { kind: "never" });
        break;
      case 3:
      case 4:
        await store.set(key, value, { kind: "ttl", ttlMs: 1 + random.below(5_000) });
        break;
      case 5:
      case 6:
        await store.delete(key);
        break;
      case 7:
        await store.commit([
          setOf(`key${random.below(6)}`, "b"),
          deleteOf(`key${6 + random.below(6)}`),
        ]);
        break;
      case 8:
        await host.clock.advance(random.below(2_500));
        break;
      default:
        if (random.chance(0.2)) host.clock.stepWall(random.pick([-20_000, 20_000]));
        if (!random.chance(0.3)) break;
        await store.close();
        store = await openChecked(host);
    }
  }
  return store;
}

/** The files of a store that was closed with a checkpoint. */
export async function closedImage(
  random: SimRandom,
  steps: number,
): Promise<{ readonly image: StoreImage; readonly clock: SimClock }> {
  const host = simHost({ seed: 7 });
  const store = await randomLife(host, random, steps);
  // So that there is something to mark as closed.
  await store.set(bytesOf("last"), bytesOf("1"), { kind: "never" });
  await store.hintsWritten();
  await store.close();
  const image = imageOf(host.files);
  assert.ok(image.has(checkpointPath));
  return { image, clock: host.clock };
}

/** The image as it would be if no checkpoint had been written. */
export function withoutCheckpoint(image: StoreImage): StoreImage {
  return withFile(image, checkpointPath);
}

/** Reads an image as an opening does, and no more. */
export async function recoverImage(
  image: StoreImage,
  clock: SimClock,
  options: Partial<StoreOptionsInput> = {},
  host = hostOf(image, clock),
) {
  const resolved = resolveStoreOptions({ ...smallStore, ...options });
  const { directories, locks } = await holdDirectories(host, resolved);
  const segments = new SegmentSet();
  try {
    const manifest = await openManifest(host, directories, resolved);
    const keydir = new Keydir({ seed: new Uint8Array(16).fill(3) });
    const damage = new DamageRegister();
    const pool = new FilePool(host.files, resolved.openFilesMax);
    const requests = new RequestMemory({
      seed: new Uint8Array(16),
      monotonicMs: () => clock.monotonicMs(),
      retentionMs: resolved.watchRetentionMs,
    });
    const files = { host, directories, manifest, options: resolved, pool };
    const found = await recover({ ...files, keydir, damage, segments, requests });
    return { found, host, segments, damage, requests, open: found.progress.toStats([]) };
  } finally {
    for (const segment of segments) await segment.file?.close();
    for (const lock of locks) await lock.release();
  }
}

/** What recovery makes of an image, without the counts that tell how. */
export async function recoveredFrom(image: StoreImage, clock: SimClock) {
  const { found, segments, damage, open } = await recoverImage(image, clock);
  const { fromCheckpoint } = open;
  const index = rowsOf(found.keydir);
  const facts = Array.from(segments, (segment) => {
    const { name, file: _, tombstoneBytes, highestTombstone, ...rest } = segment;
    return { ...rest, path: name.path };
  });
  const tombstones = Array.from(segments, ({ tombstoneBytes, highestTombstone }) => {
    return { tombstoneBytes, highestTombstone };
  });
  const { nextVersion, lostRange, newestTimestampMs, sealFirst, active } = found;
  return {
    fromCheckpoint,
    tombstones,
    state: {
      index,
      facts,
      nextVersion,
      lostRange,
      newestTimestampMs,
      sealFirst,
      active: active?.name.path,
      withoutHint: found.withoutHint.map(({ name }) => name.path),
      damage: damage.toStats(),
      hasUnsavedDamage: damage.hasUnsaved,
    },
  };
}

/** Every entry of an index, in key order. */
export function rowsOf(keydir: Keydir): string[] {
  const rows: string[] = [];
  const cursor = keydir.first();
  for (let entry = cursor.next(); entry !== NO_ENTRY; entry = cursor.next()) {
    const key = keydir.keyOf(entry);
    assert.equal(keydir.find(key), entry);
    const place = `${keydir.segmentOf(entry)}/${keydir.offsetOf(entry)}/${keydir.lengthOf(entry)}`;
    const { expiring } = keydir;
    rows.push(
      `${Buffer.from(key)} ${place} ${keydir.expiresAtMsOf(entry)} ${keydir.versionOf(entry)} ${expiring}`,
    );
  }
  return rows;
}

/** What of a store's figures does not depend on how it was opened. */
export function lastingFigures(stats: StoreStats) {
  const { version, durableVersion, keys, liveBytes, deadBytes, segments, damage } = stats;
  const { condition, hintsMissing, sweepPausedBecause } = stats;
  return {
    ...{ version, durableVersion, keys, liveBytes, deadBytes, segments, damage },
    ...{ condition, hintsMissing, sweepPausedBecause },
  };
}
