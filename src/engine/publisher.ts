/** Publication: what is written, and durable if it must be, becomes visible to readers. */
import type { SegmentSet } from "../storage/segment-set.js";
import { type Keydir, NO_ENTRY } from "./keydir/keydir.js";
import type { PendingEntry } from "./write-op.js";

/** Keeps what is replaced, for those who read an older version. */
export interface ReplacedEntries {
  /** `known` of the keydir is about to be replaced or removed by `version`. */
  replaced(known: number, version: number): void;
}

/** Moves entries into the keydir in version order, and keeps the sums of live bytes. */
export class Publisher {
  readonly #keydir: Keydir;
  readonly #segments: SegmentSet;
  #version: number;
  /** Set while a snapshot is open. */
  undo: ReplacedEntries | undefined;

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
    if (this.undo !== undefined) {
      const known = keydir.findIn(source, keyStart, keyEnd);
      if (known !== NO_ENTRY) this.undo.replaced(known, version);
    }
    if (entry.flags !== 0) {
      const known = keydir.findIn(source, keyStart, keyEnd);
      if (known !== NO_ENTRY) {
        this.#segments
          .at(keydir.segmentOf(known))
          .release(keydir.offsetOf(known), keydir.lengthOf(known));
        keydir.remove(known);
      }
      segment.coverTombstone(version, length);
    } else {
      const { id } = segment.name;
      const { offset, expiresAtMs } = entry;
      keydir.put(source, keyStart, keyEnd, id, offset, length, expiresAtMs, version);
      const { replacedSegment, replacedOffset, replacedLength } = keydir;
      if (replacedLength > 0) {
        this.#segments.at(replacedSegment).release(replacedOffset, replacedLength);
      }
      segment.liveBytes += length;
    }
    segment.coverVersion(version);
    this.#version = version;
  }
}
