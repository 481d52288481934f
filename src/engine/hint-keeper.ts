/**
 * Writes the hints of sealed segments in the background: after a rotation, and
 * after an opening that found a hint missing or doubtful. The segment is read
 * again, in slices that leave the event loop to others; no compaction is
 * needed.
 *
 * A hint only accelerates: when one cannot be written, the store goes on, and
 * the next opening reads the segment instead. None is written of a segment that the
 * disk cannot read wholly: a later opening may read what would not be in it; nor of one
 * that was sealed by an opening that could not read its end.
 */
import { create } from "@bufbuild/protobuf";
import { type HintRequest, HintRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { HintWriter } from "../format/hint-writer.js";
import type { Host } from "../host/host.js";
import { HintFile } from "../storage/hint-file.js";
import type { StoreDirectories } from "../storage/layout.js";
import type { Segment } from "../storage/segment.js";
import { findFrame, type ScanRange, type ScanStop, scanFrames } from "../storage/segment-scan.js";
import { type DamageRegister, damageMessage, unjudgedFrom } from "./damage.js";
import { type FrameEntry, type FrameRequest, type FrameSink, visitFrame } from "./frame-loader.js";
import { addLostToHint, addToHint } from "./hint-entry.js";
import { type Keydir, NO_ENTRY } from "./keydir/keydir.js";
import type { Latch } from "./latch.js";
import type { Pins } from "./pins.js";
import { type Salvage, salvageRun } from "./salvage.js";

/** How many bytes of a segment are read before others get a turn. */
const SLICE_BYTES = 512 * 1024;

/** What the keeper works with. */
export interface HintKeeperContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  readonly storeId: Uint8Array;
  readonly keydir: Keydir;
  readonly damage: DamageRegister;
  readonly latch: Latch;
  readonly pins: Pins;
}

/** Thrown inside to stop at a close. */
class Stopped extends Error {}

/** Builds hints one after the other. */
export class HintKeeper {
  readonly #context: HintKeeperContext;
  readonly #queue: Segment[] = [];
  #isStopped = false;
  /** Who waits for a hint. */
  #waiting: (() => void)[] = [];
  #working: Promise<void> | undefined;

  constructor(context: HintKeeperContext) {
    this.#context = context;
  }

  /** How many hints are still to be written. */
  get missing(): number {
    return this.#queue.length;
  }

  /** Asks for the hint of a sealed segment. */
  add(segment: Segment): void {
    if (this.#isStopped) return;
    // What of its end counts is for another opening to say.
    if (unjudgedFrom(segment, this.#context.damage) < segment.length) return;
    this.#queue.push(segment);
    this.#working ??= this.#work();
  }

  /** Whether the hint of a segment is still to be written. */
  isPending(segment: Segment): boolean {
    return this.#queue.includes(segment);
  }

  /** Resolves when the hint of a segment is written, or given up. */
  async untilWritten(segment: Segment): Promise<void> {
    while (this.isPending(segment) && !this.#isStopped) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    await this.#working;
  }

  /** Leaves what is not begun to the next opening. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    const { log } = this.#context.host;
    for (let segment = this.#queue[0]; segment !== undefined; segment = this.#queue[0]) {
      if (this.#isStopped) break;
      const file = segment.name.hintName;
      // A segment that is being taken away needs no hint any more.
      const hold = this.#context.pins.hold(segment);
      try {
        if (hold !== undefined) {
          await this.#build(segment);
          log.debug({ file }, "hint written");
        }
      } catch (err) {
        if (!(err instanceof Stopped)) log.warn({ err, file }, "a hint could not be written");
      } finally {
        hold?.release();
      }
      this.#queue.shift();
      this.#wake();
    }
    this.#wake();
    this.#working = undefined;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #build(segment: Segment): Promise<void> {
    const { host, storeId } = this.#context;
    const fileLength = (await segment.file?.size()) ?? 0;
    if (fileLength < segment.length) throw new Error("the end of the segment is missing");
    const { id: segmentId, timestampNs } = segment.name;
    const writer = new HintWriter(
      { storeId, segmentId, timestampNs },
      { segmentBytes: segment.length },
    );
    const hint = await HintFile.create(host.files, segment);
    try {
      const facts = await this.#addEntries(segment, writer, hint);
      for (const piece of writer.finish(facts)) await hint.append(piece);
      await hint.commit();
    } catch (error) {
      await hint.abandon().catch(() => undefined);
      throw error;
    }
    await this.#syncDirectory();
  }

  /**
   * The hint could do without; but the names of segments lie in the same
   * directory, and a sync of it that failed may have lost one of them for good.
   */
  async #syncDirectory(): Promise<void> {
    const { host, directories, latch } = this.#context;
    try {
      await host.files.syncDirectory(directories.segments);
    } catch (error) {
      latch.close("a sync of the segment directory failed", error);
      throw error;
    }
  }

  /** Adds what the index needs of the segment, and answers what the summary needs. */
  async #addEntries(segment: Segment, writer: HintWriter, hint: HintFile) {
    const { damage } = this.#context;
    const requests: HintRequest[] = [];
    const pieces: (Uint8Array | undefined)[] = [];
    let newestTimestampMs = 0;
    let newestVersion = 0;
    const sink = {
      entry: (entry: FrameEntry) => {
        if (entry.timestampMs > newestTimestampMs) newestTimestampMs = entry.timestampMs;
        if (entry.version > newestVersion) newestVersion = entry.version;
        if (!this.#isSupersededWithin(segment, entry)) pieces.push(addToHint(writer, entry));
      },
      request: (request: FrameRequest) => {
        const { requestId, offset, length } = request;
        requests.push(
          create(HintRequestSchema, { requestId, offset: BigInt(offset), length: BigInt(length) }),
        );
      },
    };
    for (let from = 0; from < segment.length; ) {
      const stop = await this.#scanSlice(segment, from, sink);
      from = stop.offset;
      if (stop.kind !== "end") {
        const salvage = await this.#lookIntoDamage(segment, from, newestVersion);
        for (const lost of salvage.lost) pieces.push(addLostToHint(writer, lost));
        for (const request of salvage.requests) sink.request(request);
        from = salvage.end;
      }
      for (const piece of pieces.splice(0)) if (piece !== undefined) await hint.append(piece);
      if (this.#isStopped) throw new Stopped();
      await new Promise<void>((resolve) => this.#context.host.clock.soon(resolve));
    }
    return {
      segmentLength: BigInt(segment.length),
      segmentChecksum: segment.checksum,
      lowestVersion: BigInt(segment.lowestVersion),
      highestVersion: BigInt(segment.highestVersion),
      newestTimestamp: BigInt(newestTimestampMs) * 1_000_000n,
      damagedRanges: damage
        .of(segment.name)
        .filter((range) => range.offset + range.length <= segment.length)
        .map(damageMessage),
      requests,
    };
  }

  #scanSlice(segment: Segment, from: number, sink: FrameSink): Promise<ScanStop> {
    return scanFrames(rangeOf(segment, from), (scanned) => {
      if (!visitFrame(scanned, segment, sink)) throw new Error("a frame of an unknown kind");
      return scanned.offset - from < SLICE_BYTES;
    });
  }

  /**
   * What damage at `offset` still tells, from its bytes and not from the index,
   * which may have newer writes of these keys that are not durable (V16); and
   * where sound frames go on. Damage that nobody knew of is registered.
   */
  async #lookIntoDamage(
    segment: Segment,
    offset: number,
    versionBefore: number,
  ): Promise<Pick<Salvage, "lost" | "requests"> & { end: number }> {
    const found = await findFrame(rangeOf(segment, offset + 1));
    const end = found.kind === "frame" ? found.offset : segment.length;
    let versionAfter = segment.highestVersion + 1;
    await scanFrames(rangeOf(segment, end), (scanned) => {
      visitFrame(scanned, segment, {
        entry: (entry) => {
          versionAfter = Math.min(versionAfter, entry.version);
        },
      });
      return false;
    });
    const length = end - offset;
    const { lost, requests, isComplete } = await salvageRun({
      segment,
      offset,
      length,
      versionBefore,
      versionAfter,
      refusesHoles: true,
    });
    this.#context.damage.addRun({
      segment: segment.name,
      offset,
      length,
      versionBefore,
      versionAfter,
      versionCeiling: segment.highestVersion + 1,
      keysUnknown: !isComplete,
    });
    return { lost, requests, end };
  }

  /**
   * Whether the index points at a newer record of the key in this very segment.
   * One in another segment does not count: it may not be durable yet (V16).
   */
  #isSupersededWithin(segment: Segment, entry: FrameEntry): boolean {
    const { keydir } = this.#context;
    const known = keydir.findIn(entry.bytes, entry.keyStart, entry.keyEnd);
    return (
      known !== NO_ENTRY &&
      keydir.segmentOf(known) === segment.name.id &&
      keydir.versionOf(known) > entry.version
    );
  }
}

function rangeOf(segment: Segment, from: number): ScanRange {
  const { file, name, length } = segment;
  if (file === undefined) throw new Error("the segment is missing");
  return { file, salt: name.salt, from, to: length, refusesHoles: true };
}
