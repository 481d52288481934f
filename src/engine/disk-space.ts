/**
 * Free space, and what is kept back of it.
 *
 *   enough  --below the watermark, or ENOSPC-->  full: only deletes are written
 *   full    --above it, and the reserve restored-->  enough
 *
 * The reserve is a file of real zeros, large enough for one rotation and two
 * manifests. A hard ENOSPC releases it, so that the deletes which are to free
 * space can be logged; it is restored before anything else is written again.
 */
import { KvixError } from "../base/kvix-error.js";
import { errorCode, type FileSystem } from "../host/file-system.js";
import type { Clock, Log as HostLog } from "../host/host.js";
import { removeIfThere, writeDurableFile } from "../storage/file-tools.js";

/** Bytes that a rotation may take beside the manifest: a new file, its directory entry, a hint. */
const ROTATION_BYTES = 1024 * 1024;
/** The disk is asked again after so many appended bytes, or this much time. */
const CHECK_BYTES = 1024 * 1024;
const CHECK_INTERVAL_MS = 250;
/** How long a write that there was no room for counts as a wish for more. */
const WISH_MS = 60_000;

/** What the watch over free space works with. */
export interface DiskSpaceContext {
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly log: HostLog;
  /** The directory whose disk is watched: the segments'. */
  readonly directory: string;
  /** Where the reserve lies, on the same disk. */
  readonly reservePath: string;
  readonly reserveBytes: number;
  /** What a compaction of the cheapest segment takes of the disk. */
  readonly cheapestVictimBytes: () => number;
  /** The size of a manifest. */
  readonly manifestBytes: () => number;
}

/** The error for a write that there is no room for. */
export function noSpace({ freeBytes, watermarkBytes }: DiskSpace): KvixError {
  return new KvixError("NO_SPACE", `${freeBytes} bytes are free`, {
    metadata: { free_bytes: freeBytes, watermark_bytes: watermarkBytes },
  });
}

/** Whether an error says that the disk, or the owner's share of it, is full. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Watches free space and keeps the reserve. */
export class DiskSpace {
  readonly #context: DiskSpaceContext;
  #freeBytes: number;
  #watermarkBytes = 0;
  #isFull = false;
  #hasReserve = false;
  /** The reserve is being given back, or made again. */
  #changing: Promise<void> | undefined;
  #appendedBytes = 0;
  #checkedAtMs: number;
  /** What was refused last though the disk is not full, and when. */
  #refusedBytes = 0;
  #refusedAtMs = 0;
  /** Is called with every look at a disk that is full, and every refusal: space is wanted back. */
  onFull: () => void = () => undefined;

  constructor(context: DiskSpaceContext) {
    this.#context = context;
    this.#freeBytes = context.files.freeBytes(context.directory);
    this.#checkedAtMs = context.clock.monotonicMs();
    this.#ask();
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** How much of the disk only deletes and compactions may use; 0: the disk may be filled. */
  get reserveBytes(): number {
    return this.#context.reserveBytes;
  }

  /** Below this much free space only deletes are written; as of the last look at the disk. */
  get watermarkBytes(): number {
    return this.#watermarkBytes;
  }

  /** Whether only deletes may be written now; `pendingBytes` wait for the disk already. */
  isFullFor(pendingBytes: number): boolean {
    const { clock } = this.#context;
    const isDue =
      this.#appendedBytes >= CHECK_BYTES ||
      clock.monotonicMs() - this.#checkedAtMs >= CHECK_INTERVAL_MS;
    if (isDue) this.check();
    if (this.#isFull) return true;
    if (this.#hasRoomFor(pendingBytes)) return false;
    this.#refusedBytes = pendingBytes;
    this.#refusedAtMs = clock.monotonicMs();
    this.onFull();
    return true;
  }

  /** Whether compaction is to take what it can: the disk is full, or too full for a write of late. */
  get isShort(): boolean {
    if (this.#isFull) return true;
    const sinceMs = this.#context.clock.monotonicMs() - this.#refusedAtMs;
    return this.#refusedBytes > 0 && sinceMs < WISH_MS && !this.#hasRoomFor(this.#refusedBytes);
  }

  /** Whether the store is in its full state. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Takes note of bytes written. */
  appended(bytes: number): void {
    this.#appendedBytes += bytes;
  }

  /** Asks the disk, and changes state. */
  check(): void {
    const { log } = this.#context;
    this.#ask();
    const isBelow = this.#freeBytes < this.watermarkBytes;
    if (isBelow) this.onFull();
    if (isBelow && !this.#isFull) {
      this.#isFull = true;
      log.warn(
        { freeBytes: this.#freeBytes, watermarkBytes: this.watermarkBytes },
        "disk space is short: only deletes are written",
      );
    } else if (!isBelow && this.#isFull) {
      this.#changing ??= this.#recover();
    }
  }

  /** To be called on a hard ENOSPC: gives the reserve back to the disk. */
  async exhausted(): Promise<void> {
    // Not by way of idle: of two that waited for the same, the second waits for the first.
    while (this.#changing !== undefined) await this.#changing.catch(() => undefined);
    this.#isFull = true;
    // A look at the disk meanwhile must not find the reserve that is about to go.
    this.#changing = this.#release().finally(() => {
      this.#changing = undefined;
    });
    await this.#changing;
  }

  /** Resolves when the reserve is neither being made nor given back; to be awaited before the locks go. */
  async idle(): Promise<void> {
    while (this.#changing !== undefined) await this.#changing.catch(() => undefined);
  }

  /** Makes the reserve if it is not there; never throws, a store without one still works. */
  async keepReserve(): Promise<boolean> {
    const { files, reservePath, manifestBytes } = this.#context;
    if (this.#hasReserve || this.#context.reserveBytes === 0) return true;
    const bytes = ROTATION_BYTES + 2 * (manifestBytes() + 4096);
    try {
      if (await hasLength(files, reservePath, bytes)) {
        this.#hasReserve = true;
        return true;
      }
      const zeros = new Uint8Array(bytes);
      const sync = await writeDurableFile(files, reservePath, zeros);
      await sync();
      this.#hasReserve = true;
      return true;
    } catch (err) {
      this.#context.log.warn({ err }, "the disk-space reserve could not be made");
      await removeIfThere(files, reservePath).catch(() => undefined);
      return false;
    }
  }

  #hasRoomFor(bytes: number): boolean {
    return this.#freeBytes - bytes - this.#appendedBytes >= this.#watermarkBytes;
  }

  /** Asks for the free space; a disk that does not say is taken to have what it had. */
  #ask(): void {
    const { files, clock, directory, log, reserveBytes, cheapestVictimBytes } = this.#context;
    this.#watermarkBytes = reserveBytes === 0 ? 0 : reserveBytes + cheapestVictimBytes();
    this.#appendedBytes = 0;
    this.#checkedAtMs = clock.monotonicMs();
    try {
      this.#freeBytes = files.freeBytes(directory);
    } catch (err) {
      log.warn({ err }, "the free disk space could not be asked for");
    }
  }

  async #release(): Promise<void> {
    const { files, log, reservePath, reserveBytes } = this.#context;
    // Also one of an earlier session, which this one has not looked for yet.
    if (reserveBytes > 0) await removeIfThere(files, reservePath);
    this.#hasReserve = false;
    log.warn({}, "the disk is full: only deletes are written");
    this.onFull();
    this.#ask();
  }

  async #recover(): Promise<void> {
    if (await this.keepReserve()) {
      this.#isFull = false;
      this.#context.log.info({ freeBytes: this.#freeBytes }, "there is disk space again");
    }
    this.#changing = undefined;
  }
}

/** Whether there is a file of at least this length. */
async function hasLength(files: FileSystem, path: string, bytes: number): Promise<boolean> {
  try {
    const file = await files.open(path, "read");
    try {
      return (await file.size()) >= bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}
