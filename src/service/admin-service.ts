/**
 * AdminService: how the server and its store are, what makes all that was
 * acknowledged durable, and what makes space come back. GetStatus answers also
 * while there is no store yet.
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AdminService,
  Durability,
  GetStatusResponseSchema,
  ListSegmentsResponseSchema,
  SegmentState,
  ServerState,
  StatsResponseSchema,
  SyncResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import {
  KEY_BYTES_MAX,
  PAGE_BYTES_MAX,
  PAGE_RECORDS_MAX,
  VALUE_BYTES_MAX,
} from "../base/limits.js";
import { buildVersion } from "../base/version.js";
import type { Store } from "../engine/store.js";
import type { SegmentFacts, StoreStats } from "../engine/store-stats.js";
import type { Clock } from "../host/host.js";
import type { HandlersOf } from "../rpc/calls.js";
import { compactAnswers, compactionOf } from "./compaction-answers.js";
import { pageToken, placeOfToken } from "./page-token.js";
import type { RpcCount } from "./rpc-counters.js";
import type { ServerState as ServerStateOfLife, ServerStatus } from "./server-life.js";
import { requirePageSize } from "./validation.js";

/** What the handlers need. */
export interface AdminServiceContext {
  /** The store. Throws STORE_STARTING while it is opening. */
  readonly store: () => Store;
  readonly status: () => ServerStatus;
  readonly counts: () => readonly RpcCount[];
  readonly clock: Pick<Clock, "wallMs" | "monotonicMs">;
  /** The largest message, in bytes. */
  readonly messageBytesMax: number;
}

/** What this build can do that version 0.1 could not. */
const FEATURES = [
  "admin",
  "batch-get",
  "commit",
  "compact",
  "delete-range",
  "download",
  "increment",
  "list",
  "pipeline",
  "request-id",
  "scan",
  "touch",
  "upload",
  "watch",
];
/** How many damaged ranges and stray files are named. */
const DAMAGE_NAMED_MAX = 1_000;
const STRAY_FILES_NAMED_MAX = 100;
const NS_PER_S = 1_000_000_000n;

const serverStates = {
  starting: ServerState.STARTING,
  serving: ServerState.SERVING,
  degraded: ServerState.DEGRADED,
  full: ServerState.FULL,
  latched: ServerState.LATCHED,
  draining: ServerState.DRAINING,
} as const satisfies Record<ServerStateOfLife, ServerState>;

const durabilities = { sync: Durability.SYNC, buffered: Durability.BUFFERED } as const;

const segmentStates = {
  active: SegmentState.ACTIVE,
  sealed: SegmentState.SEALED,
  compacted: SegmentState.COMPACTED,
} as const;

/** The handlers of AdminService. */
export function adminHandlers(context: AdminServiceContext): HandlersOf<typeof AdminService> {
  const { store, clock, messageBytesMax } = context;
  const startMs = clock.wallMs();
  const startMonotonicMs = clock.monotonicMs();
  return {
    getStatus: () => {
      const { state, reasons } = context.status();
      return create(GetStatusResponseSchema, {
        kvixVersion: buildVersion,
        nodeVersion: process.version,
        platform: `${process.platform} ${process.arch}`,
        state: serverStates[state],
        reasons: reasons.map((reason) => ({ ...reason, state: serverStates[reason.state] })),
        limits: {
          keyBytesMax: KEY_BYTES_MAX,
          valueBytesMax: VALUE_BYTES_MAX,
          messageBytesMax,
          pageSizeMax: PAGE_RECORDS_MAX,
          pageBytesMax: Math.min(PAGE_BYTES_MAX, messageBytesMax),
        },
        features: FEATURES,
        startTime: timestampFromMs(startMs),
        uptime: durationFromMs(Math.floor(clock.monotonicMs() - startMonotonicMs)),
        ...(state === "starting" ? {} : statusOf(store())),
      });
    },

    stats: () => {
      const stats = store().stats();
      return create(StatsResponseSchema, {
        ...figuresOf(stats),
        open: openingOf(stats),
        compaction: compactionOf(stats),
        rpcs: context.counts().map((count) => ({
          method: count.method,
          calls: BigInt(count.calls),
          errors: BigInt(count.errors),
        })),
        residentBytes: BigInt(process.memoryUsage.rss()),
      });
    },

    listSegments: ({ pageSize, pageToken: token }) => {
      const scope = ["ListSegments"];
      const limit = requirePageSize(pageSize);
      const after = placeOfToken(scope, token);
      // Segments come and go, but their timestamps only grow.
      const behindNs = after === undefined ? -1n : BigInt(Buffer.from(after).toString("latin1"));
      const rest = store()
        .segments()
        .filter(({ timestampNs }) => timestampNs > behindNs);
      const last = rest.length > limit ? rest[limit - 1] : undefined;
      const place = last && Buffer.from(String(last.timestampNs), "latin1");
      return create(ListSegmentsResponseSchema, {
        segments: rest.slice(0, limit).map(segmentInfo),
        nextPageToken: pageToken(scope, place),
        storeVersion: BigInt(store().version),
      });
    },

    sync: async () => {
      const durableVersion = BigInt(await store().sync());
      return create(SyncResponseSchema, {
        durableVersion,
        storeVersion: BigInt(store().version),
      });
    },

    // Asked for the store at once, so that a call without one is counted as an error.
    compact: (_request, { signal }) => compactAnswers(store(), signal),
  };
}

/** What only a server that has its store can tell. */
function statusOf(store: Store) {
  const { durability, flushIntervalMs } = store.settings;
  const stats = store.stats();
  const { damage } = stats;
  return {
    durability: durabilities[durability],
    flushInterval: durationFromMs(flushIntervalMs),
    damage: damage.slice(0, DAMAGE_NAMED_MAX).map((range) => ({
      file: range.file,
      offset: BigInt(range.offset),
      length: BigInt(range.length),
      firstVersion: BigInt(range.firstVersion),
      lastVersion: BigInt(range.lastVersion),
      keysUnknown: range.keysUnknown,
    })),
    damageCount: damage.length,
    compaction: compactionOf(stats),
    storeVersion: BigInt(store.version),
  };
}

function figuresOf(stats: StoreStats) {
  return {
    keys: BigInt(stats.keys),
    liveBytes: BigInt(stats.liveBytes),
    deadBytes: BigInt(stats.deadBytes),
    segments: stats.segments,
    indexBytes: BigInt(stats.indexBytes),
    freeBytes: BigInt(Math.trunc(stats.freeBytes)),
    inFlightBytes: BigInt(stats.inFlightBytes),
    waitingCalls: stats.waitingCalls,
    durableVersion: BigInt(stats.durableVersion),
    syncs: BigInt(stats.syncs),
    groups: BigInt(stats.groups),
    appendedBytes: BigInt(stats.bytesAppended),
    expiredKeys: BigInt(stats.expired),
    sweepPausedBecause: stats.sweepPausedBecause ?? "",
    storeVersion: BigInt(stats.version),
    hintsMissing: stats.hintsMissing,
    pageBytes: BigInt(stats.pageBytes),
  };
}

function openingOf({ open }: StoreStats) {
  return {
    duration: durationFromMs(Math.round(open.milliseconds)),
    wasClean: open.wasClean,
    fromCheckpoint: open.fromCheckpoint,
    segmentsFromHints: open.segmentsFromHints,
    segmentsScanned: open.segmentsScanned,
    scannedBytes: BigInt(open.bytesScanned),
    tornBytesCut: BigInt(open.tornBytesCut),
    rewrittenBytes: BigInt(open.bytesWrittenAgain),
    strayFiles: open.strayFiles.slice(0, STRAY_FILES_NAMED_MAX),
  };
}

function segmentInfo(segment: SegmentFacts) {
  const { timestampNs } = segment;
  return {
    id: segment.id,
    timestamp: { seconds: timestampNs / NS_PER_S, nanos: Number(timestampNs % NS_PER_S) },
    file: segment.file,
    state: segmentStates[segment.role],
    sizeBytes: BigInt(segment.bytes),
    liveBytes: BigInt(segment.liveBytes),
    lowestVersion: BigInt(segment.lowestVersion),
    highestVersion: BigInt(segment.highestVersion),
    damaged: segment.isDamaged,
  };
}
