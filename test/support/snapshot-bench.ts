/** An index with a publisher and snapshots, and no store around them. */
import { Keydir, NO_ENTRY } from "../../src/engine/keydir/keydir.js";
import { Pins } from "../../src/engine/pins.js";
import { Publisher } from "../../src/engine/publisher.js";
import type { RecordReader } from "../../src/engine/record-reader.js";
import { Snapshots } from "../../src/engine/snapshots/snapshots.js";
import { PendingEntry } from "../../src/engine/write-op.js";
import { FRAME_HEADER_BYTES, FrameFlag } from "../../src/format/frame.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SegmentSet } from "../../src/storage/segment-set.js";
import { SimClock } from "./sim-clock.js";

const directories = { data: "/store", segments: "/store/segments" };

/** What a key has. */
export interface Known {
  readonly version: number;
  readonly expiresAtMs: number;
  readonly recordBytes: number;
}

/** An index, its publisher and its snapshots; and what should be in it. */
export class SnapshotBench {
  readonly clock = new SimClock();
  readonly keydir = new Keydir({ seed: new Uint8Array(16) });
  readonly segments = new SegmentSet();
  readonly publisher = new Publisher(this.keydir, this.segments, 0);
  readonly pins = new Pins();
  readonly snapshots: Snapshots;
  readonly map = new Map<string, Known>();
  #version = 0;
  #offset = 0;

  constructor(undoBytesMax?: number) {
    const { keydir, segments, publisher, pins, clock } = this;
    const reader = {} as RecordReader;
    this.snapshots = new Snapshots({
      keydir,
      segments,
      reader,
      publisher,
      pins,
      clock,
      ...(undoBytesMax !== undefined && { undoBytesMax }),
    });
    for (let id = 0; id < 4; id += 1) {
      const name = new SegmentName(directories, new Uint8Array(16), "segment", id, BigInt(id + 1));
      segments.add(new Segment(name, undefined, true));
    }
  }

  /** Publishes a record of a frame of this length; keys are text of one character a byte. */
  set(key: string, length = 100, expiresAtMs = 0): void {
    this.#publish(key, 0, length, expiresAtMs);
    this.map.set(key, {
      version: this.#version,
      expiresAtMs,
      recordBytes: length - FRAME_HEADER_BYTES,
    });
  }

  delete(key: string): void {
    this.#publish(key, FrameFlag.TOMBSTONE, 30, 0);
    this.map.delete(key);
  }

  /** What a compaction does to an entry: another place, the same record. */
  move(key: string, segment: number): void {
    const { keydir } = this;
    const entry = keydir.find(Buffer.from(key, "latin1"));
    if (entry === NO_ENTRY) return;
    const facts = [keydir.lengthOf(entry), keydir.expiresAtMsOf(entry), keydir.versionOf(entry)];
    const [length, expiresAtMs, version] = facts as [number, number, number];
    const source = Buffer.from(key, "latin1");
    this.#offset += 1;
    keydir.put(source, 0, source.length, segment, this.#offset, length, expiresAtMs, version);
  }

  #publish(key: string, flags: number, length: number, expiresAtMs: number): void {
    this.#version += 1;
    this.#offset += length;
    const entry = new PendingEntry(this.#version, expiresAtMs, flags, length, 0);
    entry.source = Buffer.from(key, "latin1");
    entry.keyEnd = key.length;
    entry.segment = this.segments.at(this.#version % 4);
    entry.offset = this.#offset;
    this.publisher.publish(entry);
  }
}
