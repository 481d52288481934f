/**
 * Opening a store: hold the directories, read the manifest, recover the index,
 * and put the engine together. If any of it fails, everything is let go again
 * and the opening can be tried anew.
 */
import type { Host } from "../host/host.js";
import { FileName, type StoreDirectories, segmentPath } from "../storage/layout.js";
import type { ManifestFile } from "../storage/manifest-file.js";
import { SegmentSet } from "../storage/segment-set.js";
import { AcceptedState } from "./accepted-state.js";
import { Answerer } from "./answerer.js";
import {
  CHECKPOINT_KEYS_MIN,
  type CheckpointSaver,
  dropCheckpoints,
  saveCheckpoint,
} from "./checkpoint.js";
import { Compactor } from "./compaction/compactor.js";
import { DamageRegister } from "./damage.js";
import {
  findStrayFiles,
  holdDirectories,
  openFailed,
  openManifest,
  type StrayFiles,
} from "./directories.js";
import { DiskSpace } from "./disk-space.js";
import { Evaluator } from "./evaluator.js";
import { GroupWriter } from "./group-writer.js";
import { HintKeeper } from "./hint-keeper.js";
import { Keydir } from "./keydir/keydir.js";
import { Latch } from "./latch.js";
import { LocalStore, type StoreParts } from "./local-store.js";
import { Log } from "./log.js";
import { resolveStoreOptions, type StoreOptions, type StoreOptionsInput } from "./options.js";
import { Publisher } from "./publisher.js";
import { RecordCache } from "./record-cache.js";
import { RecordReader } from "./record-reader.js";
import { type Recovered, recover } from "./recovery.js";
import { Staging } from "./staging.js";
import { Sweep } from "./sweep.js";
import { Upkeep } from "./upkeep.js";
import { ValueSource } from "./value-source.js";
import { Versions } from "./versions.js";
import { WriteQueue } from "./write-queue.js";

/** How many bytes of secret the index is seeded with, so that nobody can aim for collisions. */
const SEED_BYTES = 16;
/** The cache of records takes at most this part of the memory: there is an index to hold, too. */
const CACHE_MEMORY_SHARE = 16;

/**
 * Opens the store in `dataDir`, or makes one. Throws OPTION_INVALID,
 * STORE_LOCKED, LOCK_UNAVAILABLE, FORMAT_TOO_NEW, STORE_MISMATCH,
 * MANIFEST_DAMAGED, STORE_DAMAGED, INDEX_LIMIT_TOO_SMALL, OPEN_FAILED.
 *
 * `checkpointKeysMin`: how many keys a store has at least that is worth a
 * checkpoint; for tests, which have few.
 */
export async function openStore(
  input: StoreOptionsInput,
  host: Host,
  checkpointKeysMin = CHECKPOINT_KEYS_MIN,
): Promise<LocalStore> {
  const options = resolveStoreOptions(input);
  const { directories, locks } = await holdDirectories(host, options);
  const segments = new SegmentSet();
  try {
    const manifest = await openManifest(host, directories, options);
    const empty = new Keydir({ seed: host.entropy.bytes(SEED_BYTES) });
    const damage = new DamageRegister();
    const context = { host, directories, manifest, keydir: empty, damage, options, segments };
    const found = await recover(context);
    const { keydir } = found;
    const stray = await findStrayFiles(host, directories, manifest.current);
    if (stray.names.length > 0) {
      host.log.warn({ files: stray.names }, "files that are not the store's are left alone");
    }
    const world = { host, options, directories, manifest, keydir, damage, segments, found };
    const parts = assemble(world, stray);
    const openStats = found.progress.toStats(stray.names);
    const closing = { host, directories, storeId: manifest.current.storeId, segments };
    const save: CheckpointSaver = async () =>
      keydir.count < checkpointKeysMin ? undefined : await saveCheckpoint(closing, keydir);
    return new LocalStore({ ...parts, locks, openStats, saveCheckpoint: save });
  } catch (error) {
    for (const segment of segments) await segment.file?.close();
    for (const lock of locks) await lock.release();
    throw openFailed(error);
  }
}

/** What opening has gathered. */
interface OpenedWorld {
  readonly host: Host;
  readonly options: StoreOptions;
  readonly directories: StoreDirectories;
  readonly manifest: ManifestFile;
  readonly keydir: Keydir;
  readonly damage: DamageRegister;
  readonly segments: SegmentSet;
  readonly found: Recovered;
}

function assemble(
  world: OpenedWorld,
  { ids: takenIds, checkpoints }: StrayFiles,
): Omit<StoreParts, "locks" | "openStats" | "saveCheckpoint"> {
  const { host, options, directories, manifest, keydir, damage, segments, found } = world;
  const { clock, log: hostLog } = host;
  const latch = new Latch(hostLog);
  const versions = new Versions(found.nextVersion, Number(manifest.current.versionMark));
  const publisher = new Publisher(keydir, segments, versions.last);
  const cacheBytes = Math.min(options.cacheBytesMax, host.memoryBytes / CACHE_MEMORY_SHARE);
  const reader = new RecordReader(clock, damage, new RecordCache(cacheBytes));
  const { storeId } = manifest.current;
  const hints = new HintKeeper({ host, directories, storeId, keydir, damage, latch });
  const space = diskSpace(world);
  const log = new Log(
    {
      host,
      directories,
      manifest,
      segments,
      versions,
      latch,
      space,
      damage,
      segmentPrefix: options.segmentPrefix,
      segmentBytesMax: options.segmentBytesMax,
      isIdTaken: (id) => takenIds.has(id),
      onBegun: () => dropCheckpoints({ host, directories }, checkpoints),
      onSealed: (segment) => hints.add(segment),
    },
    found,
  );
  const staging = new Staging(options.segmentBytesMax);
  const state = new AcceptedState(keydir);
  const { indexBytesMax, inFlightBytesMax, flushIntervalMs, trustClock } = options;
  const values = new ValueSource(state, segments, reader, () => clock.wallMs());
  const evaluator = new Evaluator({
    keydir,
    state,
    staging,
    versions,
    space,
    values,
    indexBytesMax,
    wallMs: () => clock.wallMs(),
    stagedBytes: () => queue.inFlightBytes,
  });
  const answerer = new Answerer(segments, reader);
  const queue = new WriteQueue({
    clock,
    hostLog,
    log,
    latch,
    staging,
    state,
    evaluator,
    values,
    versions,
    groups: new GroupWriter(log, staging, versions),
    publisher,
    answerer,
    inFlightBytesMax,
    flushIntervalMs,
    onIdle: () => upkeep.kick(),
  });
  const compactor = new Compactor({
    clock,
    log: hostLog,
    run: {
      run: async () => ({ outcome: "nothing-to-do", why: "" }),
      isDue: () => false,
      segmentsRemoved: 0,
      pinnedBytes: 0,
      historyFloor: Number(manifest.current.historyFloor),
    },
    mode: options.compaction,
    intervalMs: options.compactionIntervalMs,
    window: options.compactionWindow,
  });
  const upkeep = new Upkeep(clock, keydir, () => queue.isBusy);
  upkeep.kick();
  for (const segment of found.withoutHint) hints.add(segment);
  damage.onNews = () => log.saveDamageSoon();
  const { newestTimestampMs } = found;
  const isIdle = (): boolean => queue.waitingCalls === 0 && !latch.isClosed;
  const sweepContext = { clock, log: hostLog, keydir, trustClock, newestTimestampMs, isIdle };
  return {
    host,
    options,
    keydir,
    segments,
    reader,
    damage,
    latch,
    versions,
    publisher,
    log,
    queue,
    space,
    hints,
    upkeep,
    compactor,
    newestTimestampMs: () => Math.max(newestTimestampMs, evaluator.newestTimestampMs),
    sweepWith: (expire) => new Sweep({ ...sweepContext, expire }),
  };
}

function diskSpace({ host, options, directories, manifest, segments }: OpenedWorld): DiskSpace {
  return new DiskSpace({
    files: host.files,
    clock: host.clock,
    log: host.log,
    directory: directories.segments,
    reservePath: segmentPath(directories, FileName.reserve),
    reserveBytes: options.diskReserveBytes,
    cheapestVictimBytes: () => cheapestVictimBytes(segments),
    manifestBytes: () => manifest.bytes,
  });
}

/** Live bytes of the sealed segment that a compaction would copy least of. */
function cheapestVictimBytes(segments: SegmentSet): number {
  let cheapest = Number.POSITIVE_INFINITY;
  for (const segment of segments) {
    if (segment.isSealed && segment.liveBytes < cheapest) cheapest = segment.liveBytes;
  }
  return Number.isFinite(cheapest) ? cheapest : 0;
}
