/** What compaction does and has done, in the messages of the service: a stream of a run, and the figures. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  CompactionOutcome,
  CompactionPhase,
  CompactionState,
  type CompactResponse,
  CompactResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { Store } from "../engine/store.js";
import type {
  CompactionProgress,
  CompactionStats,
  CompactionOutcome as EngineOutcome,
  CompactionPhase as EnginePhase,
} from "../engine/store-stats.js";

const phases = {
  preparing: CompactionPhase.PREPARING,
  copying: CompactionPhase.COPYING,
  committing: CompactionPhase.COMMITTING,
  removing: CompactionPhase.REMOVING,
  done: CompactionPhase.DONE,
} as const satisfies Record<EnginePhase, CompactionPhase>;

const outcomes = {
  completed: CompactionOutcome.COMPLETED,
  "nothing-to-do": CompactionOutcome.NOTHING_TO_DO,
  declined: CompactionOutcome.DECLINED,
  cancelled: CompactionOutcome.CANCELLED,
  failed: CompactionOutcome.FAILED,
} as const satisfies Record<EngineOutcome, CompactionOutcome>;

const states = {
  off: CompactionState.OFF,
  idle: CompactionState.IDLE,
  running: CompactionState.RUNNING,
} as const satisfies Record<CompactionStats["state"], CompactionState>;

/**
 * Runs a compaction of `store`, or joins the one under way, until `signal` is
 * aborted. Nothing is kept for who reads slowly: the store is asked again when the
 * answer before was taken, and tells what is so then.
 */
export async function* compactAnswers(
  store: Store,
  signal: AbortSignal,
): AsyncGenerator<CompactResponse> {
  for await (const progress of store.compact({ signal })) {
    yield create(CompactResponseSchema, {
      progress: progressOf(progress),
      storeVersion: BigInt(store.version),
    });
  }
}

/** The figures of compaction. */
export function compactionOf({ compaction }: { readonly compaction: CompactionStats }) {
  const { state, current, last, nextAtMs } = compaction;
  return {
    state: states[state],
    ...(current && { current: progressOf(current) }),
    runs: BigInt(compaction.runs),
    ...(last && {
      last: {
        startTime: timestampFromMs(last.startedAtMs),
        endTime: timestampFromMs(last.endedAtMs),
        progress: progressOf(last.progress),
      },
    }),
    ...(nextAtMs > 0 && { nextTime: timestampFromMs(nextAtMs) }),
    bytesRead: BigInt(compaction.bytesRead),
    bytesWritten: BigInt(compaction.bytesWritten),
    bytesReclaimed: BigInt(compaction.bytesReclaimed),
    segmentsRemoved: BigInt(compaction.segmentsRemoved),
    pinnedBytes: BigInt(compaction.pinnedBytes),
    historyFloor: BigInt(compaction.historyFloor),
  };
}

function progressOf(progress: CompactionProgress) {
  const { outcome } = progress;
  return {
    phase: phases[progress.phase],
    segmentsDone: progress.segmentsDone,
    segmentsChosen: progress.segmentsChosen,
    bytesRead: BigInt(progress.bytesRead),
    bytesWritten: BigInt(progress.bytesWritten),
    bytesReclaimed: BigInt(progress.bytesReclaimed),
    shareDone: progress.share,
    outcome: outcome === undefined ? CompactionOutcome.UNSPECIFIED : outcomes[outcome],
    why: progress.why,
  };
}
