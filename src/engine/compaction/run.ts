/**
 * One run of compaction: step after step, until nothing is worth it.
 *
 *     begin the session, if nothing did -> seal the active segment, if it pays
 *       -> choose victims -> drop those that are wholly dead
 *                         -> or copy what lives in them (step.ts)
 *       -> choose again
 *
 * It never throws: whatever happens is an outcome. Nothing of it is left behind
 * but files that the manifest calls pending or removed.
 */
import { KvixError } from "../../base/kvix-error.js";
import type { Host } from "../../host/host.js";
import type { Segment } from "../../storage/segment.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import type { DiskSpace } from "../disk-space.js";
import type { HintKeeper } from "../hint-keeper.js";
import type { Latch } from "../latch.js";
import type { Log } from "../log.js";
import type { Versions } from "../versions.js";
import type { WriteQueue } from "../write-queue.js";
import type { Candidates } from "./candidates.js";
import type { CompactionRun, RunEnd, RunReport } from "./compactor.js";
import { orStopped, StepStopped } from "./copier-link.js";
import { IndexDisagrees } from "./judge.js";
import type { Pace } from "./pacer.js";
import { type Choice, isBehind, isOverDead, type PolicyInput } from "./policy.js";
import type { Remover } from "./remover.js";
import { type Steps, VictimUnreadable } from "./step.js";

const MiB = 1024 * 1024;
/** Dead bytes below this are not worth a run of their own, nor a sealing. */
const DEAD_BYTES_MIN = 64 * MiB;
/** What a step leaves free on the disk for manifests and the log; of a small reserve no more than half. */
const MARGIN_BYTES = 4 * MiB;
/** An output's hint and its blocks on the disk: at most so many bytes for each byte of records. */
export const HINT_SHARE = 0.4;
/** More is merged in one go by the next step. */
const STEP_VICTIMS_MAX = 32;
/** How many segments are asked for tombstones that may go, in one run. */
const EXAMINATIONS_MAX = 8;
/** Removed segments that wait for their readers: at most so many times the size of a segment. */
const PINNED_SEGMENTS_MAX = 4;

/** What a run works with. */
export interface CompactionRunContext {
  readonly host: Host;
  readonly segments: SegmentSet;
  readonly versions: Versions;
  readonly queue: WriteQueue;
  readonly log: Log;
  readonly latch: Latch;
  readonly space: DiskSpace;
  readonly hints: HintKeeper;
  readonly candidates: Candidates;
  readonly steps: Steps;
  readonly remover: Remover;
  readonly pacer: Pace;
  readonly segmentBytesMax: number;
  readonly deadPercent: number;
  readonly historyFloor: () => number;
  /** The policy. */
  readonly choose: (input: PolicyInput) => Choice;
}

/** Errors that are nobody's defect: the run could not be. */
const FORESEEN: ReadonlySet<string> = new Set([
  "NO_SPACE",
  "STORE_READ_ONLY",
  "SEGMENTS_EXHAUSTED",
]);

/** The figures of a run under way. */
type Progress = { -readonly [Name in keyof RunReport]: RunReport[Name] };

/** Runs compactions; one at a time. */
export class SegmentCompaction implements CompactionRun {
  readonly #context: CompactionRunContext;
  /** The newest segment that was there when the run began. */
  #newestAtStartNs = 0n;

  constructor(context: CompactionRunContext) {
    this.#context = context;
  }

  get segmentsRemoved(): number {
    return this.#context.remover.segmentsRemoved;
  }

  get pinnedBytes(): number {
    return this.#context.remover.pinnedBytes;
  }

  get historyFloor(): number {
    return this.#context.historyFloor();
  }

  isDue(): boolean {
    const { candidates, latch, space } = this.#context;
    if (latch.isClosed || !this.#mayBeDue()) return false;
    const all = candidates.candidates();
    const active = this.#isWorthSealing() ? deadBytesOf(this.#context.log.active) : 0;
    const reclaimable = all.reduce((sum, each) => sum + deadBytes(each), active);
    if (space.isShort) return reclaimable > 0;
    if (reclaimable < this.#deadBytesMin()) return false;
    return this.#isWorthSealing() || this.#choose("due").kind === "victims";
  }

  /** A first look, which is cheap however many segments there are: it says no where the second would. */
  #mayBeDue(): boolean {
    const { segments, deadPercent, space } = this.#context;
    if (space.isShort || this.#isWorthSealing()) return true;
    let storeBytes = 0;
    let storeLiveBytes = 0;
    let emptyBytes = 0;
    for (const { length, liveBytes } of segments) {
      storeBytes += length;
      storeLiveBytes += liveBytes;
      if (liveBytes === 0) emptyBytes += length;
    }
    const isEnough = storeBytes - storeLiveBytes >= this.#deadBytesMin();
    const isOver = isOverDead({ storeBytes, storeLiveBytes, deadPercent });
    return isEnough && (isOver || emptyBytes >= this.#deadBytesMin());
  }

  async run(
    extent: "due" | "thorough",
    signal: AbortSignal,
    report: (progress: RunReport) => void,
  ): Promise<RunEnd> {
    const progress: Progress = {
      phase: "preparing",
      segmentsDone: 0,
      segmentsChosen: 0,
      bytesRead: 0,
      bytesWritten: 0,
      bytesReclaimed: 0,
      share: 0,
    };
    const tell = (): void => report({ ...progress });
    try {
      tell();
      return await this.#run(extent, signal, progress, tell);
    } catch (error) {
      return endOf(error, signal);
    } finally {
      await this.#context.steps.release();
    }
  }

  async #run(
    extent: "due" | "thorough",
    signal: AbortSignal,
    progress: Progress,
    tell: () => void,
  ): Promise<RunEnd> {
    const { queue, log, versions, remover, steps, latch, hints } = this.#context;
    if (latch.isClosed) return declined("the store takes no writes since a sync failed");
    await steps.finished(signal);
    if (log.hasBegun) await remover.clearLeftovers();
    this.#newestAtStartNs = newestOf(this.#context.segments);
    let first: Choice | undefined = this.#choose(extent);
    const mayExamine = extent === "thorough" && this.#context.candidates.unexamined().length > 0;
    if (first.kind === "nothing" && !mayExamine && !this.#isWorthSealing()) {
      // A store that was closed properly stays so: nothing has begun.
      return { outcome: "nothing-to-do", why: "" };
    }
    await queue.between(() => log.begin(versions.last));
    await remover.clearLeftovers();
    if (this.#isWorthSealing()) {
      const { active } = log;
      await queue.between(() => log.seal());
      // What was sealed is no victim before its hint is written.
      if (active !== undefined) await orStopped(hints.untilWritten(active), signal);
      first = undefined;
    }
    if (mayExamine) {
      await this.#examine(signal);
      first = undefined;
    }
    for (;;) {
      if (signal.aborted) throw new StepStopped();
      const choice = first ?? this.#choose(extent);
      first = undefined;
      if (choice.kind === "no-room") return this.#noRoom(choice.neededBytes);
      if (choice.kind === "nothing") break;
      const victims = this.#victimsOf(choice.ids);
      progress.segmentsChosen = progress.segmentsDone + victims.length;
      tell();
      await this.#take(victims, signal, progress, tell);
      progress.segmentsDone = progress.segmentsChosen;
      tell();
      await remover.untilAtMost(PINNED_SEGMENTS_MAX * this.#context.segmentBytesMax, signal);
    }
    const outcome = progress.segmentsDone === 0 ? "nothing-to-do" : "completed";
    return { outcome, why: "" };
  }

  /** One step; a victim that cannot be read is left alone from then on, and the rest goes on. */
  async #take(
    victims: readonly Segment[],
    signal: AbortSignal,
    progress: Progress,
    tell: () => void,
  ): Promise<void> {
    const { steps, candidates } = this.#context;
    const isDead = victims.every(({ liveBytes }) => liveBytes === 0) && this.#areFree(victims);
    try {
      if (isDead) await steps.drop(victims, signal, this.#tally(progress, tell));
      else await steps.copy(victims, signal, this.#tally(progress, tell));
    } catch (error) {
      if (!(error instanceof VictimUnreadable || error instanceof IndexDisagrees)) throw error;
      candidates.markUnfit(error.segment);
      this.#context.host.log.error({ err: error }, "a segment is not compacted, and kept");
      progress.segmentsChosen -= victims.length;
    }
  }

  #areFree(victims: readonly Segment[]): boolean {
    const { candidates } = this.#context;
    const free = new Set(
      candidates
        .candidates()
        .filter((each) => each.keptBytes === 0)
        .map((each) => each.id),
    );
    return victims.every(({ name }) => free.has(name.id));
  }

  /** What a step counts up. */
  #tally(progress: Progress, tell: () => void) {
    const { bytesRead: readBefore } = progress;
    return {
      phase: (phase: RunReport["phase"]): void => {
        progress.phase = phase;
        tell();
      },
      read: (bytes: number): void => {
        progress.bytesRead += bytes;
        progress.share = this.#shareDone(progress, readBefore);
        tell();
      },
      wrote: (bytes: number): void => {
        progress.bytesWritten += bytes;
      },
      reclaimed: (bytes: number): void => {
        progress.bytesReclaimed += bytes;
      },
    };
  }

  /** Of what is read by now and of what would be worth reading, as it looks now. */
  #shareDone({ bytesRead }: Progress, readBefore: number): number {
    const left = this.#context.candidates
      .candidates()
      .filter((each) => 10 * deadBytes(each) >= each.bytes)
      .reduce((sum, each) => sum + each.bytes, readBefore - bytesRead);
    return bytesRead / Math.max(1, bytesRead + Math.max(0, left));
  }

  /** Asks of segments full of tombstones whether these hide anything yet. */
  async #examine(signal: AbortSignal): Promise<void> {
    const { candidates, steps } = this.#context;
    candidates.forgetExaminations();
    for (const segment of candidates.unexamined().slice(0, EXAMINATIONS_MAX)) {
      if (signal.aborted) throw new StepStopped();
      const facts = candidates.tombstoneFacts([segment], true);
      candidates.markExamined(segment, await steps.examine(segment, facts, signal));
    }
  }

  #choose(extent: "due" | "thorough"): Choice {
    const { candidates, segmentBytesMax, deadPercent, versions, space } = this.#context;
    const { choose } = this.#context;
    space.check();
    const all = candidates.candidates().filter(({ id }) => this.#isInScope(extent, id));
    this.#context.pacer.isBehind = space.isShort || isBehind({ candidates: all, deadPercent });
    const { bytes, liveBytes } = this.#sums(all);
    // Writes are refused with the reserve left: what a step may use of it must not be nothing.
    const { reserveBytes } = space;
    const marginBytes =
      reserveBytes === 0 ? MARGIN_BYTES : Math.min(MARGIN_BYTES, reserveBytes / 2);
    const input = (freeBytes: number): PolicyInput => ({
      candidates: all,
      storeBytes: bytes,
      storeLiveBytes: liveBytes,
      storeVersion: versions.last,
      segmentBytesMax,
      deadPercent,
      roomBytes: Math.max(0, Math.floor((freeBytes - marginBytes) / (1 + HINT_SHARE))),
      extent: space.isShort ? "thorough" : extent,
    });
    // A step should not itself bring the disk to where writes are refused.
    const polite = choose(input(space.freeBytes - space.watermarkBytes));
    return polite.kind === "no-room" ? choose(input(space.freeBytes)) : polite;
  }

  /**
   * A thorough run takes what was there when it began. Else it would follow those
   * who write, for as long as they do.
   */
  #isInScope(extent: "due" | "thorough", id: number): boolean {
    if (extent === "due") return true;
    return this.#context.segments.at(id).name.timestampNs <= this.#newestAtStartNs;
  }

  #victimsOf(ids: readonly number[]): Segment[] {
    const { segments } = this.#context;
    return ids.map((id) => segments.at(id)).slice(0, STEP_VICTIMS_MAX);
  }

  #sums(all: readonly { readonly keptBytes: number }[]): { bytes: number; liveBytes: number } {
    const { bytes, liveBytes } = this.#context.segments.sums();
    return { bytes, liveBytes: all.reduce((sum, { keptBytes }) => sum + keptBytes, liveBytes) };
  }

  #isWorthSealing(): boolean {
    const { active } = this.#context.log;
    if (active === undefined || active.length === 0) return false;
    return deadBytesOf(active) > Math.max(this.#deadBytesMin(), active.liveBytes);
  }

  #deadBytesMin(): number {
    return Math.min(DEAD_BYTES_MIN, this.#context.segmentBytesMax / 4);
  }

  #noRoom(neededBytes: number): RunEnd {
    const { freeBytes } = this.#context.space;
    return declined(`it would take ${neededBytes} bytes of disk, and ${freeBytes} are free`);
  }
}

function deadBytes(each: { bytes: number; liveBytes: number; keptBytes: number }): number {
  return Math.max(0, each.bytes - each.liveBytes - each.keptBytes);
}

function deadBytesOf(active: Segment | undefined): number {
  return active === undefined ? 0 : active.length - active.liveBytes;
}

function newestOf(segments: SegmentSet): bigint {
  let newest = 0n;
  for (const { name } of segments) if (name.timestampNs > newest) newest = name.timestampNs;
  return newest;
}

function declined(why: string): RunEnd {
  return { outcome: "declined", why };
}

function endOf(error: unknown, signal: AbortSignal): RunEnd {
  if (signal.aborted || error instanceof StepStopped) return { outcome: "cancelled", why: "" };
  if (error instanceof KvixError) {
    if (FORESEEN.has(error.reason)) return declined(error.message);
    if (error.reason === "STORE_CLOSING") return { outcome: "cancelled", why: error.message };
  }
  return { outcome: "failed", why: error instanceof Error ? error.message : String(error) };
}
