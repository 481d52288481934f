/** The parts of compaction, put together. */
import type { Host } from "../../host/host.js";
import type { FilePool } from "../../storage/file-pool.js";
import type { StoreDirectories } from "../../storage/layout.js";
import type { ManifestFile } from "../../storage/manifest-file.js";
import type { Segment } from "../../storage/segment.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import type { DamageRegister } from "../damage.js";
import type { DiskSpace } from "../disk-space.js";
import type { HintKeeper } from "../hint-keeper.js";
import type { Keydir } from "../keydir/keydir.js";
import type { Latch } from "../latch.js";
import type { Log } from "../log.js";
import type { LogReaders } from "../log-readers.js";
import type { ManifestKeeper } from "../manifest-keeper.js";
import type { StoreOptions } from "../options.js";
import type { Publisher } from "../publisher.js";
import type { SegmentNamer } from "../segment-namer.js";
import type { Versions } from "../versions.js";
import type { WriteQueue } from "../write-queue.js";
import { Candidates } from "./candidates.js";
import { Compactor } from "./compactor.js";
import { type Pace, Pacer } from "./pacer.js";
import { type Choice, chooseVictims, type PolicyInput } from "./policy.js";
import { type Readers, Remover } from "./remover.js";
import { SegmentCompaction } from "./run.js";
import { Steps } from "./step.js";

/** What compaction works with: parts of the engine. */
export interface CompactionParts {
  readonly host: Host;
  readonly options: StoreOptions;
  readonly directories: StoreDirectories;
  readonly manifest: ManifestFile;
  readonly segments: SegmentSet;
  readonly pool: FilePool;
  readonly keydir: Keydir;
  readonly damage: DamageRegister;
  readonly hints: HintKeeper;
  readonly publisher: Publisher;
  readonly versions: Versions;
  readonly latch: Latch;
  readonly log: Log;
  readonly keeper: ManifestKeeper;
  readonly queue: WriteQueue;
  readonly space: DiskSpace;
  readonly namer: SegmentNamer;
  readonly readers: Readers;
  readonly logReaders: LogReaders;
  /** Segments that are no victims, for the sake of their history. */
  readonly retained: () => ReadonlySet<Segment>;
  readonly seams: CompactionSeams;
}

/** Where tests put something of their own. */
export interface CompactionSeams {
  /** Instead of the policy. */
  readonly chooseVictims?: ((input: PolicyInput) => Choice) | undefined;
  /** Instead of the pacer, whose time is the clock's. */
  readonly pacer?: Pace | undefined;
}

/** What an open store has of it. */
export interface Compaction {
  readonly compactor: Compactor;
  readonly steps: Steps;
  readonly remover: Remover;
}

/** Puts it together; nothing runs before the compactor is started. */
export function setUpCompaction(parts: CompactionParts): Compaction {
  const { host, options, manifest } = parts;
  const { clock, log } = host;
  const remover = new Remover(parts);
  const candidates = new Candidates(parts);
  const isForegroundWaiting = (): boolean => parts.queue.waitingCalls > 0;
  const rate = options.compactionBytesPerSecondMax;
  const pacer = parts.seams.pacer ?? new Pacer(clock, rate, isForegroundWaiting);
  const { storeId } = manifest.current;
  const steps = new Steps({ ...parts, storeId, candidates, remover, pacer });
  const run = new SegmentCompaction({
    ...parts,
    candidates,
    steps,
    remover,
    pacer,
    segmentBytesMax: options.segmentBytesMax,
    deadPercent: options.compactionDeadPercent,
    choose: parts.seams.chooseVictims ?? chooseVictims,
    historyFloor: () => Number(manifest.current.historyFloor),
  });
  const compactor = new Compactor({
    clock,
    log,
    run,
    mode: options.compaction,
    intervalMs: options.compactionIntervalMs,
    window: options.compactionWindow,
  });
  return { compactor, steps, remover };
}
