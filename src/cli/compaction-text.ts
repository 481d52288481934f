/** What compaction does and has done, as text for people. */
import {
  CompactionOutcomeSchema,
  CompactionPhaseSchema,
  type CompactionProgress,
  CompactionStateSchema,
  type CompactionStats,
} from "../../gen/kvix/v1/kvix_pb.js";
import { enumName } from "./admin-json.js";
import { escapeText } from "./byte-text.js";
import { formatBytes } from "./quantity.js";
import { showTime } from "./record-text.js";

/** What a run did: "12 segments: 3.1 GiB read, 1.2 GiB written, 1.9 GiB freed". */
export function showWork(progress: CompactionProgress): string {
  const { segmentsDone, bytesRead, bytesWritten, bytesReclaimed } = progress;
  const [read, written, freed] = [bytesRead, bytesWritten, bytesReclaimed].map(showBytes);
  return `${segmentsDone} segments: ${read} read, ${written} written, ${freed} freed`;
}

/** The rows of `kvix status` and `kvix stats`. */
export function compactionRows(stats: CompactionStats): [name: string, value: string][] {
  const { state, current, last, nextTime } = stats;
  const now =
    current === undefined
      ? enumName(CompactionStateSchema, state)
      : `${enumName(CompactionPhaseSchema, current.phase)}, ${showShare(current.shareDone)}, ` +
        `${current.segmentsDone} of ${current.segmentsChosen} segments`;
  const next = nextTime === undefined ? "" : `, next at ${showTime(nextTime)}`;
  const rows: [string, string][] = [["compaction", now + next]];
  if (last?.progress !== undefined) {
    const { progress, endTime } = last;
    const ended = endTime === undefined ? "" : ` at ${showTime(endTime)}`;
    const why = progress.why === "" ? "" : ` (${escapeText(progress.why)})`;
    const outcome = enumName(CompactionOutcomeSchema, progress.outcome).replaceAll("_", " ");
    rows.push(["last run", `${outcome}${why}${ended}, ${showWork(progress)}`]);
  }
  if (stats.runs > 0n) {
    const removed = `${stats.segmentsRemoved} segments removed`;
    rows.push([
      "reclaimed",
      `${showBytes(stats.bytesReclaimed)} in ${stats.runs} runs, ${removed}`,
    ]);
  }
  if (stats.pinnedBytes > 0n) {
    rows.push([
      "pinned",
      `${showBytes(stats.pinnedBytes)} of removed segments that are still read`,
    ]);
  }
  return rows;
}

/** A share of 0 to 1 in whole percent; all of it only when nothing is left. */
function showShare(share: number): string {
  return `${Math.floor(share * 100)}%`;
}

function showBytes(bytes: bigint): string {
  return formatBytes(Number(bytes));
}
