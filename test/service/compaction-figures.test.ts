/** What Stats and GetStatus tell of compaction. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  AdminService,
  CompactionOutcome,
  CompactionPhase,
  CompactionState,
} from "../../gen/kvix/v1/kvix_pb.js";
import type { CompactionStats } from "../../src/engine/store-stats.js";
import { compacting, progressOf } from "../support/compaction-run.js";
import { startMemoryServer } from "./memory-server.js";

const { getStatus, stats } = AdminService.method;

test("M13: Stats and GetStatus tell of the run under way, of the last one, and of the next", async (t) => {
  const figures: CompactionStats = {
    state: "running",
    current: progressOf({ phase: "copying", segmentsDone: 1, segmentsChosen: 3, share: 0.5 }),
    runs: 4,
    last: {
      startedAtMs: 1_000,
      endedAtMs: 2_500,
      progress: progressOf({ phase: "done", outcome: "failed", why: "the disk is gone" }),
    },
    nextAtMs: 9_000,
    bytesRead: 11,
    bytesWritten: 12,
    bytesReclaimed: -1,
    segmentsRemoved: 13,
    pinnedBytes: 14,
    historyFloor: 15,
  };
  let now: Partial<CompactionStats> = figures;
  const { client } = await startMemoryServer(t, {
    wrap: (store) =>
      compacting(
        store,
        () => store.compact(),
        () => now,
      ),
  });
  for (const method of [stats, getStatus]) {
    const { compaction } = await client.call(method as typeof stats, {});
    assert.ok(compaction);
    assert.equal(compaction.state, CompactionState.RUNNING);
    assert.equal(compaction.current?.phase, CompactionPhase.COPYING);
    assert.equal(compaction.current?.shareDone, 0.5);
    const { last, nextTime, runs } = compaction;
    assert.equal(last?.startTime && timestampMs(last.startTime), 1_000);
    assert.equal(last?.endTime && timestampMs(last.endTime), 2_500);
    assert.equal(last?.progress?.outcome, CompactionOutcome.FAILED);
    assert.equal(last?.progress?.why, "the disk is gone");
    assert.equal(nextTime && timestampMs(nextTime), 9_000);
    const { bytesRead, bytesWritten, bytesReclaimed } = compaction;
    assert.deepEqual([runs, bytesRead, bytesWritten, bytesReclaimed], [4n, 11n, 12n, -1n]);
    const { segmentsRemoved, pinnedBytes, historyFloor } = compaction;
    assert.deepEqual([segmentsRemoved, pinnedBytes, historyFloor], [13n, 14n, 15n]);
  }
  now = { ...figures, state: "idle", current: undefined, last: undefined, nextAtMs: 0 };
  const idle = (await client.call(stats, {})).compaction;
  assert.equal(idle?.state, CompactionState.IDLE);
  assert.deepEqual([idle?.current, idle?.last, idle?.nextTime], [undefined, undefined, undefined]);
  now = { ...now, state: "off" };
  assert.equal((await client.call(getStatus, {})).compaction?.state, CompactionState.OFF);
});
