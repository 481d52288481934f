/**
 * The log: the one segment that is appended to, and the chain of sealed ones
 * behind it.
 *
 *   write a group -> sync -> write the next group -> sync -> ...
 *
 * Invariants
 *  1. While a sync runs nothing is written; a group never spans segments.
 *  2. The first frame after a sync carries BARRIER: all before it is durable.
 *  3. Before the first append of a session one manifest change withdraws the
 *     clean mark and reserves versions.
 *  4. Rotation: sync the old; create the new and sync the directory; one
 *     manifest change seals the old and activates the new; then the append.
 *  5. A failed append is cut back and the cut synced; if that is not possible,
 *     or a sync fails, the latch closes.
 *
 * It knows nothing of keys and of who waits; the write queue does.
 */
import { create } from "@bufbuild/protobuf";
import { CleanMarkSchema, type Manifest } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { crc32, crc32Combine } from "../format/checksum.js";
import type { File } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import type { FilePool } from "../storage/file-pool.js";
import type { StoreDirectories } from "../storage/layout.js";
import { Segment, type SegmentName } from "../storage/segment.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { CheckpointSaver } from "./checkpoint.js";
import type { DamageRegister } from "./damage.js";
import type { DiskSpace } from "./disk-space.js";
import type { Latch } from "./latch.js";
import { addLostRange, addToManifest, sealInManifest } from "./manifest-edits.js";
import { type ManifestKeeper, writeFailure } from "./manifest-keeper.js";
import type { SegmentNamer } from "./segment-namer.js";
import { type SlicePair, StagedValue, StagingFault, slicePair } from "./staged-value.js";
import type { Versions } from "./versions.js";

/** Larger pieces are written off the event loop. */
const SYNC_WRITE_BYTES_MAX = 256 * 1024;

/** What the log works with. */
export interface LogContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  readonly keeper: ManifestKeeper;
  readonly segments: SegmentSet;
  readonly pool: FilePool;
  readonly versions: Versions;
  readonly latch: Latch;
  readonly space: DiskSpace;
  readonly damage: DamageRegister;
  readonly namer: SegmentNamer;
  readonly segmentBytesMax: number;
  /** One that has so many requests takes no other group: its hint lists them all. */
  readonly segmentRequestsMax: number;
  /**
   * Called once, when the session has begun: from here on the store may change what is
   * on disk. Does not throw.
   */
  readonly onBegun: () => Promise<void>;
  /** Called with every segment that was sealed. */
  readonly onSealed: (segment: Segment) => void;
}

/** What recovery leaves to the log. */
export interface LogStart {
  /** The active segment; undefined: there is none yet. */
  readonly active: Segment | undefined;
  /** The active segment is to be sealed before the first append: its end is missing. */
  readonly sealFirst: boolean;
  /** Versions that may have been used before a crash and are not in the log. */
  readonly lostRange: { readonly first: number; readonly last: number } | undefined;
}

/** A log that is ready for a group. */
export interface LogReadiness {
  readonly segment: Segment;
  /** How many bytes the group may have. */
  readonly room: number;
}

/** The writing end of a store. */
export class Log {
  readonly #context: LogContext;
  readonly #lostRange: LogStart["lostRange"];
  #active: Segment | undefined;
  #sealFirst: boolean;
  #syncedLength: number;
  /** A new segment's file that is made but not yet in the manifest. */
  #prepared: { name: SegmentName; file: File } | undefined;
  #reservation: Promise<void> | undefined;
  /** What staged values are copied through; made for the first of them. */
  #slices: SlicePair | undefined;
  syncs = 0;
  bytesAppended = 0;

  constructor(context: LogContext, start: LogStart) {
    this.#context = context;
    this.#active = start.active;
    this.#sealFirst = start.sealFirst;
    this.#lostRange = start.lostRange;
    this.#syncedLength = start.active?.length ?? 0;
  }

  /** Whether bytes are written that no sync has covered. */
  get isDirty(): boolean {
    return this.#active !== undefined && this.#active.length > this.#syncedLength;
  }

  /** Whether anything was, or may have been, appended since the store was opened. */
  get hasBegun(): boolean {
    return this.#context.keeper.hasBegun;
  }

  /**
   * Makes ready to append a group of at least `bytes`, whose newest version is
   * `lastVersion`: begins the session, reserves versions, rotates. Answers the
   * active segment and how many bytes the group may have.
   */
  async prepare(bytes: number, lastVersion: number): Promise<LogReadiness> {
    const { versions, segmentBytesMax } = this.#context;
    await this.begin(lastVersion);
    if (!versions.isReserved(lastVersion)) await this.#reserve(lastVersion);
    else if (versions.isRunningLow) this.#reserveSoon(lastVersion);
    if (!this.#hasRoomFor(this.#requireActive(), bytes)) await this.#rotate();
    this.#requireUnlatched();
    const segment = this.#requireActive();
    const left = segmentBytesMax - segment.length;
    return { segment, room: segment.length === 0 ? Math.max(left, bytes) : left };
  }

  /** Whether `prepare` would have nothing to wait for. */
  isReadyFor(bytes: number, lastVersion: number): boolean {
    const { versions, latch, keeper } = this.#context;
    if (!keeper.hasBegun || latch.isClosed || !versions.isReserved(lastVersion)) return false;
    return this.#active !== undefined && this.#hasRoomFor(this.#active, bytes);
  }

  /** Whether the active segment may have `bytes` more, which an empty one always may. */
  #hasRoomFor({ length, requests }: Segment, bytes: number): boolean {
    if (length === 0) return true;
    const { segmentBytesMax, segmentRequestsMax } = this.#context;
    return length + bytes <= segmentBytesMax && requests < segmentRequestsMax;
  }

  /** Whether the next frame written is to carry BARRIER. */
  get nextIsBarrier(): boolean {
    return !this.isDirty;
  }

  /**
   * Appends sealed frames to the active segment. On failure the log is as it
   * was before, cut and synced, or the latch is closed; the error says which, and has
   * a StagingFault for its cause if the file of an upload is what failed.
   * `beforeWaiting` is called before it waits for the disk.
   */
  async append(
    pieces: readonly (Uint8Array | StagedValue)[],
    beforeWaiting: () => void,
  ): Promise<void> {
    const segment = this.#requireActive();
    const file = requireFile(segment);
    const start = segment.length;
    let position = start;
    let checksum = segment.checksum;
    let copiedBytes = 0;
    try {
      for (const piece of pieces) {
        if (piece instanceof StagedValue) {
          beforeWaiting();
          this.#slices ??= slicePair();
          await piece.copy(this.#slices, async (slice) => {
            await file.write(slice, position);
            position += slice.length;
            // It takes long enough that others ask meanwhile how much is free.
            this.#context.space.appended(slice.length);
            copiedBytes += slice.length;
          });
          // The slices were held against it.
          checksum = crc32Combine(checksum, piece.checksum, piece.length);
          continue;
        }
        if (piece.length <= SYNC_WRITE_BYTES_MAX) {
          file.writeSync(piece, position);
        } else {
          beforeWaiting();
          await file.write(piece, position);
        }
        position += piece.length;
        checksum = crc32(piece, checksum);
      }
    } catch (cause) {
      beforeWaiting();
      await this.#cut(file, start, cause);
      if (cause instanceof StagingFault) throw cause.toError();
      throw await writeFailure(cause, this.#context.space);
    }
    segment.length = position;
    segment.checksum = checksum;
    segment.appendedMs = this.#context.host.clock.monotonicMs();
    this.bytesAppended += position - start;
    this.#context.space.appended(position - start - copiedBytes);
  }

  /** Makes everything written durable. Closes the latch and throws if that fails. */
  async sync(): Promise<void> {
    this.#requireUnlatched();
    const segment = this.#active;
    if (segment === undefined || !this.isDirty) return;
    const { length } = segment;
    try {
      await requireFile(segment).syncData();
    } catch (cause) {
      this.#context.latch.close(`a sync of ${segment.name.fileName} failed`, cause);
      throw this.#context.latch.uncertain();
    }
    // A latch that closed meanwhile, over the manifest, leaves nothing to be acknowledged.
    if (this.#context.latch.isClosed) throw this.#context.latch.uncertain();
    this.#syncedLength = length;
    this.syncs += 1;
  }

  /**
   * Marks the close as clean, if anything was written and nothing is in doubt.
   * Everything must be synced. Before, `save` may write a checkpoint and answers
   * its checksum.
   */
  async markClean(lastVersion: number, newestMs: number, save: CheckpointSaver): Promise<void> {
    const { latch, keeper } = this.#context;
    await this.#reservation;
    await keeper.idle();
    if (!keeper.hasBegun || latch.isClosed) return;
    const checkpointChecksum = await save();
    const edit = (draft: Manifest): void => {
      draft.clean = create(CleanMarkSchema, {
        syncedLength: BigInt(this.#active?.length ?? 0),
        syncedChecksum: this.#active?.checksum ?? 0,
        lastVersion: BigInt(lastVersion),
        newestTimestamp: BigInt(newestMs) * 1_000_000n,
        ...(checkpointChecksum === undefined ? {} : { checkpointChecksum }),
      });
    };
    await this.#context.keeper.change(edit).catch((error: unknown) => {
      // A full disk has given the reserve back by now, and that has room for a manifest.
      if (!(error instanceof KvixError && error.reason === "NO_SPACE")) throw error;
      return this.#context.keeper.change(edit);
    });
  }

  /** The segment that is appended to; undefined: there is none yet. */
  get active(): Segment | undefined {
    return this.#active;
  }

  /** Seals the active segment, and begins another. To be called between groups, once begun. */
  async seal(): Promise<void> {
    this.#requireUnlatched();
    if (this.#requireActive().length > 0) await this.#rotate();
  }

  /** Lets go of a file that was made for a segment that never came. */
  async close(): Promise<void> {
    await this.#prepared?.file.close();
  }

  #requireUnlatched(): void {
    if (this.#context.latch.isClosed) throw this.#context.latch.readOnly();
  }

  #requireActive(): Segment {
    if (this.#active === undefined) throw new Error("the log has no active segment");
    return this.#active;
  }

  /**
   * Begins the session, once: the clean mark is withdrawn and versions are
   * reserved, so that the store may be changed. To be called between groups.
   */
  async begin(lastVersion: number): Promise<void> {
    if (this.#context.keeper.hasBegun) return;
    const { keeper, space, versions, damage, onBegun } = this.#context;
    const mark = versions.nextMark(lastVersion);
    const isNew = this.#active === undefined || this.#sealFirst;
    const next = isNew ? await this.#prepareSegment() : undefined;
    const old = this.#active;
    await keeper.change((draft) => {
      delete draft.clean;
      draft.versionMark = BigInt(mark);
      if (this.#lostRange !== undefined) addLostRange(draft, this.#lostRange);
      if (next === undefined) return;
      if (old !== undefined) sealInManifest(draft, old);
      addToManifest(draft, next.name);
    });
    versions.reservedTo(mark);
    this.#sealFirst = false;
    keeper.hasBegun = true;
    if (next !== undefined) this.#activate(next, old);
    await onBegun();
    // A read may have found some while the manifest was on its way.
    if (damage.hasUnsaved) keeper.saveDamageSoon();
    // On a full disk the space is for deletes; the reserve is restored when there is more.
    if (!space.isFull) await space.keepReserve();
  }

  async #rotate(): Promise<void> {
    await this.sync();
    const next = await this.#prepareSegment();
    const old = this.#requireActive();
    await this.#context.keeper.change((draft) => {
      sealInManifest(draft, old);
      addToManifest(draft, next.name);
    });
    this.#activate(next, old);
  }

  /** Makes the file of the next segment, once: a rotation that failed later takes it up again. */
  async #prepareSegment(): Promise<{ name: SegmentName; file: File }> {
    if (this.#prepared !== undefined) return this.#prepared;
    const { host, directories, pool, latch, namer } = this.#context;
    const name = namer.take();
    let file: File;
    try {
      file = pool.adopt(await host.files.open(name.path, "create"));
    } catch (cause) {
      namer.settle(name);
      throw await writeFailure(cause, this.#context.space);
    }
    this.#prepared = { name, file };
    try {
      await host.files.syncDirectory(directories.segments);
    } catch (cause) {
      latch.close(`a sync of the directory of ${name.fileName} failed`, cause);
      throw latch.readOnly();
    }
    return this.#prepared;
  }

  #activate(next: { name: SegmentName; file: File }, old: Segment | undefined): void {
    const { segments, pool, namer, onSealed } = this.#context;
    this.#prepared = undefined;
    namer.settle(next.name);
    const segment = new Segment(next.name, next.file, false);
    segments.add(segment);
    this.#active = segment;
    this.#syncedLength = 0;
    if (old === undefined) return;
    old.isSealed = true;
    if (old.file === undefined) return;
    pool.seal(old.file);
    onSealed(old);
  }

  #reserveSoon(lastVersion: number): void {
    this.#reservation ??= this.#reserve(lastVersion)
      .catch((err: unknown) => {
        // The next group asks again, and fails if it must.
        this.#context.host.log.warn({ err }, "versions could not be reserved ahead");
      })
      .finally(() => {
        this.#reservation = undefined;
      });
  }

  async #reserve(lastVersion: number): Promise<void> {
    const { versions } = this.#context;
    const mark = versions.nextMark(lastVersion);
    await this.#context.keeper.change((draft) => {
      if (BigInt(mark) > draft.versionMark) draft.versionMark = BigInt(mark);
    });
    versions.reservedTo(mark);
  }

  /** Takes a failed append back, durably; closes the latch if that is not possible. */
  async #cut(file: File, length: number, cause: unknown): Promise<void> {
    const { latch } = this.#context;
    try {
      await file.truncate(length);
      await file.syncData();
      this.#syncedLength = length;
    } catch (error) {
      latch.close("a failed append could not be taken back", { cause, error });
      throw latch.uncertain();
    }
  }
}

function requireFile(segment: Segment): File {
  if (segment.file === undefined) throw new Error("the active segment has no file");
  return segment.file;
}
