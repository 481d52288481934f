/** Publication: what is written, and durable if it must be, becomes visible to readers. */
import type { SegmentSet } from "../storage/segment-set.js";
import { type Keydir, NO_ENTRY } from "./keydir/keydir.js";
import type { PendingEntry } from "./write-op.js";

/** Moves entries into the keydir in version order, and keeps the sums of live bytes. */
export class Publisher {
  readonly #keydir: Keydir;
  readonly #segments: SegmentSet;
  #version: number;

  constructor(keydir: Keydir, segments: SegmentSet, version: number) {
    this.#keydir = keydir;
    this.#segments = segments;
    this.#version = version;
  }

  /** The newest published version. */
  get version(): number {
    return this.#version;
  }

  publish(entry: PendingEntry): void {
    const { segment, source, keyStart, keyEnd, length, version } = entry;
    if (segment === undefined) throw new Error("an entry is published before it is written");
    if (version <= this.#version) throw new Error("publication out of version order");
    const keydir = this.#keydir;
    if (entry.flags !== 0) {
      segment.coverTombstone(version, length);
      const known = keydir.findIn(source, keyStart, keyEnd);
      if (known !== NO_ENTRY) {
        this.#segments.at(keydir.segmentOf(known)).liveBytes -= keydir.lengthOf(known);
        keydir.remove(known);
      }
    } else {
      const { id } = segment.name;
      const { offset, expiresAtMs } = entry;
      keydir.put(source, keyStart, keyEnd, id, offset, length, expiresAtMs, version);
      const { replacedSegment, replacedLength } = keydir;
      if (replacedLength > 0) this.#segments.at(replacedSegment).liveBytes -= replacedLength;
      segment.liveBytes += length;
    }
    segment.coverVersion(version);
    this.#version = version;
  }
}
