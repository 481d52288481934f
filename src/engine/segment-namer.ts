/**
 * Names for new segments, of the log and of compactions alike: an id that no
 * file bears and no segment has, and a timestamp above all that were given.
 */
import { KvixError } from "../base/kvix-error.js";
import type { Clock } from "../host/host.js";
import type { StoreDirectories } from "../storage/layout.js";
import type { ManifestFile } from "../storage/manifest-file.js";
import { SegmentName } from "../storage/segment.js";
import type { SegmentSet } from "../storage/segment-set.js";

const NS_PER_MS = 1_000_000n;

/** What names are made of. */
export interface SegmentNamerContext {
  readonly clock: Clock;
  readonly directories: StoreDirectories;
  readonly manifest: ManifestFile;
  readonly segments: SegmentSet;
  readonly segmentPrefix: string;
  /** Ids in the names of files that are not the store's. */
  readonly strayIds: ReadonlySet<number>;
}

/** Gives every name once. */
export class SegmentNamer {
  readonly #context: SegmentNamerContext;
  #lastId: number;
  #lastTimestampNs: bigint;
  /** Given, and not known to be in the manifest yet. */
  readonly #given = new Set<number>();

  constructor(context: SegmentNamerContext) {
    this.#context = context;
    const { segmentId, segmentTimestamp, segments } = context.manifest.current;
    this.#lastId = segments.length === 0 && segmentTimestamp === 0n ? -1 : segmentId;
    this.#lastTimestampNs = segmentTimestamp;
  }

  /** A name; to be settled once the manifest lists it, or it is given up. Throws SEGMENTS_EXHAUSTED. */
  take(): SegmentName {
    const { clock, directories, manifest, segments, segmentPrefix, strayIds } = this.#context;
    const { storeId, segments: listed } = manifest.current;
    // Also those of segments that are going: their files may still be there.
    const listedIds = new Set(listed.map(({ id }) => id));
    const isTaken = (id: number): boolean =>
      listedIds.has(id) || strayIds.has(id) || this.#given.has(id);
    const id = segments.freeId(this.#lastId, isTaken);
    if (id === undefined) throw new KvixError("SEGMENTS_EXHAUSTED");
    const now = BigInt(clock.wallMs()) * NS_PER_MS;
    const timestampNs = now > this.#lastTimestampNs ? now : this.#lastTimestampNs + 1n;
    this.#lastId = id;
    this.#lastTimestampNs = timestampNs;
    this.#given.add(id);
    return new SegmentName(directories, storeId, segmentPrefix, id, timestampNs);
  }

  /** The manifest lists the name now, or nobody will use it. */
  settle(name: SegmentName): void {
    this.#given.delete(name.id);
  }
}
