/**
 * The uploads of a store: who may begin one, and what is left when they are over.
 *
 *     begun --first byte--> staged in a file --all there--> queued --> over
 *
 * Invariants
 *  1. The value is in no memory: it is staged in `upload_{store id}_{16 hex}.tmp` of
 *     the segment directory, and copied from there into the log.
 *  2. A staging file goes when its upload is over, however that came; what a crash
 *     leaves is taken away by the next opening, and only what bears this store's id.
 *  3. Uploads in the write queue have 8 MiB together, or are one: so a write waits for
 *     one large frame at most, and answers that carry a record hold one at a time.
 *  4. At most 256 are under way; a further one is refused (V11).
 */
import { KvixError } from "../base/kvix-error.js";
import type { File } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import { type StoreDirectories, segmentPath, uploadFileName } from "../storage/layout.js";
import { ByteBudget } from "./byte-budget.js";
import { type DiskSpace, isDiskFull, noSpace } from "./disk-space.js";
import type { Latch } from "./latch.js";
import type { Log } from "./log.js";
import { requireExpiry, requireKey, requireValueBytes, requireVersion } from "./request-rules.js";
import { StagedUpload, type UploadPlan } from "./staged-upload.js";
import type { SetResult, UploadStart } from "./store.js";
import type { Versions } from "./versions.js";
import { WriteOp } from "./write-op.js";
import type { WriteQueue } from "./write-queue.js";

/** How many may be under way: each has a descriptor, and may have 200 MiB of disk. */
export const UPLOADS_MAX = 256;
/** How many bytes of uploads the write queue may have together, one alone apart: what a group has. */
const QUEUED_BYTES_MAX = 8 * 1024 * 1024;
/** Bytes of a staging file's name that make it another one than all before. */
const NAME_BYTES = 8;
/** What a check counts for against the bytes in flight. */
const CHECK_BYTES = 256;

/** What uploads work with. */
export interface UploadsContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  readonly storeId: Uint8Array;
  readonly queue: WriteQueue;
  readonly log: Log;
  readonly versions: Versions;
  readonly latch: Latch;
  readonly space: DiskSpace;
  /** The bytes of the record that stands under a key, expired or not; 0: there is none. */
  readonly recordBytes: (key: Uint8Array) => number;
}

/** All uploads of a store. */
export class Uploads {
  readonly #context: UploadsContext;
  readonly #queued = new ByteBudget(QUEUED_BYTES_MAX);
  readonly #underWay = new Set<StagedUpload>();
  /** Those whose condition is being looked at. */
  #beginning = 0;
  #isClosed = false;
  #idle: (() => void)[] = [];

  constructor(context: UploadsContext) {
    this.#context = context;
  }

  /** How many are under way. */
  get count(): number {
    return this.#underWay.size + this.#beginning;
  }

  /** Bytes in staging files. */
  get stagedBytes(): number {
    let bytes = 0;
    for (const upload of this.#underWay) bytes += upload.stagedBytes;
    return bytes;
  }

  /** Begins an upload. Throws what is wrong with it, OVERLOADED, NO_SPACE, STORE_READ_ONLY, STORE_CLOSING, CANCELLED. */
  async begin(plan: UploadPlan): Promise<UploadStart> {
    const { latch } = this.#context;
    requireKey(plan.key);
    requireValueBytes(plan.valueBytes);
    requireExpiry(plan.expiry);
    requireVersion(plan.condition);
    if (this.#isClosed) throw new KvixError("STORE_CLOSING");
    if (latch.isClosed) throw latch.readOnly();
    if (this.count >= UPLOADS_MAX) {
      throw new KvixError("OVERLOADED", `${UPLOADS_MAX} uploads are under way`, {
        metadata: { uploads: this.count },
      });
    }
    this.#beginning += 1;
    try {
      const unmet = await this.#unmet(plan);
      if (unmet !== undefined) return { kind: "unmet", result: unmet };
      if (this.#isClosed) throw new KvixError("STORE_CLOSING");
      this.#requireSpace(plan.valueBytes);
      const upload = new StagedUpload(plan, this.#seams(plan));
      this.#underWay.add(upload);
      return { kind: "begun", upload };
    } finally {
      this.#beginning -= 1;
      this.#wakeIfIdle();
    }
  }

  /** Takes no more; gives up those whose bytes are still coming. Those that wait for their turn get it. */
  stop(): void {
    this.#isClosed = true;
    for (const upload of this.#underWay) upload.giveUp(new KvixError("STORE_CLOSING"));
  }

  /** Resolves when none is under way and no staging file is left. To be awaited before the queue closes. */
  async idle(): Promise<void> {
    if (this.count > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** The answer, if the condition does not hold of what stands now. */
  async #unmet({ key, condition, signal, durability }: UploadPlan) {
    if (condition === undefined) return undefined;
    const op = new WriteOp({ kind: "check", key, condition }, durability, CHECK_BYTES);
    const result = await this.#inTurn(key, 0, signal, () => this.#context.queue.submit(op, signal));
    return (result as SetResult).applied ? undefined : (result as SetResult);
  }

  /** Runs `task` when what it may hold fits beside what the others do. */
  async #inTurn<Result>(
    key: Uint8Array,
    valueBytes: number,
    signal: AbortSignal | undefined,
    task: () => Promise<Result>,
  ): Promise<Result> {
    const bytes = Math.max(valueBytes, this.#context.recordBytes(key));
    try {
      const room = this.#queued.take(bytes, signal);
      // Without a wait, so that what is finished first is accepted first.
      if (room !== undefined) await room;
    } catch (error) {
      // It would have been a write, and is none.
      throw signal?.aborted === true ? new KvixError("CANCELLED", "", { cause: error }) : error;
    }
    try {
      return await task();
    } finally {
      this.#queued.give(bytes);
    }
  }

  /** A value takes its length twice: staged, and in the log. */
  #requireSpace(valueBytes: number): void {
    const { space, queue } = this.#context;
    let wantedBytes = 2 * valueBytes;
    for (const upload of this.#underWay) wantedBytes += upload.wantedBytes;
    if (space.isFullFor(queue.inFlightBytes + wantedBytes)) throw noSpace(space);
  }

  #seams({ key, valueBytes, signal }: UploadPlan) {
    const { queue, space } = this.#context;
    return {
      createFile: () => this.#createFile(),
      removeFile: (file: File) => this.#removeFile(file),
      requireSpace: (bytes: number) => {
        if (space.isFullFor(queue.inFlightBytes + bytes)) throw noSpace(space);
      },
      onStaged: (bytes: number) => space.appended(bytes),
      failed: (cause: unknown) => stagingFailure(cause, space),
      submit: (op: WriteOp) =>
        this.#inTurn(key, valueBytes, signal, () => queue.submit(op, signal)) as Promise<SetResult>,
      onOver: (upload: StagedUpload) => {
        this.#underWay.delete(upload);
        this.#wakeIfIdle();
      },
    };
  }

  async #createFile(): Promise<File> {
    const { host, directories, storeId, queue, log, versions } = this.#context;
    // Before its first change of the disk a session withdraws the clean mark.
    if (!log.hasBegun) await queue.between(() => log.begin(versions.last));
    const name = uploadFileName(storeId, host.entropy.bytes(NAME_BYTES));
    return await host.files.open(segmentPath(directories, name), "create");
  }

  /** Never throws: what cannot be removed now is left to the next opening. */
  async #removeFile(file: File): Promise<void> {
    const { files, clock, log } = this.#context.host;
    try {
      await file.close();
    } catch (err) {
      log.warn({ err }, "a staging file was not closed as it should be");
    }
    try {
      await files.removeSlowly(file.path, () => new Promise((resolve) => clock.soon(resolve)));
    } catch (err) {
      log.warn({ err, file: file.path }, "a staging file is left until the next opening");
    }
  }

  #wakeIfIdle(): void {
    if (this.count === 0) for (const wake of this.#idle.splice(0)) wake();
  }
}

/** Takes away the staging files that an earlier session has left; never throws. */
export async function removeStagingFiles(
  { files, log }: Host,
  directories: StoreDirectories,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    try {
      await files.remove(segmentPath(directories, name));
      log.info({ file: name }, "the staging file of an unfinished upload was removed");
    } catch (err) {
      log.warn({ err, file: name }, "a staging file is left until the next opening");
    }
  }
}

/** A staging file that cannot be written costs its own upload, and not the reserve of the disk. */
function stagingFailure(cause: unknown, space: DiskSpace): KvixError {
  if (cause instanceof KvixError) return cause;
  if (isDiskFull(cause)) return noSpace(space);
  return new KvixError("WRITE_FAILED", "the staging file could not be written", { cause });
}
