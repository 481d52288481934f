/** The segments of an open store, as those see them who ask what it consists of. */
import type { SegmentSet } from "../storage/segment-set.js";
import type { DamageRegister } from "./damage.js";
import type { SegmentFacts } from "./store-stats.js";

/** All segments, oldest first. */
export function segmentFacts(segments: SegmentSet, damage: DamageRegister): SegmentFacts[] {
  const damaged = new Set(damage.toStats().map(({ file }) => file));
  const facts = Array.from(segments, (segment): SegmentFacts => {
    const { name, length, liveBytes, lowestVersion, highestVersion, newestTimestampMs } = segment;
    return {
      id: name.id,
      timestampNs: name.timestampNs,
      file: name.fileName,
      role: segment.isLog ? (segment.isSealed ? "sealed" : "active") : "compacted",
      bytes: length,
      liveBytes,
      lowestVersion,
      highestVersion,
      newestTimestampMs,
      isDamaged: damaged.has(name.fileName),
    };
  });
  return facts.sort((one, other) => (one.timestampNs < other.timestampNs ? -1 : 1));
}
