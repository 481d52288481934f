/**
 * Reading one segment at opening, when no hint stands for it.
 *
 *   sound frames ... | damage | sound frames ...          everything below the
 *                    p        q                           synced length: rot
 *
 * In a sealed segment, and below the length that a clean close recorded, damage
 * is rot: it is reported and stepped over, never cut. In an active segment
 * after a crash, damage is rot only if a frame with BARRIER follows, for that
 * frame was written when every byte before it had been synced; otherwise the
 * tail from p is torn and does not count, sound frames behind p included. So it is
 * in the end of a sealed segment that the opening which sealed it could not read;
 * there nothing is cut. Bytes that the disk cannot read are never called torn: what
 * was acknowledged may lie in them, and they may be read another time. Sound frames behind
 * them count, unless they may be the members of a batch that was cut short.
 */
import { KvixError } from "../base/kvix-error.js";
import { FRAME_HEADER_BYTES, FrameFlag, readFrameHeader } from "../format/frame.js";
import { isReadable } from "../storage/byte-window.js";
import type { Segment } from "../storage/segment.js";
import { findFrame, type Resync, type ScannedFrame, scanFrames } from "../storage/segment-scan.js";
import { type DamageRegister, versionsOf } from "./damage.js";
import { type FrameEntry, visitFrame } from "./frame-loader.js";
import type { EntrySink } from "./index-loader.js";
import { loadLost, salvageRun } from "./salvage.js";

/** What a segment is read for. */
export interface SegmentReading {
  readonly segment: Segment;
  /** The length of its file. */
  readonly fileLength: number;
  /** Bytes below this were synced for certain; damage there is rot. */
  readonly syncedLength: number;
  /** The highest version the segment can hold; Infinity if that is not known. */
  readonly versionCeiling: number;
}

/** What was found. */
export interface SegmentFindings {
  /** Where the sound part ends; bytes behind it are a torn tail. */
  readonly length: number;
  /** Where the last frame with BARRIER starts; 0 if there is none. */
  readonly lastBarrier: number;
  /** Whether bytes that were not known to be synced could not be read, and were kept. */
  readonly hasUnreadable: boolean;
  readonly newestTimestampMs: number;
  readonly highestVersion: number;
}

/** Reads a segment into the index; registers damage. */
export class SegmentReader {
  readonly #reading: SegmentReading;
  readonly #loader: EntrySink;
  readonly #damage: DamageRegister;
  #lastBarrier = 0;
  #hasUnreadable = false;
  #newestTimestampMs = 0;
  #highestVersion = 0;
  /** From here on nothing is taken, nor guessed at, though it could be read; see #judge. */
  #waitingFrom = Number.POSITIVE_INFINITY;
  /** A damaged run whose versions are known only when the next sound frame is. */
  #openRun: { offset: number; length: number; versionBefore: number } | undefined;

  constructor(reading: SegmentReading, loader: EntrySink, damage: DamageRegister) {
    this.#reading = reading;
    this.#loader = loader;
    this.#damage = damage;
  }

  async read(): Promise<SegmentFindings> {
    const { fileLength } = this.#reading;
    let from = 0;
    let length = fileLength;
    while (from < fileLength) {
      const stop = await scanFrames(this.#range(from), (scanned) => this.#take(scanned));
      if (stop.kind === "unknown") throw this.#tooNew(stop.offset);
      if (stop.kind === "end" && stop.offset >= fileLength) break;
      const next = await this.#judge(stop.offset);
      if (next === "torn") {
        length = stop.offset;
        break;
      }
      this.#openRun = {
        offset: stop.offset,
        length: next - stop.offset,
        versionBefore: this.#highestVersion,
      };
      from = next;
      if (next < fileLength) await this.#peekAndCloseRun(next);
      else {
        await this.#closeRun(this.#reading.versionCeiling);
        if (stop.offset < this.#reading.syncedLength) this.#coverEnd();
      }
    }
    return {
      length,
      lastBarrier: this.#lastBarrier,
      hasUnreadable: this.#hasUnreadable,
      newestTimestampMs: this.#newestTimestampMs,
      highestVersion: this.#highestVersion,
    };
  }

  #range(from: number): {
    file: NonNullable<Segment["file"]>;
    salt: number;
    from: number;
    to: number;
  } {
    const { segment, fileLength } = this.#reading;
    if (segment.file === undefined) throw new Error("a missing segment cannot be read");
    return { file: segment.file, salt: segment.name.salt, from, to: fileLength };
  }

  #take(scanned: ScannedFrame): boolean {
    const { segment } = this.#reading;
    const isOurs = visitFrame(scanned, segment, {
      entry: (entry) => this.#load(entry),
      request: (request) => this.#loader.loadRequest(segment, request),
    });
    if (!isOurs) throw this.#tooNew(scanned.offset);
    if ((scanned.frame.flags & FrameFlag.BARRIER) !== 0) this.#lastBarrier = scanned.offset;
    if (scanned.frame.timestampMs > this.#newestTimestampMs) {
      this.#newestTimestampMs = scanned.frame.timestampMs;
    }
    return true;
  }

  #load(entry: FrameEntry): void {
    if (entry.version > this.#highestVersion) this.#highestVersion = entry.version;
    this.#loader.load(this.#reading.segment, {
      source: entry.bytes,
      keyStart: entry.keyStart,
      keyEnd: entry.keyEnd,
      offset: entry.offset,
      length: entry.length,
      version: entry.version,
      expiresAtMs: entry.expiresAtMs,
      isTombstone: (entry.flags & FrameFlag.TOMBSTONE) !== 0,
      isLost: false,
    });
  }

  /** Where reading goes on behind damage at `offset`; "torn" if that is the end. */
  async #judge(offset: number): Promise<number | "torn"> {
    const { syncedLength, fileLength } = this.#reading;
    const found = await findFrame(this.#range(offset + 1));
    if (found.kind === "gave-up") return fileLength;
    if (offset < syncedLength) {
      return found.kind === "frame" && found.offset < syncedLength ? found.offset : syncedLength;
    }
    if (found.kind === "frame" && (await this.#barrierFollows(found))) return found.offset;
    const { file, to } = this.#range(offset);
    if (await isReadable(file, offset, to)) return "torn";
    this.#hasUnreadable = true;
    if (found.kind !== "frame") return fileLength;
    if (!(await this.#isTornBehind(found))) return found.offset;
    // They may be members of a commit that was cut short: all waits for who can read its head.
    this.#waitingFrom = found.offset;
    return fileLength;
  }

  /**
   * Whether what is behind the frame found ends in a frame that was cut short, and was
   * begun before all in front of it had been synced.
   */
  async #isTornBehind(found: Resync): Promise<boolean> {
    let next = found;
    while (next.kind === "frame") {
      const range = this.#range(next.offset);
      const { file, to } = range;
      const stop = await scanFrames(range, () => true);
      if (stop.offset >= to || stop.kind === "unknown") return false;
      if (await isReadable(file, stop.offset, to)) {
        const header = new Uint8Array(FRAME_HEADER_BYTES);
        if ((await file.read(header, stop.offset)) < header.length) return true;
        const { flags } = readFrameHeader(new DataView(header.buffer), 0);
        return (flags & FrameFlag.BARRIER) === 0;
      }
      next = await findFrame(this.#range(stop.offset + 1));
    }
    return false;
  }

  /** Whether some sound frame with BARRIER starts at or after the one found. */
  async #barrierFollows(found: Resync): Promise<boolean> {
    let next = found;
    while (next.kind === "frame") {
      let sawBarrier = false;
      const stop = await scanFrames(this.#range(next.offset), (scanned) => {
        sawBarrier = (scanned.frame.flags & FrameFlag.BARRIER) !== 0;
        return !sawBarrier;
      });
      if (sawBarrier) return true;
      if (stop.offset >= this.#reading.fileLength) return false;
      next = await findFrame(this.#range(stop.offset + 1));
    }
    return next.kind === "gave-up";
  }

  /** The first version behind a damaged run bounds the versions in it. */
  async #peekAndCloseRun(offset: number): Promise<void> {
    let versionAfter = this.#reading.versionCeiling;
    await scanFrames(this.#range(offset), (scanned) => {
      visitFrame(scanned, this.#reading.segment, {
        entry: (entry) => {
          versionAfter = Math.min(versionAfter, entry.version);
        },
      });
      return false;
    });
    await this.#closeRun(versionAfter);
  }

  async #closeRun(versionAfter: number): Promise<void> {
    const run = this.#openRun;
    if (run === undefined) return;
    this.#openRun = undefined;
    const { segment } = this.#reading;
    const length = Math.min(run.length, this.#waitingFrom - run.offset);
    const salvage = await salvageRun({ segment, ...run, length, versionAfter });
    const { lost, isComplete } = salvage;
    loadLost(segment, lost, this.#loader);
    for (const request of salvage.requests) this.#loader.loadRequest(segment, request);
    this.#damage.addRun({
      segment: segment.name,
      offset: run.offset,
      length: run.length,
      versionBefore: run.versionBefore,
      versionAfter,
      versionCeiling: this.#reading.versionCeiling,
      keysUnknown: !isComplete || length < run.length,
    });
  }

  /** What it had at its end was synced, though nothing sound says so: it is never called torn. */
  #coverEnd(): void {
    const { segment, versionCeiling } = this.#reading;
    const versionBefore = this.#highestVersion;
    const around = { versionBefore, versionAfter: versionCeiling, versionCeiling };
    const { firstVersion, lastVersion } = versionsOf(around);
    segment.coverVersion(firstVersion);
    segment.coverVersion(lastVersion);
  }

  #tooNew(offset: number): KvixError {
    const file = this.#reading.segment.name.fileName;
    return new KvixError("FORMAT_TOO_NEW", `${file} has a frame of an unknown kind at ${offset}`, {
      metadata: { file, offset },
    });
  }
}
