/**
 * The readers of the log that are open, and what a compaction tells them.
 *
 * A compaction of log segments raises the floor of the history to their highest
 * version. Before it does, `beforeFloorRises` tells every reader, so that a
 * watcher's client hears of its progress while that is still above the floor.
 *
 * Bound (V11): 10,000 readers.
 */
import { KvixError } from "../base/kvix-error.js";
import { VERSION_MAX } from "../base/limits.js";
import type { Clock } from "../host/host.js";
import { Leases } from "./leases.js";
import { LogHistory, type LogHistoryContext } from "./log-history.js";
import { LogReader } from "./log-reader.js";
import { requireWhole } from "./request-rules.js";

/** How many may be open. */
const READERS_MAX = 10_000;

/** What a reader asks for. */
export interface LogReaderOptions {
  /** The changes after this version; 0: all. */
  readonly afterVersion: number;
  /**
   * Called before the history up to a version is given up; the reader's own
   * version may be below it. It must not throw, and nobody waits for it.
   */
  readonly onFloorRise?: (version: number) => void;
}

/** Opens readers of the log. */
export class LogReaders {
  readonly #history: LogHistory;
  readonly #open = new Set<LogReader>();
  #isClosed = false;
  /**
   * Called before the history up to a version is given up, also for those who have no
   * reader open at that time. It must not throw, and nobody waits for it.
   */
  onFloorRise: ((version: number) => void) | undefined;

  constructor(context: Omit<LogHistoryContext, "leases"> & { readonly clock: Clock }) {
    this.#history = new LogHistory({ ...context, leases: new Leases(context.clock) });
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size;
  }

  /** The history is complete above this version. */
  get floor(): number {
    return this.#history.floor;
  }

  /** The newest version that may be told: published, and durable. */
  get readableVersion(): number {
    return this.#history.readableVersion;
  }

  /** Throws HISTORY_LOST if the changes after a version are not all there, or it was never given. */
  requireComplete(afterVersion: number): void {
    this.#history.requireComplete(afterVersion);
  }

  /** A reader; to be closed. Throws FIELD_INVALID, HISTORY_LOST, OVERLOADED, STORE_CLOSING. */
  open({ afterVersion, onFloorRise }: LogReaderOptions): LogReader {
    if (this.#isClosed) throw closing();
    requireWhole("afterVersion", afterVersion, 0, VERSION_MAX);
    if (this.#open.size >= READERS_MAX) {
      throw new KvixError("OVERLOADED", `${READERS_MAX} readers are open`, { outcome: "none" });
    }
    this.#history.requireComplete(afterVersion);
    const reader = new LogReader(this.#history, afterVersion, onFloorRise, (closed) => {
      this.#open.delete(closed);
    });
    this.#open.add(reader);
    return reader;
  }

  /** To be called before a manifest change that raises the floor to `version`. */
  beforeFloorRises(version: number): void {
    for (const reader of this.#open) reader.onFloorRise?.(version);
    this.onFloorRise?.(version);
  }

  /** Ends all, with STORE_CLOSING, and opens no other. */
  close(): void {
    this.#isClosed = true;
    for (const reader of this.#open) reader.end(closing());
    this.#open.clear();
  }
}

function closing(): KvixError {
  return new KvixError("STORE_CLOSING", "", { outcome: "none" });
}
