/**
 * The reader of the log: every change after a version, once, in version order.
 *
 *     sealed log segment -> sealed log segment -> active segment
 *             ^ position: all up to `version` is told
 *
 *   reading --close()--> closed
 *      `--history is gone, or damaged--> ended: every further read says the same
 *
 * It reads segments of the log alone, where frames lie as they were written;
 * never outputs of a compaction. It tells of a version only when that is both
 * durable and published, so that nobody acts upon what a crash takes back.
 *
 * It holds the segment it reads and no other, on a lease: if nobody reads for
 * five minutes the segment may be compacted, and the reader must find its place
 * again. History that was complete up to the end of a held segment stays so,
 * whatever becomes of the floor meanwhile. A segment that was compacted is held
 * until the lease ends that its reader had then, though it goes on reading.
 *
 * Damage on its way is DATA_LOSS: RECORD_CORRUPT, with file, bytes and the range
 * of versions that may be lost. Damage in what it only passes over is not.
 */
import { KvixError } from "../base/kvix-error.js";
import type { File } from "../host/file-system.js";
import type { Segment } from "../storage/segment.js";
import { findFrame, scanFrames } from "../storage/segment-scan.js";
import { versionsOf } from "./damage.js";
import { visitFrame } from "./frame-loader.js";
import type { Lease } from "./leases.js";
import { decodeRun, type LogChange, type Run } from "./log-events.js";
import type { LogHistory } from "./log-history.js";
import type { Hold } from "./pins.js";
import { requireWhole } from "./request-rules.js";
import { salvageRun } from "./salvage.js";

/** What one read answers at most, unless one frame is larger. */
export const LOG_READ_BYTES_MAX = 1024 * 1024;
/** What is read of the disk at once, at least. */
const DISK_READ_BYTES_MIN = 64 * 1024;
/** How long a segment is held for a reader that does not read. */
export const LOG_LEASE_MS = 5 * 60_000;

/** What one read gives. */
export interface LogRead {
  /** In version order. */
  readonly changes: readonly LogChange[];
  /** All changes up to this version are told, with these. */
  readonly version: number;
  /** Whether there is nothing more at this time. */
  readonly isCaughtUp: boolean;
}

/** Waits until so many bytes may be read at once; what it throws ends the reader. */
export type Admit = (bytes: number) => Promise<void> | undefined;

const admitAny: Admit = () => undefined;

/** Where a reader is in a segment. */
interface Position {
  readonly segment: Segment;
  /** All frames before it are decoded, or known to be older. */
  offset: number;
  /** The newest version in them. */
  seenVersion: number;
}

/** Reads the changes after one version. */
export class LogReader {
  readonly #history: LogHistory;
  readonly #onClose: (reader: LogReader) => void;
  /** Called before the history up to a version is given up; see LogReaders. */
  readonly onFloorRise: ((version: number) => void) | undefined;
  #version: number;
  #position: Position | undefined;
  #hold: Hold | undefined;
  #lease: Lease | undefined;
  #endedBecause: unknown;
  #isReading = false;
  #isClosed = false;

  constructor(
    history: LogHistory,
    afterVersion: number,
    onFloorRise: ((version: number) => void) | undefined,
    onClose: (reader: LogReader) => void,
  ) {
    this.#history = history;
    this.#version = afterVersion;
    this.#position = history.locate(afterVersion);
    this.onFloorRise = onFloorRise;
    this.#onClose = onClose;
  }

  /** All changes up to this version are told. */
  get version(): number {
    return this.#version;
  }

  /**
   * The next changes, at most `bytesMax` bytes of frames (1 to 1 MiB) but at least
   * one change unless it is caught up. `admit` is waited for before one frame is read that
   * is larger, with its bytes. One read at a time. Throws HISTORY_LOST, RECORD_CORRUPT
   * and STORE_CLOSING, which end it; READ_FAILED, which does not.
   */
  async next(bytesMax = LOG_READ_BYTES_MAX, admit = admitAny): Promise<LogRead> {
    requireWhole("bytesMax", bytesMax, 1, LOG_READ_BYTES_MAX);
    this.#requireOpen();
    if (this.#isReading) throw new Error("two reads of one log reader at once");
    this.#isReading = true;
    try {
      for (;;) {
        const read = await this.#read(bytesMax, admit);
        if (this.#isClosed) throw new KvixError("CANCELLED", "", { outcome: "none" });
        this.#requireOpen();
        if (read !== undefined) return read;
      }
    } catch (error) {
      const isPassing = error instanceof KvixError && error.reason === "READ_FAILED";
      if (!isPassing) this.end(error);
      // The files of a store that closes are closed under the read.
      throw this.#endedBecause ?? error;
    } finally {
      this.#isReading = false;
    }
  }

  /** Lets go of all it holds. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#letGo();
    this.#onClose(this);
  }

  /** Ends it: whoever reads on is told why. */
  end(why: unknown): void {
    this.#endedBecause ??= why;
    this.#letGo();
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new Error("a closed log reader is read");
    if (this.#endedBecause !== undefined) throw this.#endedBecause;
  }

  /** One read of the disk, or one step to the next segment; undefined: read again. */
  async #read(bytesMax: number, admit: Admit): Promise<LogRead | undefined> {
    const lastVersion = this.#history.readableVersion;
    if (lastVersion <= this.#version) return this.#caughtUp(this.#version);
    const position = this.#place();
    if (position === undefined) return this.#caughtUp(lastVersion);
    const { segment } = position;
    const further = this.#history.placeBeyond(position, this.#version);
    if (further !== undefined) Object.assign(position, further);
    // Of this turn, like lastVersion: what may be told lies before `to`, or in later segments.
    const to = segment.length;
    const { isSealed } = segment;
    if (position.offset >= to) {
      if (!isSealed) return this.#caughtUp(lastVersion);
      this.#version = Math.max(this.#version, segment.highestVersion);
      this.#letGo();
      this.#position = undefined;
      return undefined;
    }
    const run = await this.#decode(position, to, lastVersion, bytesMax, admit);
    position.offset += run.length;
    position.seenVersion = Math.max(position.seenVersion, run.newestVersion);
    this.#version = Math.max(this.#version, position.seenVersion);
    this.#history.remember(position);
    const { changes } = run;
    if (changes.length > 0) return { changes, version: this.#version, isCaughtUp: false };
    if (run.stop === "limit") return this.#caughtUp(lastVersion);
    if (run.stop === "damage") await this.#pass(position, to, lastVersion);
    return undefined;
  }

  #caughtUp(version: number): LogRead {
    this.#version = Math.max(this.#version, version);
    return { changes: [], version: this.#version, isCaughtUp: true };
  }

  /** Where to read, held; undefined: there is no segment that may have more. */
  #place(): Position | undefined {
    const { leases } = this.#history;
    if (this.#position !== undefined && this.#hold !== undefined) {
      // What a compaction has replaced must go, however slowly it is read.
      const mayStay = !this.#position.segment.isRemoved;
      if (this.#lease !== undefined && mayStay) leases.renew(this.#lease, LOG_LEASE_MS);
      return this.#position;
    }
    const kept = this.#position;
    const isThere = kept !== undefined && this.#history.has(kept.segment);
    if (!isThere || !this.#take(kept)) {
      const found = this.#history.locate(this.#version);
      this.#position = found;
      if (found === undefined) return undefined;
      if (!this.#take(found)) throw this.#history.lost(this.#version);
    }
    this.#lease = leases.take(LOG_LEASE_MS, () => this.#letGo());
    return this.#position;
  }

  /** Holds the segment of a position; false: it is being taken away. */
  #take({ segment }: Position): boolean {
    this.#hold = this.#history.pins.hold(segment);
    return this.#hold !== undefined;
  }

  #letGo(): void {
    this.#hold?.release();
    this.#hold = undefined;
    if (this.#lease !== undefined) this.#history.leases.giveUp(this.#lease);
    this.#lease = undefined;
  }

  async #decode(
    { segment, offset }: Position,
    to: number,
    lastVersion: number,
    bytesMax: number,
    admit: Admit,
  ): Promise<Run> {
    const { file } = segment;
    const afterVersion = this.#version;
    const decode = (bytes: Uint8Array): Run =>
      decodeRun({ segment, bytes, offset, afterVersion, lastVersion, bytesMax });
    if (file === undefined) return { ...decode(new Uint8Array(0)), stop: "damage" };
    const wanted = Math.min(Math.max(bytesMax, DISK_READ_BYTES_MIN), to - offset);
    const run = decode(await this.#bytes(segment, file, offset, wanted));
    if (run.length > 0 || run.stop !== "short") {
      return run.length === 0 && run.stop === "end" ? { ...run, stop: "damage" } : run;
    }
    // One frame that is larger than what is read at once; or no frame at all.
    if (run.needBytes > to - offset || run.needBytes <= wanted) return { ...run, stop: "damage" };
    await admit(run.needBytes);
    const whole = decode(await this.#bytes(segment, file, offset, run.needBytes));
    return whole.stop === "short" && whole.length === 0 ? { ...whole, stop: "damage" } : whole;
  }

  async #bytes(segment: Segment, file: File, offset: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(length);
    // The lease may end while the disk is slow.
    const ticket = this.#history.pins.enter();
    try {
      return bytes.subarray(0, await file.read(bytes, offset));
    } catch (cause) {
      const { fileName } = segment.name;
      throw new KvixError("READ_FAILED", `${fileName} at ${offset}`, {
        cause,
        metadata: { file: fileName, offset },
      });
    } finally {
      ticket.leave();
    }
  }

  /** Goes past damage that can hold nothing that is to be told; throws for any other. */
  async #pass(position: Position, to: number, lastVersion: number): Promise<void> {
    const { segment, offset, seenVersion } = position;
    const ticket = this.#history.pins.enter();
    try {
      const after = segment.isSealed ? segment.highestVersion : lastVersion;
      const { end, versionAfter } = await nextFrame(segment, offset, to, after + 1);
      const length = end - offset;
      // The head of a batch has no version of its own, but what it held together is lost.
      const lostVersion = Math.max(versionAfter - 1, seenVersion + 1);
      const isKnown = this.#history.isKnownUpTo(this.#version, segment, offset, length);
      if (lostVersion > this.#version && !isKnown) {
        const around = { versionBefore: seenVersion, versionAfter, versionCeiling: after + 1 };
        const { isComplete } = await salvageRun({ segment, offset, length, ...around });
        const versions = versionsOf(around);
        throw this.#history.damaged(segment, {
          ...{ offset, length, ...versions },
          keysUnknown: !isComplete,
        });
      }
      position.offset = end;
    } finally {
      ticket.leave();
    }
  }
}

/** Where sound frames go on behind damage, and with which version; `versionAtEnd` if they do not. */
async function nextFrame(
  segment: Segment,
  offset: number,
  to: number,
  versionAtEnd: number,
): Promise<{ readonly end: number; readonly versionAfter: number }> {
  const { file, name } = segment;
  if (file === undefined) return { end: to, versionAfter: versionAtEnd };
  const found = await findFrame({ file, salt: name.salt, from: offset + 1, to });
  if (found.kind !== "frame") return { end: to, versionAfter: versionAtEnd };
  let versionAfter = Number.POSITIVE_INFINITY;
  await scanFrames({ file, salt: name.salt, from: found.offset, to }, (scanned) => {
    visitFrame(scanned, segment, {
      entry: (entry) => {
        versionAfter = Math.min(versionAfter, entry.version);
      },
    });
    return false;
  });
  return { end: found.offset, versionAfter: Math.min(versionAfter, versionAtEnd) };
}
