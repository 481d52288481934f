/**
 * The segments of an open store by id, and the sums over them. At most one is
 * active. One that a compaction has replaced counts no more, but is found by its
 * id until its last reader has left: places in it are still under way.
 */
import { SEGMENT_ID_MAX } from "../base/limits.js";
import type { Segment } from "./segment.js";

/** Live segments by id. */
export class SegmentSet {
  readonly #byId: (Segment | undefined)[] = [];
  #count = 0;

  /** How many segments there are. */
  get count(): number {
    return this.#count;
  }

  add(segment: Segment): void {
    if (this.#byId[segment.name.id] !== undefined) throw new Error("two segments of one id");
    this.#byId[segment.name.id] = segment;
    this.#count += 1;
  }

  /** The segment that an index entry names. */
  at(id: number): Segment {
    const segment = this.#byId[id];
    if (segment === undefined) throw new Error(`the index names segment ${id}, which is not there`);
    return segment;
  }

  find(id: number): Segment | undefined {
    return this.#byId[id];
  }

  /** Takes a segment out that nobody reads any more; its id may be given again. */
  delete(segment: Segment): void {
    if (this.#byId[segment.name.id] !== segment) throw new Error("the segment is not there");
    this.#byId[segment.name.id] = undefined;
  }

  /** A compaction has replaced a segment: it stays for its readers, and counts no more. */
  markRemoved(segment: Segment): void {
    segment.isRemoved = true;
    this.#count -= 1;
  }

  /** The segments of the store. */
  *[Symbol.iterator](): Iterator<Segment> {
    for (const segment of this.#byId) {
      if (segment !== undefined && !segment.isRemoved) yield segment;
    }
  }

  /** Those too that are going. */
  *all(): Generator<Segment> {
    for (const segment of this.#byId) if (segment !== undefined) yield segment;
  }

  /**
   * The next free id after `last`, in a circle; `isTaken` tells of ids that
   * some file still bears. Undefined: all 65,536 are in use.
   */
  freeId(last: number, isTaken: (id: number) => boolean): number | undefined {
    for (let step = 1; step <= SEGMENT_ID_MAX + 1; step += 1) {
      const id = (last + step) % (SEGMENT_ID_MAX + 1);
      if (this.#byId[id] === undefined && !isTaken(id)) return id;
    }
    return undefined;
  }

  /** Bytes in all segments, and bytes of them that the index points at. */
  sums(): { bytes: number; liveBytes: number } {
    let bytes = 0;
    let liveBytes = 0;
    for (const segment of this) {
      bytes += segment.length;
      liveBytes += segment.liveBytes;
    }
    return { bytes, liveBytes };
  }
}
