/**
 * The watches of a store: who watches, what they share, and who wakes them.
 *
 *     published, durable -> shared tail -> whom it concerns
 *     the floor rises    -> all who have not told as much
 *     the store closes   -> all: STORE_CLOSING
 *
 * Bounds (V11): 10,000 watches, 1,024 of them telling the current state (snapshots.ts);
 * the shared tail keeps 4 MiB or one run; eight of those who are behind read the log at
 * once, the others wait their turn; frames larger than a read, while steps are made of
 * them, take 128 MiB or are alone; steps of more than 64 KiB take 64 MiB or are alone,
 * until the next one is asked for.
 */
import { KvixError } from "../../base/kvix-error.js";
import { BATCH_BYTES_MAX } from "../../base/limits.js";
import type { Host } from "../../host/host.js";
import { ByteBudget } from "../byte-budget.js";
import { Leases } from "../leases.js";
import type { LogReaders } from "../log-readers.js";
import type { Snapshot } from "../snapshots/snapshot.js";
import type { Snapshots } from "../snapshots/snapshots.js";
import type { WatchOptions } from "../store-watch.js";
import type { WriteQueue } from "../write-queue.js";
import { RUN_BYTES_MAX, SharedTail } from "./shared-tail.js";
import { Watch } from "./watch.js";
import { type WatchAsk, watchAskOf } from "./watch-rules.js";
import type { WatchWorld } from "./watch-world.js";

/** How many there may be. */
const WATCHES_MAX = 10_000;
/** How many of those who are behind read at once. */
const READS_MAX = 8;
/** How much steps of more than 64 KiB take that were handed out last. */
const LARGE_STEPS_BYTES_MAX = 64 * 1024 * 1024;

/** What watches work with. */
export interface WatchesContext {
  readonly host: Pick<Host, "clock">;
  readonly logReaders: LogReaders;
  readonly queue: Pick<WriteQueue, "durableVersion" | "flush" | "onProgress">;
}

/** Opens watches. */
export class Watches {
  readonly #readers: LogReaders;
  readonly #snapshots: Snapshots;
  readonly #open = new Set<Watch>();
  readonly #world: WatchWorld;
  #isClosed = false;

  constructor({ host, logReaders, queue }: WatchesContext, snapshots: Snapshots) {
    const { clock } = host;
    this.#readers = logReaders;
    this.#snapshots = snapshots;
    const soon = (task: () => void): void => clock.soon(task);
    const tail = new SharedTail(logReaders, soon, () => this.#open);
    this.#world = {
      readers: logReaders,
      tail,
      leases: new Leases(clock),
      reads: new ByteBudget(READS_MAX * RUN_BYTES_MAX),
      frames: new ByteBudget(BATCH_BYTES_MAX),
      large: new ByteBudget(LARGE_STEPS_BYTES_MAX),
      soon,
      durable: async (version) => {
        if (queue.durableVersion < version) await queue.flush();
      },
    };
    queue.onProgress = () => tail.advance();
    logReaders.onFloorRise = (version) => {
      for (const watch of this.#open) watch.floorRises(version);
    };
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size;
  }

  /** Bytes of changes that are kept for those who are nearly at the end of the log. */
  get keptBytes(): number {
    return this.#world.tail.keptBytes;
  }

  /** See `Store.watch`. */
  open(options: WatchOptions): Watch {
    if (this.#isClosed) throw closing();
    const ask = watchAskOf(options);
    if (this.#open.size >= WATCHES_MAX) {
      throw new KvixError("OVERLOADED", `${WATCHES_MAX} watches are open`, { outcome: "none" });
    }
    const watch = ask.includeCurrent ? this.#withCurrent(ask) : this.#after(ask);
    // One whose signal was aborted before is over already.
    if (ask.signal?.aborted !== true) this.#open.add(watch);
    this.#world.tail.watchersChanged();
    return watch;
  }

  /** Ends all, and opens no other. */
  close(): void {
    this.#isClosed = true;
    this.#world.reads.close();
    this.#world.frames.close();
    this.#world.large.close();
    for (const watch of this.#open) watch.end(closing());
    this.#world.tail.close();
  }

  #after(ask: WatchAsk): Watch {
    const readers = this.#readers;
    const version = ask.afterVersion ?? readers.readableVersion;
    try {
      readers.requireComplete(version);
    } catch (error) {
      if (!(error instanceof KvixError)) throw error;
      throw error.resumingAt({ afterVersion: version, historyFloor: readers.floor });
    }
    return this.#make(ask, version, undefined);
  }

  #withCurrent(ask: WatchAsk): Watch {
    const snapshot = this.#snapshots.open();
    try {
      return this.#make(ask, snapshot.version, snapshot);
    } catch (error) {
      snapshot.close();
      throw error;
    }
  }

  #make(ask: WatchAsk, version: number, snapshot: Snapshot | undefined): Watch {
    return new Watch(this.#world, ask, version, snapshot, (closed) => {
      if (!this.#open.delete(closed)) return;
      this.#world.tail.watchersChanged();
      if (this.#open.size === 0) this.#world.tail.close();
    });
  }
}

function closing(): KvixError {
  return new KvixError("STORE_CLOSING", "", { outcome: "none" });
}
