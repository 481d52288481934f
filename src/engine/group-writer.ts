/**
 * From staged chunks to a group in the log: as many chunks as fit the active
 * segment and the bound of a group, sealed for that segment, appended with one
 * call. The group is not durable yet, and not published.
 */
import type { Log, LogReadiness } from "./log.js";
import type { StagedChunk, Staging } from "./staging.js";
import type { Versions } from "./versions.js";
import type { WriteOp } from "./write-op.js";

/** A group is closed when it has this many bytes. */
const GROUP_BYTES_MAX = 8 * 1024 * 1024;

/** What is written between two syncs, or a part of it. */
export interface Group {
  readonly chunks: readonly StagedChunk[];
  readonly ops: readonly WriteOp[];
  readonly bytes: number;
  /** The newest version in it; 0: it only observes. */
  readonly lastVersion: number;
}

/** Writes one group after the other. */
export class GroupWriter {
  readonly #log: Log;
  readonly #staging: Staging;
  readonly #versions: Versions;
  /** The group that was taken last; if writing it failed, the one that failed. */
  taken: Group = { chunks: [], ops: [], bytes: 0, lastVersion: 0 };

  constructor(log: Log, staging: Staging, versions: Versions) {
    this.#log = log;
    this.#staging = staging;
    this.#versions = versions;
  }

  /** Whether the next group has bytes and `write` would start writing them without a wait. */
  get isReady(): boolean {
    const { first, lastVersion } = this.#staging;
    if (first === undefined || lastVersion === 0) return false;
    return (
      this.#versions.isReserved(first.lastVersion) && this.#log.isReadyFor(first.used, lastVersion)
    );
  }

  /**
   * Takes the chunks of one group out of the staging area, and appends them. It calls
   * `beforeWaiting` before it waits for the disk: those who wait for an answer do not
   * wait for that, and what is known of a segment is complete when it is sealed.
   */
  async write(beforeWaiting: () => void): Promise<Group> {
    this.taken = { chunks: [], ops: [], bytes: 0, lastVersion: 0 };
    const first = this.#staging.first;
    if (first === undefined) throw new Error("there is no group to write");
    // Only bytes need the log to be ready: a group of mere observations begins nothing.
    let ready: LogReadiness | undefined;
    while (this.#staging.lastVersion > 0) {
      if (!this.isReady) beforeWaiting();
      ready = await this.#log.prepare(first.used, this.#staging.lastVersion);
      // Frames may have come meanwhile. From here until they are taken none can.
      if (first.used <= ready.room && this.#versions.isReserved(first.lastVersion)) break;
    }
    const group = this.#take(ready?.room ?? 0);
    this.taken = group;
    if (ready !== undefined && group.bytes > 0) {
      this.#seal(group, ready);
      const chunks = group.chunks.filter((chunk) => chunk.used > 0);
      const pieces = chunks.flatMap((chunk) => chunk.pieces());
      await this.#log.append(pieces, beforeWaiting);
      for (const chunk of chunks) ready.segment.coverTimestamp(chunk.newestTimestampMs);
    }
    return group;
  }

  #take(room: number): Group {
    const chunks: StagedChunk[] = [];
    const ops: WriteOp[] = [];
    const limit = Math.min(room, GROUP_BYTES_MAX);
    let bytes = 0;
    let lastVersion = 0;
    for (let next = this.#staging.first; next !== undefined; next = this.#staging.first) {
      const isTooMuch = bytes + next.used > limit || !this.#versions.isReserved(next.lastVersion);
      if (chunks.length > 0 && isTooMuch) break;
      this.#staging.take();
      chunks.push(next);
      for (const op of next.ops) ops.push(op);
      bytes += next.used;
      if (next.lastVersion > 0) lastVersion = next.lastVersion;
    }
    return { chunks, ops, bytes, lastVersion };
  }

  /** Fills in what depends on the segment, and tells the entries where they come to lie. */
  #seal(group: Group, { segment }: LogReadiness): void {
    let offset = segment.length;
    let isBarrier = this.#log.nextIsBarrier;
    for (const chunk of group.chunks) {
      if (chunk.used === 0) continue;
      chunk.seal(segment.name.salt, isBarrier);
      isBarrier = false;
      for (const op of chunk.ops) {
        if (op.isBatch && op.identity !== undefined) segment.requests += 1;
        for (const entry of op.entries) {
          entry.segment = segment;
          entry.offset = offset + entry.at;
        }
      }
      offset += chunk.used;
    }
  }
}
