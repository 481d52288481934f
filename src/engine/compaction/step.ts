/**
 * The steps of a compaction, each of which takes effect by one change of the
 * manifest.
 *
 *     copy   list the output as pending -> copy what lives, judged slice by slice
 *              -> output, hint and directory durable -> log synced
 *              -> COMMIT: output compacted, victims removed
 *              -> index pointed at the output -> victims dismissed
 *     drop   log synced -> COMMIT: victims removed -> victims dismissed
 *
 * Invariants
 *  1. Before the commit nothing has changed but files that are listed as pending;
 *     after it everything the victims held that lives is in the output (M5).
 *  2. A record is judged dead by what is published, and all of that is durable
 *     before the commit (V16).
 *  3. It commits only if every byte that lives in a victim is accounted for.
 *  4. Victims leave when the index names none of them and their readers are gone.
 */
import type { File } from "../../host/file-system.js";
import type { Host } from "../../host/host.js";
import type { FilePool } from "../../storage/file-pool.js";
import type { StoreDirectories } from "../../storage/layout.js";
import { Segment, type SegmentName } from "../../storage/segment.js";
import { findFrame } from "../../storage/segment-scan.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import type { DamageRegister } from "../damage.js";
import type { Keydir } from "../keydir/keydir.js";
import type { Latch } from "../latch.js";
import type { LogReaders } from "../log-readers.js";
import { addPendingOutput, commitCompaction } from "../manifest-edits.js";
import type { ManifestKeeper } from "../manifest-keeper.js";
import type { SegmentNamer } from "../segment-namer.js";
import type { WriteQueue } from "../write-queue.js";
import type { Candidates, TombstoneFacts } from "./candidates.js";
import type { RunReport } from "./compactor.js";
import { CopierLink, orStopped, StepStopped } from "./copier-link.js";
import {
  type Copied,
  type Damaged,
  type Examined,
  type JudgeRequest,
  refOf,
} from "./copier-orders.js";
import { IndexDisagrees, isAccountedFor, judgeSlice } from "./judge.js";
import type { Pace } from "./pacer.js";
import { redirect } from "./redirect.js";
import type { Remover } from "./remover.js";

/** Tombstones are looked into where they are more than this part of the victims. */
const CHECKED_TOMBSTONE_SHARE = 1 / 64;

/** What steps work with. */
export interface StepContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  readonly storeId: Uint8Array;
  readonly segments: SegmentSet;
  readonly pool: FilePool;
  readonly keydir: Keydir;
  readonly queue: WriteQueue;
  readonly keeper: ManifestKeeper;
  readonly latch: Latch;
  readonly damage: DamageRegister;
  readonly namer: SegmentNamer;
  readonly candidates: Candidates;
  readonly remover: Remover;
  readonly pacer: Pace;
  readonly logReaders: LogReaders;
}

/** What a step tells of. */
export interface StepTally {
  phase(phase: RunReport["phase"]): void;
  read(bytes: number): void;
  wrote(bytes: number): void;
  reclaimed(bytes: number): void;
}

/** A step that took effect; no output: nothing lived any more. */
interface FinishedCopy {
  readonly output: Segment | undefined;
  readonly victims: readonly Segment[];
}

/** Thrown when a victim is damaged: it is kept as it is. */
export class VictimUnreadable extends Error {
  readonly segment: Segment;

  constructor(segment: Segment) {
    super(`${segment.name.fileName} cannot be read whole`);
    this.segment = segment;
  }
}

/** Takes steps, one at a time. */
export class Steps {
  readonly #context: StepContext;
  readonly #copier: CopierLink;
  readonly #ended = new AbortController();
  /** What is left to do of a step that took effect. */
  #finishing: Promise<void> = Promise.resolve();
  /** The step whose output the index does not name altogether yet. */
  #unfinished: FinishedCopy | undefined;

  constructor(context: StepContext) {
    this.#context = context;
    this.#copier = new CopierLink(context.host);
  }

  /**
   * Resolves when the step before is over altogether, and tries again what failed of
   * it: records whose index entry names a victim yet would seem dead in the output.
   * Throws if that fails again, and StepStopped on `signal`.
   */
  async finished(signal: AbortSignal): Promise<void> {
    await orStopped(this.#finishing, signal);
    if (this.#unfinished === undefined) return;
    this.#finishing = this.#finish(this.#unfinished);
    await this.#untilFinished(signal);
  }

  /** Whether the index still names segments that are no part of the store. */
  get isIndexBehind(): boolean {
    return this.#unfinished !== undefined;
  }

  /** Lets the thread go, at the end of a run. */
  release(): Promise<void> {
    return this.#copier.release();
  }

  /** The store closes: what is not done is left to the next opening. */
  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#finishing;
    await this.#context.remover.stop();
  }

  /** Removes segments that hold nothing any more. */
  async drop(victims: readonly Segment[], signal: AbortSignal, tally: StepTally): Promise<void> {
    const { queue, segments, remover } = this.#context;
    tally.phase("committing");
    await queue.flush();
    if (signal.aborted) throw new StepStopped();
    for (const { name, liveBytes } of victims) {
      if (liveBytes !== 0) throw new Error(`${name.fileName} has come to life again`);
    }
    await this.#commitManifest(undefined, victims);
    for (const victim of victims) segments.markRemoved(victim);
    tally.phase("removing");
    tally.reclaimed(bytesOf(victims));
    // Bounded by whoever asks for the next step: they may wait for readers.
    void remover.dismiss(victims);
    await this.#untilLeft(victims, signal);
  }

  /** Copies what lives in the victims, and removes them. Throws VictimUnreadable. */
  async copy(victims: readonly Segment[], signal: AbortSignal, tally: StepTally): Promise<void> {
    const { keeper, namer } = this.#context;
    tally.phase("copying");
    const name = namer.take();
    try {
      await keeper.change((draft) => addPendingOutput(draft, name));
    } finally {
      namer.settle(name);
    }
    let output: Segment | undefined;
    try {
      for (const victim of victims) victim.judgement = { upTo: 0, keptBytes: 0, diedBytes: 0 };
      const copied = await this.#copyRecords(name, victims, signal, tally);
      output = await this.#commit(name, copied, victims, signal, tally);
    } catch (error) {
      // The thread may still be writing there.
      await this.release();
      await this.#discard(name);
      throw error;
    } finally {
      for (const victim of victims) victim.judgement = undefined;
    }
    this.#finishing = this.#finish({ output, victims });
    tally.phase("removing");
    await this.#untilFinished(signal);
    await this.#untilLeft(victims, signal);
  }

  /** Bytes of tombstones in a segment that hide nothing. */
  async examine(segment: Segment, facts: TombstoneFacts, signal: AbortSignal): Promise<number> {
    const subject = refOf(segment);
    const answer = await this.#copier.ask(
      { kind: "examine", subject, ...this.#store(), ...facts },
      signal,
    );
    return (answer as unknown as Examined).droppableBytes;
  }

  async #copyRecords(
    name: SegmentName,
    victims: readonly Segment[],
    signal: AbortSignal,
    tally: StepTally,
  ): Promise<Copied> {
    const { candidates, keydir, pacer } = this.#context;
    const tombstoneBytes = victims.reduce((sum, each) => sum + each.tombstoneBytes, 0);
    const isWorthIt = tombstoneBytes > bytesOf(victims) * CHECKED_TOMBSTONE_SHARE;
    const order = {
      kind: "copy",
      victims: victims.map(refOf),
      output: refOf(new Segment(name, undefined, true, false)),
      ...this.#store(),
      ...candidates.tombstoneFacts(victims, isWorthIt),
    };
    let answer = await this.#copier.ask(order, signal);
    let keptBefore = 0;
    while (answer["kind"] === "judge") {
      const request = answer as unknown as JudgeRequest;
      // What was kept of the slices before is being written meanwhile.
      const kept = victims.reduce((sum, each) => sum + (each.judgement?.keptBytes ?? 0), 0);
      await pacer.take(request.bytesRead + kept - keptBefore, signal);
      keptBefore = kept;
      const keep = await judgeSlice(request, victims[request.victim]!, keydir, pacer);
      tally.read(request.bytesRead);
      answer = await this.#copier.ask({ kind: "verdict", keep }, signal);
    }
    if (answer["kind"] === "copied") return answer as unknown as Copied;
    const { victim, offset } = answer as unknown as Damaged;
    throw await this.#unreadable(victims[victim]!, offset);
  }

  async #commit(
    name: SegmentName,
    copied: Copied,
    victims: readonly Segment[],
    signal: AbortSignal,
    tally: StepTally,
  ): Promise<Segment | undefined> {
    const { queue, segments, host, pool, directories, latch } = this.#context;
    tally.phase("committing");
    tally.wrote(copied.length + copied.hintBytes);
    for (const victim of victims) {
      if (isAccountedFor(victim)) continue;
      throw new IndexDisagrees(victim, "not all that lives in it was copied");
    }
    await queue.flush();
    try {
      await host.files.syncDirectory(directories.segments);
    } catch (error) {
      latch.close("a sync of the segment directory failed", error);
      throw latch.readOnly();
    }
    if (copied.length === 0) return await this.#commitNothing(name, victims, signal, tally);
    const output = segmentFrom(name, await pool.open(name.path), copied);
    try {
      if (signal.aborted) throw new StepStopped();
      await this.#commitManifest(output, victims);
    } catch (error) {
      await output.file?.close();
      throw error;
    }
    segments.add(output);
    for (const victim of victims) segments.markRemoved(victim);
    tally.reclaimed(bytesOf(victims) - output.length);
    return output;
  }

  /** The change that a step takes effect by. Readers of the log hear of a floor before it rises. */
  async #commitManifest(output: Segment | undefined, victims: readonly Segment[]): Promise<void> {
    const { keeper, logReaders } = this.#context;
    const reached = victims.filter(({ isLog }) => isLog).map((each) => each.highestVersion);
    if (reached.length > 0) logReaders.beforeFloorRises(Math.max(...reached));
    await keeper.change((draft) => commitCompaction(draft, output, victims));
  }

  /** All has died meanwhile: the victims go, and the output does not come. */
  async #commitNothing(
    name: SegmentName,
    victims: readonly Segment[],
    signal: AbortSignal,
    tally: StepTally,
  ): Promise<undefined> {
    const { segments } = this.#context;
    if (signal.aborted) throw new StepStopped();
    await this.#commitManifest(undefined, victims);
    for (const victim of victims) segments.markRemoved(victim);
    tally.reclaimed(bytesOf(victims));
    await this.#discard(name);
  }

  /**
   * Takes an output away that came to nothing. Not after the latch has closed: the
   * manifest on the disk may be the one that calls it part of the store.
   */
  async #discard(name: SegmentName): Promise<void> {
    const { remover, latch, host } = this.#context;
    if (latch.isClosed) return;
    await remover.discard(name).catch((err: unknown) => {
      host.log.warn({ err, file: name.fileName }, "a compaction's output is still there");
    });
  }

  /** No step may follow before the index names the output. */
  async #untilFinished(signal: AbortSignal): Promise<void> {
    await orStopped(this.#finishing, signal);
    if (this.#unfinished !== undefined) throw new Error("the index is behind a compaction");
  }

  /** Points the index at the output, and lets the victims go. Never rejects. */
  async #finish(step: FinishedCopy): Promise<void> {
    const { output, victims } = step;
    const { host, keydir, segments, storeId, pacer, remover } = this.#context;
    const { files, log } = host;
    const signal = this.#ended.signal;
    this.#unfinished = step;
    try {
      if (output !== undefined) {
        await redirect({ files, storeId, keydir, segments, pacer, signal }, output);
      }
      const left = victims.find(({ liveBytes }) => liveBytes !== 0);
      if (left !== undefined) throw new Error(`the index still names ${left.name.fileName}`);
      this.#unfinished = undefined;
      void remover.dismiss(victims);
    } catch (err) {
      // Reads go on in the victims, whose files stay until another attempt succeeds.
      if (!signal.aborted) log.error({ err }, "the index could not be pointed at an output");
    }
  }

  /** Waits until the victims are gone, if only a moment: readers may hold them for minutes. */
  async #untilLeft(victims: readonly Segment[], signal: AbortSignal): Promise<void> {
    await this.#context.remover.untilGone(victims, signal);
  }

  #store() {
    const { storeId, directories } = this.#context;
    return { storeId, directories };
  }

  /** Damage is remembered, and the victim with it: its bytes are all there is of some records. */
  async #unreadable(segment: Segment, offset: number): Promise<Error> {
    const { damage, host } = this.#context;
    const { name, file, length, lowestVersion, highestVersion } = segment;
    if (file === undefined) return new VictimUnreadable(segment);
    const range = { file, salt: name.salt, from: offset + 1, to: length };
    const next = await findFrame(range);
    const end = next.kind === "frame" ? next.offset : length;
    // The index was made when it could be read, so it knows the keys of those bytes.
    damage.add({
      segment: name,
      offset,
      length: end - offset,
      firstVersion: lowestVersion,
      lastVersion: highestVersion,
      keysUnknown: false,
    });
    host.log.warn({ file: name.fileName, offset }, "a segment is damaged and is not compacted");
    return new VictimUnreadable(segment);
  }
}

function segmentFrom(name: SegmentName, file: File, copied: Copied): Segment {
  const segment = new Segment(name, file, true, false);
  segment.length = copied.length;
  segment.checksum = copied.checksum;
  segment.lowestVersion = copied.lowestVersion;
  segment.highestVersion = copied.highestVersion;
  segment.tombstoneBytes = copied.tombstoneBytes;
  segment.highestTombstone = copied.highestTombstone;
  segment.newestTimestampMs = copied.newestTimestampMs;
  return segment;
}

function bytesOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { length }) => sum + length, 0);
}
