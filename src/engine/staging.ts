/**
 * Frames on their way to the log, encoded at acceptance into chunks that are
 * written as they lie. What depends on the segment (checksum, BARRIER) is
 * filled in when the chunk is written, because only then is the segment known.
 *
 * The frame of an upload has a chunk of its own, which holds all but the value.
 *
 * A chunk never exceeds the segment limit unless it holds a single frame, so a
 * chunk always fits an empty segment or is the one frame that has a segment of
 * its own.
 */
import { sealFrame, sealSplitFrame } from "../format/frame.js";
import type { StagedValue } from "./staged-value.js";
import type { PendingEntry, WriteOp } from "./write-op.js";

/** A chunk large enough that a write costs little per frame, small enough to be copied in no time. */
const CHUNK_BYTES = 256 * 1024;
/** How many idle chunks are kept for reuse. */
const SPARE_CHUNKS_MAX = 4;

/** Frames that are written with one call. */
export class StagedChunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** How many bytes of the log it makes. */
  used = 0;
  /** The value of its only frame, and where in `bytes` it belongs; undefined: all is in `bytes`. */
  middle: { readonly value: StagedValue; readonly at: number } | undefined;
  /** The newest version in it; 0: none. */
  lastVersion = 0;
  /** When the newest frame in it was accepted, in Unix milliseconds; 0: it has none. */
  newestTimestampMs = 0;
  ops: WriteOp[] = [];

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Adds the operation whose frames were encoded from `used` on and accepted at `nowMs`. */
  add(op: WriteOp, entries: readonly PendingEntry[], frameBytes: number, nowMs: number): void {
    if (nowMs > this.newestTimestampMs) this.newestTimestampMs = nowMs;
    op.at = this.used;
    op.frameBytes = frameBytes;
    op.entries = entries;
    this.used += frameBytes;
    this.lastVersion = entries.at(-1)?.version ?? this.lastVersion;
    this.ops.push(op);
  }

  /** What it makes of the log, in order. */
  pieces(): (Uint8Array | StagedValue)[] {
    const { bytes, middle, used } = this;
    if (middle === undefined) return [bytes.subarray(0, used)];
    return [bytes.subarray(0, middle.at), middle.value, bytes.subarray(middle.at)];
  }

  /** Fills in what depends on the segment. */
  seal(salt: number, firstIsBarrier: boolean): void {
    const { bytes, view, middle } = this;
    if (middle !== undefined) {
      sealSplitFrame(bytes, view, middle.at, middle.value, salt, firstIsBarrier);
      return;
    }
    let isBarrier = firstIsBarrier;
    for (const op of this.ops) {
      if (op.frameBytes === 0) continue;
      if (op.isBatch) {
        this.#sealEntries(op, salt, false);
        sealFrame(bytes, view, op.at, op.frameBytes, salt, isBarrier);
      } else this.#sealEntries(op, salt, isBarrier);
      isBarrier = false;
    }
  }

  #sealEntries({ entries }: WriteOp, salt: number, firstIsBarrier: boolean): void {
    let isBarrier = firstIsBarrier;
    for (const { at, length } of entries) {
      sealFrame(this.bytes, this.view, at, length, salt, isBarrier);
      isBarrier = false;
    }
  }
}

/** The chunks that wait for the log, oldest first; the last one still takes frames. */
export class Staging {
  readonly #capacity: number;
  #chunks: StagedChunk[] = [];
  #spare: StagedChunk[] = [];
  #elsewhereBytes = 0;

  /** Chunks stay below `segmentBytesMax`, a single frame apart. */
  constructor(segmentBytesMax: number) {
    this.#capacity = Math.min(CHUNK_BYTES, segmentBytesMax);
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** The newest version that waits; 0: nothing that waits has one. */
  get lastVersion(): number {
    for (let index = this.#chunks.length - 1; index >= 0; index -= 1) {
      const version = this.#chunks[index]?.lastVersion ?? 0;
      if (version > 0) return version;
    }
    return 0;
  }

  /** Bytes of values that wait in files of their own. */
  get elsewhereBytes(): number {
    return this.#elsewhereBytes;
  }

  /** The oldest chunk, or undefined. */
  get first(): StagedChunk | undefined {
    return this.#chunks[0];
  }

  /** The chunk in which the next `frameBytes` bytes go. */
  chunkFor(frameBytes: number): StagedChunk {
    const last = this.#chunks.at(-1);
    const hasRoom = last !== undefined && last.used + frameBytes <= this.#capacity;
    if (hasRoom && last.middle === undefined) return last;
    const chunk =
      frameBytes > this.#capacity
        ? new StagedChunk(frameBytes)
        : (this.#spare.pop() ?? new StagedChunk(this.#capacity));
    this.#chunks.push(chunk);
    return chunk;
  }

  /** A chunk for one frame, of which `aroundBytes` are in memory and `value` in between, at `at`. */
  chunkAround(value: StagedValue, at: number, aroundBytes: number): StagedChunk {
    const chunk = new StagedChunk(aroundBytes);
    chunk.middle = { value, at };
    this.#elsewhereBytes += value.length;
    this.#chunks.push(chunk);
    return chunk;
  }

  /** Takes the oldest chunk out. */
  take(): StagedChunk | undefined {
    const chunk = this.#chunks.shift();
    this.#elsewhereBytes -= chunk?.middle?.value.length ?? 0;
    return chunk;
  }

  /** Takes all chunks out. */
  takeAll(): StagedChunk[] {
    const all = this.#chunks;
    this.#chunks = [];
    this.#elsewhereBytes = 0;
    return all;
  }

  /**
   * Takes out the operations of the oldest chunks, up to the first chunk with frames:
   * what the log could not be made ready for. Less would be tried again for ever.
   */
  takeUpToFrames(): WriteOp[] {
    const ops: WriteOp[] = [];
    for (let chunk = this.take(); chunk !== undefined; chunk = this.take()) {
      for (const op of chunk.ops) ops.push(op);
      if (chunk.used > 0) break;
    }
    return ops;
  }

  /** Gives a chunk back whose frames are published or given up. */
  recycle(chunk: StagedChunk): void {
    const isOfUse = chunk.bytes.length === this.#capacity && chunk.middle === undefined;
    if (!isOfUse || this.#spare.length >= SPARE_CHUNKS_MAX) return;
    chunk.used = 0;
    chunk.lastVersion = 0;
    chunk.newestTimestampMs = 0;
    chunk.ops = [];
    this.#spare.push(chunk);
  }
}
