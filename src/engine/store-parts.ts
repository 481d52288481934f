/** The parts that an opening makes, and a store consists of. */
import type { FileLock } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import type { FilePool } from "../storage/file-pool.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { CheckpointSaver } from "./checkpoint.js";
import type { Compactor } from "./compaction/compactor.js";
import type { Steps } from "./compaction/step.js";
import type { DamageRegister } from "./damage.js";
import type { DiskSpace } from "./disk-space.js";
import type { HintKeeper } from "./hint-keeper.js";
import type { Keydir } from "./keydir/keydir.js";
import type { Latch } from "./latch.js";
import type { Log } from "./log.js";
import type { LogReaders } from "./log-readers.js";
import type { ManifestKeeper } from "./manifest-keeper.js";
import type { StoreOptions } from "./options.js";
import type { Pins } from "./pins.js";
import type { Publisher } from "./publisher.js";
import type { RecordReader } from "./record-reader.js";
import type { RequestMemory } from "./requests/request-memory.js";
import type { OpenStats } from "./store-stats.js";
import type { Sweep } from "./sweep.js";
import type { Upkeep } from "./upkeep.js";
import type { Uploads } from "./uploads.js";
import type { Versions } from "./versions.js";
import type { WriteQueue } from "./write-queue.js";

/** The parts of an open store. */
export interface StoreParts {
  readonly host: Host;
  readonly options: StoreOptions;
  readonly locks: readonly FileLock[];
  readonly keydir: Keydir;
  readonly segments: SegmentSet;
  readonly pool: FilePool;
  readonly reader: RecordReader;
  readonly requests: RequestMemory;
  readonly pins: Pins;
  readonly logReaders: LogReaders;
  readonly damage: DamageRegister;
  readonly latch: Latch;
  readonly versions: Versions;
  readonly publisher: Publisher;
  readonly log: Log;
  readonly keeper: ManifestKeeper;
  readonly queue: WriteQueue;
  readonly uploads: Uploads;
  readonly space: DiskSpace;
  readonly hints: HintKeeper;
  readonly upkeep: Upkeep;
  readonly compactor: Compactor;
  readonly steps: Steps;
  readonly openStats: OpenStats;
  /** The newest timestamp of a frame, as far as it is known. */
  readonly newestTimestampMs: () => number;
  readonly saveCheckpoint: CheckpointSaver;
  /** Made with the function that submits the sweep's writes. */
  readonly sweepWith: (expire: (key: Uint8Array, version: number) => Promise<boolean>) => Sweep;
}
