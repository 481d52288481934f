/**
 * The records of one victim from its first byte to its last, slice by slice: what
 * lives, by the engine's verdict, is handed on in the order of versions.
 *
 *     scan a slice -> ask which of its records live -> hand on those that do
 *
 * A victim that cannot be read whole ends with DamagedVictim, and nothing of it is
 * taken (M12).
 */
import { FrameFlag } from "../../format/frame.js";
import type { File } from "../../host/file-system.js";
import type { Channel } from "../../host/worker.js";
import type { Segment } from "../../storage/segment.js";
import { scanFrames } from "../../storage/segment-scan.js";
import { type FrameEntry, visitFrame } from "../frame-loader.js";
import type { JudgeRequest, Verdict } from "./copier-orders.js";

/** A slice ends behind this many bytes: what is left of a read of 1 MiB is not worth another. */
const SLICE_BYTES = 768 * 1024;
/** And behind this many records, so that judging it takes the engine no long turn. */
const SLICE_RECORDS = 4096;

/** A record that lives, or a tombstone that may be needed. Its frame is `bytes[at, at + length)`. */
export interface SurvivingRecord extends FrameEntry {
  at: number;
}

/** Thrown where a victim cannot be read. */
export class DamagedVictim extends Error {
  readonly offset: number;

  constructor(offset: number) {
    super("a victim is damaged");
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
  #position = 0;
  #records: SurvivingRecord[] = [];
  #next = 0;

  /** `index`: which victim of the order it is. */
  constructor(segment: Segment, file: File, index: number, channel: Channel) {
    this.#segment = segment;
    this.#file = file;
    this.#index = index;
    this.#channel = channel;
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

  async #readSlice(): Promise<void> {
    const slice = new Slice();
    const from = this.#position;
    const range = {
      file: this.#file,
      salt: this.#segment.name.salt,
      from,
      to: this.#segment.length,
    };
    const stop = await scanFrames(range, (scanned) => {
      const isOurs = visitFrame(scanned, this.#segment, {
        entry: (entry) => slice.add(entry, scanned.at + entry.offset - scanned.offset),
      });
      if (!isOurs) throw new DamagedVictim(scanned.offset);
      const read = scanned.offset + scanned.frame.frameBytes - from;
      return read < SLICE_BYTES && slice.records.length < SLICE_RECORDS;
    });
    if (stop.kind !== "end") throw new DamagedVictim(stop.offset);
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
  #keyBytes = 0;

  /** Copies the frame: a scan may use its memory again for what follows. */
  add(entry: FrameEntry, at: number): void {
    const bytes = Buffer.from(entry.bytes.subarray(at, at + entry.length));
    const keyStart = entry.keyStart - at;
    const keyEnd = entry.keyEnd - at;
    this.records.push({ ...entry, bytes, at: 0, keyStart, keyEnd });
    this.#keyBytes += keyEnd - keyStart;
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
