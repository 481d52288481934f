/**
 * The end of segments: files that the manifest calls removed or pending go, and
 * then their names leave the manifest.
 *
 *     REMOVED (committed) -> index points elsewhere -> last reader has left
 *       -> file closed -> file and hint removed -> directory synced
 *       -> name dropped from the manifest: the id may be given again
 *
 * Every step can be interrupted: what is still listed is removed after the next
 * opening, once that session has begun.
 */
import { setMaxListeners } from "node:events";
import { SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import { errorCode } from "../../host/file-system.js";
import type { Host } from "../../host/host.js";
import { removeIfThere } from "../../storage/file-tools.js";
import { type StoreDirectories, TEMPORARY_SUFFIX } from "../../storage/layout.js";
import type { ManifestFile } from "../../storage/manifest-file.js";
import { type Segment, SegmentName } from "../../storage/segment.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import type { DiskSpace } from "../disk-space.js";
import type { Latch } from "../latch.js";
import { dropFromManifest } from "../manifest-edits.js";
import type { ManifestKeeper } from "../manifest-keeper.js";

/** How long a run waits for the victims of a step before it takes the next. */
const PATIENCE_MS = 1000;

/** How long a large file is left alone between two pieces of it that go: others sync meanwhile. */
const REMOVAL_PAUSE_MS = 2;

/** What knows of readers that are still in a segment. */
export interface Readers {
  /** True when nobody reads the segment any more who began before; false as soon as `signal` aborts. */
  released(segment: Segment, signal: AbortSignal): Promise<boolean>;
}

/** What the remover works with. */
export interface RemoverContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  readonly manifest: ManifestFile;
  readonly segments: SegmentSet;
  readonly keeper: ManifestKeeper;
  readonly latch: Latch;
  readonly readers: Readers;
  readonly space: DiskSpace;
}

/** Takes segments away. */
export class Remover {
  readonly #context: RemoverContext;
  readonly #stop = new AbortController();
  /** Segments that wait for their readers, or are being removed. */
  readonly #leaving = new Map<Segment, Promise<void>>();
  #leftovers: Promise<void> = Promise.resolve();
  segmentsRemoved = 0;

  constructor(context: RemoverContext) {
    this.#context = context;
    // One for each segment that leaves: Node takes more than ten of them for a leak, and says so.
    setMaxListeners(0, this.#stop.signal);
  }

  /** Bytes of files that are no part of the store any more and still there. */
  get pinnedBytes(): number {
    let bytes = 0;
    for (const segment of this.#leaving.keys()) bytes += segment.length;
    return bytes;
  }

  /**
   * Takes away what the manifest still lists and nobody has: of an earlier session,
   * or of a removal that failed. To be called when the session has begun, and while
   * no output is being written. Never rejects.
   */
  clearLeftovers(): Promise<void> {
    this.#leftovers = this.#leftovers
      .then(() => this.#clearLeftovers())
      .catch((err: unknown) => {
        this.#context.host.log.warn({ err }, "files of an earlier compaction are still there");
      });
    return this.#leftovers;
  }

  /** Sees segments off that the manifest calls removed and the index no longer names. */
  dismiss(segments: readonly Segment[]): Promise<void> {
    const leaving = this.#dismiss(segments).catch((err: unknown) => {
      this.#context.host.log.warn({ err }, "compacted segments could not be removed yet");
    });
    for (const segment of segments) this.#leaving.set(segment, leaving);
    return leaving;
  }

  /** Takes a pending output away that will not be one. */
  async discard(name: SegmentName): Promise<void> {
    // Whoever gave up waits for it: at once, as far as others let it.
    await this.#removeFiles([name], 0);
    await this.#drop([name]);
  }

  /** Resolves when no more than `bytes` wait to be removed, or `signal` aborts. */
  async untilAtMost(bytes: number, signal: AbortSignal): Promise<void> {
    while (this.pinnedBytes > bytes && !signal.aborted) {
      await this.#orMoment(Promise.race(this.#leaving.values()), signal);
    }
  }

  /** Waits until the segments are gone; a second at most, for a reader may take minutes. */
  async untilGone(segments: readonly Segment[], signal: AbortSignal): Promise<void> {
    const leaving = segments.flatMap((segment) => this.#leaving.get(segment) ?? []);
    if (leaving.length > 0) await this.#orMoment(Promise.all(leaving), signal);
  }

  /** Leaves what is not done to the next opening. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#leftovers;
    await Promise.all(this.#leaving.values());
  }

  /** Waits for `promise`, a moment at most, and not after `signal`. */
  async #orMoment(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    await Promise.race([promise, this.#context.host.clock.sleep(PATIENCE_MS, either)]);
    over.abort();
  }

  async #clearLeftovers(): Promise<void> {
    const { directories, manifest, segments } = this.#context;
    const { storeId } = manifest.current;
    const names: SegmentName[] = [];
    const leaving = new Set(Array.from(this.#leaving.keys(), ({ name }) => name.timestampNs));
    for (const { state, prefix, id, timestamp } of manifest.current.segments) {
      if (this.#stop.signal.aborted) return;
      if (state !== SegmentState.PENDING && state !== SegmentState.REMOVED) continue;
      // Those that wait for their readers are still here.
      if (segments.find(id)?.name.timestampNs === timestamp || leaving.has(timestamp)) continue;
      names.push(new SegmentName(directories, storeId, prefix, id, timestamp));
    }
    if (names.length === 0) return;
    await this.#removeFiles(names);
    await this.#drop(names);
  }

  async #dismiss(leaving: readonly Segment[]): Promise<void> {
    const { segments, readers } = this.#context;
    try {
      // All from now on: one after the other, each would wait for readers that came later.
      const { signal } = this.#stop;
      const waits = leaving.map((segment) => readers.released(segment, signal));
      if ((await Promise.all(waits)).includes(false)) return;
      for (const segment of leaving) await segment.file?.close();
      // The manifest keeps their ids from being given. If a file cannot be removed now,
      // it is a leftover like any other.
      for (const segment of leaving) segments.delete(segment);
      const names = leaving.map(({ name }) => name);
      await this.#removeFiles(names);
      await this.#drop(names);
      this.segmentsRemoved += leaving.length;
    } finally {
      for (const segment of leaving) this.#leaving.delete(segment);
    }
  }

  async #removeFiles(names: readonly SegmentName[], pauseMs = REMOVAL_PAUSE_MS): Promise<void> {
    const { host, directories, latch, space } = this.#context;
    for (const { path, hintPath } of names) {
      await this.#removeSlowly(path, pauseMs);
      await this.#removeSlowly(hintPath, pauseMs);
      await removeIfThere(host.files, hintPath + TEMPORARY_SUFFIX);
    }
    try {
      await host.files.syncDirectory(directories.segments);
    } catch (error) {
      // The names of the log's segments lie there too, and one may be lost for good.
      latch.close("a sync of the segment directory failed", error);
      throw error;
    }
    // Nobody else may look at the disk before long: a full one takes no writes.
    space.check();
  }

  /** No error if it is gone; without pauses once the store closes. */
  async #removeSlowly(path: string, pauseMs: number): Promise<void> {
    const { clock, files } = this.#context.host;
    try {
      await files.removeSlowly(path, () => clock.sleep(pauseMs, this.#stop.signal));
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }

  async #drop(names: readonly SegmentName[]): Promise<void> {
    const timestamps = new Set(names.map(({ timestampNs }) => timestampNs));
    await this.#context.keeper.change((draft) => dropFromManifest(draft, timestamps));
  }
}
