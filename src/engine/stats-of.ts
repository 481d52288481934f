/** The figures of an open store: each part is asked for its own. */
import type { StoreParts } from "./store-parts.js";
import type { StoreStats } from "./store-stats.js";
import type { Sweep } from "./sweep.js";

/** The figures as they are now. `pageBytes`: what pages under way have taken. */
export function statsOf(
  parts: StoreParts,
  { expired, pausedBecause }: Pick<Sweep, "expired" | "pausedBecause">,
  pageBytes: number,
): StoreStats {
  const { publisher, queue, keydir, segments, pool, space, log, hints, damage, uploads } = parts;
  const { bytes, liveBytes } = segments.sums();
  return {
    version: publisher.version,
    durableVersion: queue.durableVersion,
    keys: keydir.count,
    liveBytes,
    deadBytes: bytes - liveBytes,
    segments: segments.count,
    openFiles: pool.openFiles,
    indexBytes: keydir.bytes,
    freeBytes: space.freeBytes,
    inFlightBytes: queue.inFlightBytes,
    waitingCalls: queue.waitingCalls,
    uploads: uploads.count,
    stagedBytes: uploads.stagedBytes,
    pageBytes,
    pins: parts.pins.count,
    syncs: log.syncs,
    groups: queue.groups,
    bytesAppended: log.bytesAppended,
    expired,
    sweepPausedBecause: pausedBecause,
    hintsMissing: hints.missing,
    compaction: parts.compactor.stats(),
    condition: conditionOf(parts),
    damage: damage.toStats(),
    open: parts.openStats,
  };
}

function conditionOf({ damage, latch, space }: StoreParts): StoreStats["condition"] {
  const reasons: string[] = [];
  if (damage.count > 0) reasons.push(`${damage.count} damaged ranges are known`);
  if (latch.why !== undefined) reasons.push(`${latch.why}; restart the store`);
  if (space.isFull) reasons.push(`only ${space.freeBytes} bytes of disk are free`);
  return {
    degraded: damage.count > 0,
    latched: latch.isClosed,
    full: space.isFull,
    reasons,
  };
}
