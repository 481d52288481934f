/**
 * Writes the hints of sealed segments in the background: after a rotation, and
 * after an opening that found a hint missing or doubtful. The segment is read
 * again, in slices that leave the event loop to others; no compaction is
 * needed.
 *
 * A hint only accelerates: when one cannot be written, the store goes on, and
 * the next opening reads the segment instead.
 */
import { create } from "@bufbuild/protobuf";
import { type HintRequest, HintRequestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { FrameFlag } from "../format/frame.js";
import { HintFlag } from "../format/hint-layout.js";
import { HintWriter } from "../format/hint-writer.js";
import type { Host } from "../host/host.js";
import { HintFile } from "../storage/hint-file.js";
import type { StoreDirectories } from "../storage/layout.js";
import type { Segment } from "../storage/segment.js";
import { findFrame, type ScanStop, scanFrames } from "../storage/segment-scan.js";
import { type DamageRegister, damageMessage } from "./damage.js";
import { type FrameEntry, visitFrame } from "./frame-loader.js";
import { type Keydir, NO_ENTRY } from "./keydir/keydir.js";

/** How many bytes of a segment are read before others get a turn. */
const SLICE_BYTES = 512 * 1024;

/** What the keeper works with. */
export interface HintKeeperContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  readonly storeId: Uint8Array;
  readonly keydir: Keydir;
  readonly damage: DamageRegister;
}

/** Thrown inside to stop at a close. */
class Stopped extends Error {}

/** Builds hints one after the other. */
export class HintKeeper {
  readonly #context: HintKeeperContext;
  readonly #queue: Segment[] = [];
  #isStopped = false;
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
    this.#queue.push(segment);
    this.#working ??= this.#work();
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
      try {
        await this.#build(segment);
        log.debug({ file }, "hint written");
      } catch (err) {
        if (!(err instanceof Stopped)) log.warn({ err, file }, "a hint could not be written");
      }
      this.#queue.shift();
    }
    this.#working = undefined;
  }

  async #build(segment: Segment): Promise<void> {
    const { host, directories, storeId } = this.#context;
    const { id: segmentId, timestampNs } = segment.name;
    const writer = new HintWriter({ storeId, segmentId, timestampNs });
    const hint = await HintFile.create(host.files, directories, segment);
    try {
      const facts = await this.#addEntries(segment, writer, hint);
      for (const piece of writer.finish(facts)) await hint.append(piece);
      await hint.commit();
    } catch (error) {
      await hint.abandon().catch(() => undefined);
      throw error;
    }
  }

  /** Adds what the index needs of the segment, and answers what the summary needs. */
  async #addEntries(segment: Segment, writer: HintWriter, hint: HintFile) {
    const { damage } = this.#context;
    const requests: HintRequest[] = [];
    const pieces: Uint8Array[] = [];
    let newestTimestampMs = 0;
    const sink = {
      entry: (entry: FrameEntry) => {
        if (entry.timestampMs > newestTimestampMs) newestTimestampMs = entry.timestampMs;
        if (this.#isSupersededWithin(segment, entry)) return;
        const piece = addToHint(writer, entry);
        if (piece !== undefined) pieces.push(piece);
      },
      request: (request: { requestId: Uint8Array; offset: number; length: number }) => {
        const { requestId, offset, length } = request;
        requests.push(
          create(HintRequestSchema, { requestId, offset: BigInt(offset), length: BigInt(length) }),
        );
      },
    };
    let from = 0;
    while (from < segment.length) {
      const stop = await this.#scanSlice(segment, from, sink);
      for (const piece of pieces.splice(0)) await hint.append(piece);
      if (this.#isStopped) throw new Stopped();
      await new Promise<void>((resolve) => this.#context.host.clock.soon(resolve));
      from = stop.kind === "end" ? stop.offset : await this.#behindDamage(segment, stop.offset);
    }
    for (const piece of this.#addDamagedEntries(segment, writer)) await hint.append(piece);
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

  #scanSlice(
    segment: Segment,
    from: number,
    sink: Parameters<typeof visitFrame>[2],
  ): Promise<ScanStop> {
    const { file } = segment;
    if (file === undefined) throw new Error("the segment is missing");
    const range = { file, salt: segment.name.salt, from, to: segment.length };
    return scanFrames(range, (scanned) => {
      if (!visitFrame(scanned, segment, sink)) throw new Error("a frame of an unknown kind");
      return scanned.offset - from < SLICE_BYTES;
    });
  }

  async #behindDamage(segment: Segment, offset: number): Promise<number> {
    const { file } = segment;
    if (file === undefined) throw new Error("the segment is missing");
    const isKnown = this.#context.damage
      .of(segment.name)
      .some((range) => offset >= range.offset && offset < range.offset + range.length);
    // A hint must not paper over damage that the index has not been told of.
    if (!isKnown) throw new Error(`the segment has damage at ${offset} that is not known yet`);
    const range = { file, salt: segment.name.salt, from: offset + 1, to: segment.length };
    const found = await findFrame(range);
    return found.kind === "frame" ? found.offset : segment.length;
  }

  /** Entries that the index holds for frames of this segment that cannot be read. */
  *#addDamagedEntries(segment: Segment, writer: HintWriter): Generator<Uint8Array> {
    const { damage, keydir } = this.#context;
    const ranges = damage.of(segment.name);
    if (ranges.length === 0) return;
    const found: number[] = [];
    keydir.forEach((entry) => {
      if (keydir.segmentOf(entry) !== segment.name.id) return;
      const offset = keydir.offsetOf(entry);
      const isDamaged = ranges.some(
        (range) => offset >= range.offset && offset < range.offset + range.length,
      );
      if (isDamaged) found.push(entry);
    });
    for (const entry of found) {
      const key = keydir.keyOf(entry);
      const piece = writer.add(
        key,
        0,
        key.length,
        keydir.offsetOf(entry),
        keydir.lengthOf(entry),
        keydir.versionOf(entry),
        keydir.expiresAtMsOf(entry),
        HintFlag.DAMAGED,
      );
      if (piece !== undefined) yield piece;
    }
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

function addToHint(writer: HintWriter, entry: FrameEntry): Uint8Array | undefined {
  const isTombstone = (entry.flags & FrameFlag.TOMBSTONE) !== 0;
  const isExpired = (entry.flags & FrameFlag.EXPIRED) !== 0;
  const flags = (isTombstone ? HintFlag.TOMBSTONE : 0) | (isExpired ? HintFlag.EXPIRED : 0);
  return writer.add(
    entry.bytes,
    entry.keyStart,
    entry.keyEnd,
    entry.offset,
    entry.length,
    entry.version,
    entry.expiresAtMs,
    flags,
  );
}
