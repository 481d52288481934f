/**
 * Opening a store: hold the directories, read the manifest, recover the index,
 * and put the engine together. If any of it fails, everything is let go again
 * and the opening can be tried anew.
 */
import type { Host } from "../host/host.js";
import { FilePool } from "../storage/file-pool.js";
import { FileName, type StoreDirectories, segmentPath } from "../storage/layout.js";
import type { ManifestFile } from "../storage/manifest-file.js";
import type { Segment } from "../storage/segment.js";
import { SegmentSet } from "../storage/segment-set.js";
import { AcceptedState } from "./accepted-state.js";
import { Answerer } from "./answerer.js";
import {
  CHECKPOINT_KEYS_MIN,
  type CheckpointSaver,
  dropCheckpoints,
  saveCheckpoint,
} from "./checkpoint.js";
import { HINT_SHARE } from "./compaction/run.js";
import { type CompactionSeams, setUpCompaction } from "./compaction/setup.js";
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
import { Keydir, NO_ENTRY } from "./keydir/keydir.js";
import { Latch } from "./latch.js";
import { letGo } from "./let-go.js";
import { LocalStore } from "./local-store.js";
import { Log } from "./log.js";
import { LogReaders } from "./log-readers.js";
import { ManifestKeeper } from "./manifest-keeper.js";
import { resolveStoreOptions, type StoreOptions, type StoreOptionsInput } from "./options.js";
import { Pins } from "./pins.js";
import { Publisher } from "./publisher.js";
import { RecordCache } from "./record-cache.js";
import { RecordReader } from "./record-reader.js";
import { type Recovered, recover } from "./recovery.js";
import { RepeatReader } from "./requests/repeat-reader.js";
import { RequestMemory, SEGMENT_REQUESTS_MAX } from "./requests/request-memory.js";
import { dateSegments, RETENTION_BYTES_MAX, retainedSegments } from "./retention.js";
import { SegmentNamer } from "./segment-namer.js";
import { Staging } from "./staging.js";
import type { StoreParts } from "./store-parts.js";
import { Sweep } from "./sweep.js";
import { UnmetReader } from "./unmet-reader.js";
import { newestUnread } from "./unread.js";
import { Upkeep } from "./upkeep.js";
import { removeStagingFiles, Uploads } from "./uploads.js";
import { ValueSource } from "./value-source.js";
import { Versions } from "./versions.js";
import { WriteQueue } from "./write-queue.js";

/** How many bytes of secret the index is seeded with, so that nobody can aim for collisions. */
const SEED_BYTES = 16;
/** The cache of records takes at most this part of the memory: there is an index to hold, too. */
const CACHE_MEMORY_SHARE = 16;

/** Where tests put something of their own. */
export interface StoreSeams extends CompactionSeams {
  /** How many keys are worth a checkpoint. */
  readonly checkpointKeysMin?: number | undefined;
  /** How many requests are remembered at most. */
  readonly requestsMax?: number | undefined;
  /** How many requests a segment has at most, but for those of one group. */
  readonly segmentRequestsMax?: number | undefined;
}

/**
 * Opens the store in `dataDir`, or makes one. Throws OPTION_INVALID,
 * STORE_LOCKED, LOCK_UNAVAILABLE, FORMAT_TOO_NEW, STORE_MISMATCH,
 * MANIFEST_DAMAGED, STORE_DAMAGED, INDEX_LIMIT_TOO_SMALL, OPEN_FAILED.
 */
export async function openStore(
  input: StoreOptionsInput,
  host: Host,
  seams: StoreSeams = {},
): Promise<LocalStore> {
  const options = resolveStoreOptions(input);
  const { directories, locks } = await holdDirectories(host, options);
  const segments = new SegmentSet();
  try {
    const manifest = await openManifest(host, directories, options);
    const empty = new Keydir({ seed: host.entropy.bytes(SEED_BYTES) });
    const damage = new DamageRegister();
    const pool = new FilePool(host.files, options.openFilesMax);
    const requests = new RequestMemory({
      seed: host.entropy.bytes(SEED_BYTES),
      monotonicMs: () => host.clock.monotonicMs(),
      retentionMs: options.watchRetentionMs,
      countMax: seams.requestsMax,
    });
    const inputs = { host, directories, manifest, damage, options, pool, segments, requests };
    const context = { ...inputs, keydir: empty };
    const found = await recover(context);
    const { keydir } = found;
    const stray = await findStrayFiles(host, directories, manifest.current);
    if (stray.names.length > 0) {
      host.log.warn({ files: stray.names }, "files that are not the store's are left alone");
    }
    await removeStagingFiles(host, directories, stray.staged);
    // A checkpoint is made of all.
    const { fromCheckpoint } = found.progress;
    const unreadVersion = fromCheckpoint
      ? 0
      : await newestUnread(segments, damage, manifest.current);
    const world = { ...context, keydir, found, unreadVersion };
    const parts = assemble(world, stray, seams);
    const openStats = found.progress.toStats(stray.names);
    const closing = { ...inputs, storeId: manifest.current.storeId };
    const { checkpointKeysMin = CHECKPOINT_KEYS_MIN } = seams;
    // What was damaged when segments were read is not in the index; another time the disk may
    // read it. A checkpoint has it all, whatever becomes of the segments.
    const isIndexWhole = fromCheckpoint || damage.count === 0;
    const save: CheckpointSaver = async () =>
      // An index that names what a compaction has removed is good for this session only, too.
      keydir.count < checkpointKeysMin || parts.steps.isIndexBehind || !isIndexWhole
        ? undefined
        : await saveCheckpoint(closing, keydir, parts.space.watermarkBytes);
    return new LocalStore({ ...parts, locks, openStats, saveCheckpoint: save });
  } catch (error) {
    await letGo(host.log, [
      ...Array.from(segments, (segment) => () => segment.file?.close()),
      ...locks.map((lock) => () => lock.release()),
    ]);
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
  readonly pool: FilePool;
  readonly segments: SegmentSet;
  readonly requests: RequestMemory;
  readonly found: Recovered;
  /** See unread.ts. */
  readonly unreadVersion: number;
}

function assemble(
  world: OpenedWorld,
  { ids: strayIds, checkpoints }: StrayFiles,
  seams: StoreSeams,
): Omit<StoreParts, "locks" | "openStats" | "saveCheckpoint"> {
  const { host, options, directories, manifest, keydir, damage, pool, segments } = world;
  const { requests, found, unreadVersion } = world;
  const { clock, log: hostLog } = host;
  const latch = new Latch(hostLog);
  const pins = new Pins();
  const versions = new Versions(found.nextVersion, Number(manifest.current.versionMark));
  const publisher = new Publisher(keydir, segments, versions.last);
  const cacheBytes = Math.min(options.cacheBytesMax, host.memoryBytes / CACHE_MEMORY_SHARE);
  const reader = new RecordReader(clock, damage, new RecordCache(cacheBytes), pins);
  const { storeId } = manifest.current;
  const hints = new HintKeeper({ host, directories, storeId, keydir, damage, latch, pins });
  const space = diskSpace(world);
  const { segmentPrefix } = options;
  const names = { clock, directories, manifest, segments, segmentPrefix, strayIds };
  const namer = new SegmentNamer(names);
  const keeper = new ManifestKeeper({ host, manifest, latch, damage, space });
  const log = new Log(
    {
      host,
      directories,
      keeper,
      segments,
      pool,
      versions,
      latch,
      space,
      damage,
      namer,
      segmentBytesMax: options.segmentBytesMax,
      segmentRequestsMax: seams.segmentRequestsMax ?? SEGMENT_REQUESTS_MAX,
      onBegun: async () => {
        await dropCheckpoints({ host, directories }, checkpoints);
        void remover.clearLeftovers();
      },
      onSealed: (segment) => {
        hints.add(segment);
        requests.sealed();
      },
    },
    found,
  );
  const staging = new Staging(options.segmentBytesMax);
  const state = new AcceptedState(keydir, requests);
  const { indexBytesMax, inFlightBytesMax, flushIntervalMs, trustClock } = options;
  const values = new ValueSource({ state, segments, reader, pins, clock });
  const evaluator = new Evaluator({
    keydir,
    state,
    staging,
    versions,
    space,
    values,
    indexBytesMax,
    wallMs: () => clock.wallMs(),
    hasUnread: unreadVersion > 0,
    stagedBytes: () => queue.inFlightBytes + staging.elsewhereBytes,
  });
  const answerer = new Answerer({
    segments,
    reader,
    repeats: new RepeatReader(damage),
    unmet: new UnmetReader(segments, reader, clock),
  });
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
    pins,
    publisher,
    answerer,
    inFlightBytesMax,
    flushIntervalMs,
    onIdle: () => upkeep.kick(),
  });
  const recordBytes = (key: Uint8Array): number => {
    const entry = keydir.find(key);
    return entry === NO_ENTRY ? 0 : keydir.lengthOf(entry);
  };
  const uploadSeams = { host, directories, storeId, queue, log, versions, latch, space };
  const uploads = new Uploads({ ...uploadSeams, recordBytes });
  const logReaders = new LogReaders({
    segments,
    pins,
    clock,
    damage,
    publishedVersion: () => publisher.version,
    durableVersion: () => queue.durableVersion,
    givenVersion: () => versions.last,
    floor: () => Number(manifest.current.historyFloor),
    lostRanges: () => lostRangesOf(manifest, found.lostRange),
  });
  dateSegments(segments, clock);
  const retained = (): ReadonlySet<Segment> =>
    retainedSegments({
      segments,
      clock,
      retentionMs: options.watchRetentionMs,
      bytesMax: RETENTION_BYTES_MAX,
      diskIsShort: space.isShort,
    });
  requests.retained = retained;
  const { compactor, steps, remover } = setUpCompaction({
    ...world,
    ...{
      hints,
      publisher,
      versions,
      latch,
      log,
      keeper,
      queue,
      space,
      namer,
      logReaders,
      retained,
    },
    readers: pins,
    seams,
  });
  const upkeep = new Upkeep(clock, keydir, () => queue.isBusy);
  upkeep.kick();
  for (const segment of found.withoutHint) hints.add(segment);
  damage.onNews = () => keeper.saveDamageSoon();
  space.onFull = () => compactor.nudge();
  const { newestTimestampMs } = found;
  const isIdle = (): boolean => queue.waitingCalls === 0 && !latch.isClosed;
  const sweepContext = { clock, log: hostLog, keydir, trustClock, newestTimestampMs, isIdle };
  return {
    host,
    options,
    keydir,
    segments,
    pool,
    reader,
    requests,
    pins,
    logReaders,
    damage,
    latch,
    versions,
    publisher,
    log,
    keeper,
    queue,
    uploads,
    space,
    hints,
    upkeep,
    compactor,
    steps,
    newestTimestampMs: () => Math.max(newestTimestampMs, evaluator.newestTimestampMs),
    sweepWith: (expire) => new Sweep({ ...sweepContext, unreadVersion, expire }),
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

/** Those that the manifest has, and the newest, which it gets with the first append. */
function lostRangesOf(
  manifest: ManifestFile,
  newest: Recovered["lostRange"],
): { first: number; last: number }[] {
  const ranges = manifest.current.lostRanges.map(({ first, last }) => {
    return { first: Number(first), last: Number(last) };
  });
  return newest === undefined ? ranges : [...ranges, newest];
}

/** What a compaction of the cheapest sealed segment takes of the disk: what it may have to copy, with a hint. */
function cheapestVictimBytes(segments: SegmentSet): number {
  let cheapest = Number.POSITIVE_INFINITY;
  for (const { isSealed, liveBytes, tombstoneBytes } of segments) {
    if (isSealed) cheapest = Math.min(cheapest, liveBytes + tombstoneBytes);
  }
  return Number.isFinite(cheapest) ? Math.ceil(cheapest * (1 + HINT_SHARE)) : 0;
}
