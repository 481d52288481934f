/**
 * From a place in a segment to a verified record: one read, one checksum, and
 * the key and version that the index promised. Whatever does not match is
 * DATA_LOSS, never "not found" (V13). Small records that were verified once are
 * cached.
 *
 * Small reads are synchronous: from the page cache they take 2 us, through the
 * thread pool 5 to 60. A read that proves slow (a cold disk) moves the next
 * ones to the pool, so that the event loop does not wait for the disk.
 */
import { KvixError } from "../base/kvix-error.js";
import { crc32Between } from "../format/checksum.js";
import { FRAME_HEADER_BYTES, FrameFlag, SCHEMA_VERSION } from "../format/frame.js";
import { newRecordFields, parseRecord, type RecordFields } from "../format/record.js";
import type { File } from "../host/file-system.js";
import type { Clock } from "../host/host.js";
import type { Segment } from "../storage/segment.js";
import type { DamageRegister } from "./damage.js";
import type { Pins } from "./pins.js";
import { CACHED_FRAME_BYTES_MAX, type RecordCache } from "./record-cache.js";
import type { StoredRecord } from "./store.js";

/** Larger records are read off the event loop. */
const SYNC_READ_BYTES_MAX = 64 * 1024;
/** A synchronous read that took longer than this came from the disk, not from the page cache. */
const SLOW_READ_MS = 1;
/** How many reads go to the thread pool after a slow one. */
const POOL_READS = 64;
/** One synchronous read in so many is timed. */
const TIMED_READ_INTERVAL = 16;

/** Whether the version byte of a frame is that of a record: only BARRIER says nothing of the payload. */
function isRecordVersion(version: number): boolean {
  return (version & ~FrameFlag.BARRIER) === SCHEMA_VERSION;
}

/** A record whose fields lie in the bytes of its frame. */
class VerifiedRecord implements StoredRecord {
  private readonly frame: Uint8Array;
  private readonly valueStart: number;
  private readonly valueEnd: number;
  readonly version: number;

  constructor(frame: Uint8Array, valueStart: number, valueEnd: number, version: number) {
    this.frame = frame;
    this.valueStart = valueStart;
    this.valueEnd = valueEnd;
    this.version = version;
  }

  get payload(): Uint8Array {
    return this.frame.subarray(FRAME_HEADER_BYTES);
  }

  get value(): Uint8Array {
    return this.frame.subarray(this.valueStart, this.valueEnd);
  }

  get updatedAtMs(): number {
    return this.times().updatedAtMs;
  }

  get expiresAtMs(): number {
    return this.times().expiresAtMs;
  }

  /** Read when they are asked for: most readers never do. */
  private times(): RecordFields {
    const parsed = newRecordFields();
    parseRecord(this.frame, FRAME_HEADER_BYTES, this.frame.length, parsed);
    return parsed;
  }
}

const fields = newRecordFields();

/** Reads records of the segments of a store. */
export class RecordReader {
  readonly #clock: Clock;
  readonly #damage: DamageRegister;
  readonly #cache: RecordCache;
  readonly #pins: Pins;
  #poolReads = 0;
  #untilTimed = 0;

  constructor(clock: Clock, damage: DamageRegister, cache: RecordCache, pins: Pins) {
    this.#pins = pins;
    this.#clock = clock;
    this.#damage = damage;
    this.#cache = cache;
  }

  /** Whether `read` of a frame of so many bytes gives no promise now. */
  readsAtOnce(length: number): boolean {
    return length <= SYNC_READ_BYTES_MAX && this.#poolReads === 0;
  }

  /**
   * The record of `key` and `version` whose frame lies at `offset`; a promise
   * only if it is read off the event loop. The place is one that the index has
   * now, or that the caller keeps by a ticket.
   */
  read(
    segment: Segment,
    offset: number,
    length: number,
    key: Uint8Array | undefined,
    version: number,
  ): StoredRecord | Promise<StoredRecord> {
    if (length <= CACHED_FRAME_BYTES_MAX) {
      const cached = this.#findCached(key, version);
      if (cached !== undefined) return cached;
    }
    const { file } = segment;
    if (file === undefined) throw this.#corrupt(segment, offset, length, version);
    if (!this.readsAtOnce(length)) {
      return this.#readInPool(file, segment, offset, length, key, version);
    }
    const frame = allocate(length);
    let read: number;
    try {
      read =
        this.#untilTimed > 0 ? file.readSync(frame, offset) : this.#timedRead(file, frame, offset);
      this.#untilTimed -= 1;
    } catch (cause) {
      throw readFailed(segment, offset, cause);
    }
    return this.#verify(frame, read, segment, offset, key, version);
  }

  /**
   * The bytes from `from` to `to` of a segment, read at once; undefined: not now, for the
   * disk is slow, does not have all of them, or fails. The caller reads one by one then.
   */
  readRun(segment: Segment, from: number, to: number): Uint8Array | undefined {
    // No Buffer: slicing one costs twice as much.
    const run = new Uint8Array(Buffer.allocUnsafeSlow(to - from).buffer);
    return this.fill(run, segment, from) ? run : undefined;
  }

  /** Fills `target` with the bytes of a segment from `from` on; false: not now, as above. */
  fill(target: Uint8Array, segment: Segment, from: number): boolean {
    const { file } = segment;
    if (file === undefined || this.#poolReads > 0) return false;
    try {
      return this.#timedRead(file, target, from) === target.length;
    } catch {
      return false;
    }
  }

  /**
   * The record whose frame, of `length` bytes at `offset` of the segment, is `frame`. It
   * is not cached: who reads runs reads much, and once. Throws RECORD_CORRUPT.
   */
  recordOf(
    frame: Uint8Array,
    segment: Segment,
    offset: number,
    key: Uint8Array,
    version: number,
  ): StoredRecord {
    this.#requireSound(frame, frame.length, segment, offset, key, version);
    return recordIn(frame, version);
  }

  /**
   * Whether the frame in `bytes` from `start` to `end`, which lies at `offset` of the
   * segment, is the record of `version` and of the key in `keys` from `keyStart` to
   * `keyEnd`; if not, takes note of the damage.
   */
  verifyIn(
    bytes: Uint8Array,
    start: number,
    end: number,
    segment: Segment,
    offset: number,
    keys: Uint8Array,
    keyStart: number,
    keyEnd: number,
    version: number,
  ): boolean {
    const isSound =
      isSoundFrame(bytes, start, end, segment.name.salt) &&
      fields.version === version &&
      areEqual(keys, keyStart, keyEnd, bytes, fields.keyStart, fields.keyEnd);
    if (!isSound) this.#corrupt(segment, offset, end - start, version);
    return isSound;
  }

  #findCached(key: Uint8Array | undefined, version: number): StoredRecord | undefined {
    const frame = this.#cache.find(version);
    if (frame === undefined) return undefined;
    const isRecord =
      parseRecord(frame, FRAME_HEADER_BYTES, frame.length, fields) &&
      isRecordOf(key, version, frame);
    // It was verified when it was added; what does not fit now is read anew.
    return isRecord ? recordIn(frame, version) : undefined;
  }

  #timedRead(file: File, frame: Uint8Array, offset: number): number {
    this.#untilTimed = TIMED_READ_INTERVAL;
    const startMs = this.#clock.monotonicMs();
    const read = file.readSync(frame, offset);
    if (this.#clock.monotonicMs() - startMs > SLOW_READ_MS) this.#poolReads = POOL_READS;
    return read;
  }

  async #readInPool(
    file: File,
    segment: Segment,
    offset: number,
    length: number,
    key: Uint8Array | undefined,
    version: number,
  ): Promise<StoredRecord> {
    if (this.#poolReads > 0) this.#poolReads -= 1;
    // The caller may have used its key's memory again by the time the disk has answered.
    // Not by slice: a Buffer's shares its bytes.
    const ownKey = key && new Uint8Array(key);
    const frame = allocate(length);
    const ticket = this.#pins.enter();
    let read: number;
    try {
      read = await file.read(frame, offset);
    } catch (cause) {
      throw readFailed(segment, offset, cause);
    } finally {
      ticket.leave();
    }
    return this.#verify(frame, read, segment, offset, ownKey, version);
  }

  #verify(
    frame: Uint8Array,
    read: number,
    segment: Segment,
    offset: number,
    key: Uint8Array | undefined,
    version: number,
  ): StoredRecord {
    this.#requireSound(frame, read, segment, offset, key, version);
    this.#cache.add(version, frame);
    return recordIn(frame, version);
  }

  /** Leaves the fields of the frame parsed. */
  #requireSound(
    frame: Uint8Array,
    read: number,
    segment: Segment,
    offset: number,
    key: Uint8Array | undefined,
    version: number,
  ): void {
    const isSound =
      read === frame.length &&
      isSoundFrame(frame, 0, frame.length, segment.name.salt) &&
      isRecordOf(key, version, frame);
    if (!isSound) throw this.#corrupt(segment, offset, frame.length, version);
  }

  #corrupt(segment: Segment, offset: number, length: number, version: number): KvixError {
    return recordCorrupt(this.#damage, segment, offset, length, version);
  }
}

/** Takes note that the record of `version`, whose frame lies there, is damaged. */
export function recordCorrupt(
  damage: DamageRegister,
  segment: Segment,
  offset: number,
  length: number,
  version: number,
): KvixError {
  damage.add({
    segment: segment.name,
    offset,
    length,
    firstVersion: version,
    lastVersion: version,
    keysUnknown: false,
  });
  const file = segment.name.fileName;
  return new KvixError("RECORD_CORRUPT", `${file} at ${offset}, ${length} bytes`, {
    metadata: { file, offset, length, version },
  });
}

/** Whether the bytes from `start` to `end` are the frame of a record; leaves its fields parsed. */
function isSoundFrame(bytes: Uint8Array, start: number, end: number, salt: number): boolean {
  return (
    littleEndian(bytes, start) === crc32Between(bytes, start + 4, end, salt) &&
    littleEndian(bytes, start + 4) === end - start - FRAME_HEADER_BYTES &&
    isRecordVersion(bytes[start + 8]!) &&
    parseRecord(bytes, start + FRAME_HEADER_BYTES, end, fields)
  );
}

/** Whether the frame whose fields were just parsed is the record that the index promised. */
function isRecordOf(key: Uint8Array | undefined, version: number, frame: Uint8Array): boolean {
  return (
    fields.version === version &&
    (key === undefined || areEqual(key, 0, key.length, frame, fields.keyStart, fields.keyEnd))
  );
}

function recordIn(frame: Uint8Array, version: number): StoredRecord {
  return new VerifiedRecord(frame, fields.valueStart, fields.valueEnd, version);
}

/** Small frames share a page of the pool; a large one must not keep a page of others alive. */
function allocate(length: number): Uint8Array {
  return length <= 1024 ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(length);
}

function littleEndian(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

function areEqual(
  one: Uint8Array,
  oneStart: number,
  oneEnd: number,
  other: Uint8Array,
  otherStart: number,
  otherEnd: number,
): boolean {
  const length = oneEnd - oneStart;
  if (otherEnd - otherStart !== length) return false;
  for (let index = 0; index < length; index += 1) {
    if (one[oneStart + index] !== other[otherStart + index]) return false;
  }
  return true;
}

/** The disk refused to read; another time it may not. */
export function readFailed(segment: Segment, offset: number, cause: unknown): KvixError {
  const file = segment.name.fileName;
  return new KvixError("READ_FAILED", `${file} at ${offset}`, {
    cause,
    metadata: { file, offset },
  });
}
