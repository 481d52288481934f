/**
 * The records of one victim from its first byte to its last, slice by slice: what
 * lives, by the engine's verdict, is handed on in the order of versions.
 *
 *     scan a slice -> ask which of its records live -> hand on those that do
 *
 * A victim that cannot be read whole ends with DamagedVictim, and nothing of it is
 * taken (M12).
 */
import { FrameFlag, readFrame } from "../../format/frame.js";
import type { File } from "../../host/file-system.js";
import type { Channel } from "../../host/worker.js";
import { ByteWindow } from "../../storage/byte-window.js";
import type { Segment } from "../../storage/segment.js";
import { scanFrames } from "../../storage/segment-scan.js";
import { type FrameEntry, visitFrame } from "../frame-loader.js";
import type { JudgeRequest, Verdict } from "./copier-orders.js";

/** A slice ends behind this many bytes: what is left of a read of 1 MiB is not worth another. */
const SLICE_BYTES = 768 * 1024;
/** And behind this many records, so that judging it takes the engine no long turn. */
const SLICE_RECORDS = 4096;

/**
 * Of a slice so many bytes of frames are held; what is beyond is read again when it is
 * written. A slice may end with a value or a batch of 100 MiB, and there are many victims.
 */
const HELD_BYTES_MAX = 2 * 1024 * 1024;

/** A record that lives, or a tombstone that may be needed; its frame, or its beginning with the key. */
export type SurvivingRecord = FrameEntry;

/** Thrown where a victim cannot be read. */
export class DamagedVictim extends Error {
  /** Which victim of the order. */
  readonly victim: number;
  readonly offset: number;

  constructor(victim: number, offset: number) {
    super("a victim is damaged");
    this.victim = victim;
    this.offset = offset;
  }
}

/** Thrown when the engine wants no more. */
export class CopyStopped extends Error {}

/** Reads one victim. */
export class VictimReader {
  readonly #segment: Segment;
  readonly #file: File;
  readonly #index: number;
  readonly #channel: Channel;
  /** Goes over the victim once; what a slice leaves of it the next one takes up. */
  readonly #window: ByteWindow;
  /** The frames of the slice; used again for the next, when all of them are handed on. */
  readonly #held = Buffer.allocUnsafeSlow(HELD_BYTES_MAX);
  #position = 0;
  #records: SurvivingRecord[] = [];
  #next = 0;

  /** `index`: which victim of the order it is. */
  constructor(segment: Segment, file: File, index: number, channel: Channel) {
    this.#segment = segment;
    this.#file = file;
    this.#index = index;
    this.#channel = channel;
    this.#window = new ByteWindow(file, segment.length);
  }

  /** The next record that lives; undefined: there are no more. It is good until the next `advance`. */
  get head(): SurvivingRecord | undefined {
    return this.#records[this.#next];
  }

  /** Goes on to the next record. To be called once before the first. */
  async advance(): Promise<void> {
    this.#next += 1;
    while (this.#next >= this.#records.length && this.#position < this.#segment.length) {
      await this.#readSlice();
    }
  }

  /** The whole frame of a record of this victim. Throws DamagedVictim. */
  async frameOf({ bytes, offset, length }: SurvivingRecord): Promise<Uint8Array> {
    if (bytes.length === length) return bytes;
    const frame = new Uint8Array(length);
    const view = new DataView(frame.buffer);
    const read = await this.#file.read(frame, offset);
    const verdict = readFrame(frame, view, 0, read, this.#segment.name.salt);
    if (verdict.kind !== "frame" || verdict.frameBytes !== length)
      throw new DamagedVictim(this.#index, offset);
    return frame;
  }

  async #readSlice(): Promise<void> {
    const slice = new Slice(this.#held);
    const from = this.#position;
    const range = {
      file: this.#file,
      salt: this.#segment.name.salt,
      from,
      to: this.#segment.length,
    };
    const stop = await scanFrames(
      range,
      (scanned) => {
        const isOurs = visitFrame(scanned, this.#segment, {
          entry: (entry) => slice.add(entry, scanned.at + entry.offset - scanned.offset),
        });
        if (!isOurs) throw new DamagedVictim(this.#index, scanned.offset);
        const read = scanned.offset + scanned.frame.frameBytes - from;
        return read < SLICE_BYTES && slice.records.length < SLICE_RECORDS;
      },
      this.#window,
    );
    if (stop.kind !== "end") throw new DamagedVictim(this.#index, stop.offset);
    this.#position = stop.offset;
    const request = slice.request(this.#index, stop.offset, stop.offset - from);
    this.#channel.post(request, [request.keys.buffer as ArrayBuffer]);
    const verdict = (await this.#channel.receive()) as Verdict | undefined;
    if (verdict === undefined) throw new CopyStopped();
    this.#records = slice.records.filter((_, index) => verdict.keep[index] === 1);
    this.#next = 0;
  }
}

/** Records that were scanned together. */
class Slice {
  readonly records: SurvivingRecord[] = [];
  readonly #held: Buffer;
  #keyBytes = 0;
  #heldBytes = 0;

  /** `held`: memory for frames; what has no room in it is not held. */
  constructor(held: Buffer) {
    this.#held = held;
  }

  /** Copies the frame that starts at `at`: a scan may use its memory again for what follows. */
  add(entry: FrameEntry, at: number): void {
    const keyStart = entry.keyStart - at;
    const keyEnd = entry.keyEnd - at;
    const bytes = this.#hold(entry, at) ?? Buffer.from(entry.bytes.subarray(at, at + keyEnd));
    this.records.push({ ...entry, bytes, keyStart, keyEnd });
    this.#keyBytes += keyEnd - keyStart;
  }

  /** A copy of the frame in the memory for frames, if there is room. */
  #hold({ bytes, length }: FrameEntry, at: number): Uint8Array | undefined {
    const start = this.#heldBytes;
    if (start + length > this.#held.length) return undefined;
    this.#heldBytes += length;
    this.#held.set(bytes.subarray(at, at + length), start);
    return this.#held.subarray(start, start + length);
  }

  request(victim: number, upTo: number, bytesRead: number): JudgeRequest & Record<string, unknown> {
    const count = this.records.length;
    const offsets = new Uint32Array(count);
    const lengths = new Uint32Array(count);
    const versions = new Float64Array(count);
    const tombstones = new Uint8Array(count);
    const keyEnds = new Uint32Array(count);
    const keys = new Uint8Array(this.#keyBytes);
    let end = 0;
    for (const [index, record] of this.records.entries()) {
      keys.set(record.bytes.subarray(record.keyStart, record.keyEnd), end);
      end += record.keyEnd - record.keyStart;
      keyEnds[index] = end;
      offsets[index] = record.offset;
      lengths[index] = record.length;
      versions[index] = record.version;
      tombstones[index] = (record.flags & FrameFlag.TOMBSTONE) === 0 ? 0 : 1;
    }
    const columns = { offsets, lengths, versions, tombstones, keys, keyEnds };
    return { kind: "judge", victim, upTo, bytesRead, count, ...columns };
  }
}
