/**
 * The end of the log, read once for all who watch it.
 *
 *     log    ... run | run | run | run |  <- head: where the next read begins
 *                ^                 ^
 *                oldest kept       watchers that wait; what does not concern them
 *                                  passes them by
 *
 * A watcher that has told all there is waits here. What is published and durable is
 * read and decoded once, and held against the ranges of those who wait: it wakes whom
 * it concerns; the others only stand at a newer version. Who was woken, or was a
 * little slow, finds the run among those that are kept, so that neither costs another
 * read. Who is slower reads the log by himself until he is here again.
 *
 * Invariants
 *  1. Runs are contiguous: what one is complete up to, the next begins after.
 *  2. Of every run that is read each watcher that waits hears, or passes it by.
 *  3. It moves only if somebody waits for it or asks it for what comes next, and it
 *     begins anew with the first who waits at a newer version.
 *
 * Bound (V11): it keeps 4 MiB and 1,024 runs, or one that is larger.
 */
import type { LogChange } from "../log-events.js";
import type { LogReader } from "../log-reader.js";
import type { LogReaders } from "../log-readers.js";
import { KeyIntervals, type Ranged } from "./key-intervals.js";

/** How many bytes of frames one read takes, unless one frame has more. */
export const RUN_BYTES_MAX = 32 * 1024;
/** What is kept. */
export const TAIL_BYTES_MAX = 4 * 1024 * 1024;
const TAIL_RUNS_MAX = 1024;

/** Changes between two versions. */
export interface Run {
  /** It has all changes after this version ... */
  readonly after: number;
  /** ... up to this one. */
  readonly version: number;
  readonly changes: readonly LogChange[];
}

/** Who waits here. */
export interface Waiter extends Ranged {
  /** All up to this version is told to it. */
  readonly version: number;
  /** Something concerns it; all up to `version` does not. */
  wake(version: number): void;
}

interface KeptRun extends Run {
  version: number;
  readonly bytes: number;
}

/** The end of the log. */
export class SharedTail {
  readonly #readers: LogReaders;
  readonly #soon: (task: () => void) => void;
  readonly #watchers: () => Iterable<Waiter>;
  readonly #waiting = new Set<Waiter>();
  #intervals: KeyIntervals<Waiter> | undefined;
  #runs: KeptRun[] = [];
  #bytes = 0;
  #reader: LogReader | undefined;
  /** Where the next read begins. */
  #version = -1;
  /** The read under way. */
  #reading: Promise<boolean> | undefined;
  #isScheduled = false;

  /** `watchers`: all that may ever wait; to be told of their changes by `watchersChanged`. */
  constructor(
    readers: LogReaders,
    soon: (task: () => void) => void,
    watchers: () => Iterable<Waiter>,
  ) {
    this.#readers = readers;
    this.#soon = soon;
    this.#watchers = watchers;
  }

  /** Bytes of the runs that are kept. */
  get keptBytes(): number {
    return this.#bytes;
  }

  /** There is another watcher, or one less. */
  watchersChanged(): void {
    this.#intervals = undefined;
  }

  /** More may be told than before: reads it, in another turn, if anybody waits. */
  advance(): void {
    if (this.#waiting.size === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#soon(() => void this.#follow());
  }

  /** Waits until something concerns it. Its version is the newest that may be told. */
  wait(waiter: Waiter): void {
    if (waiter.version > this.#version && this.#waiting.size === 0) this.#begin(waiter.version);
    this.#waiting.add(waiter);
    this.advance();
  }

  /** Waits no more; answers up to which version nothing concerned it. */
  leave(waiter: Waiter): number {
    const wasWaiting = this.#waiting.delete(waiter);
    return wasWaiting ? Math.max(waiter.version, this.#version) : waiter.version;
  }

  /**
   * A run with changes after a version, read now if it is the next; undefined: it is
   * not here, and to be read from the log.
   */
  async after(version: number): Promise<Run | undefined> {
    if (version === this.#version) await this.#readNext();
    return this.#runs.findLast((run) => run.after <= version && version < run.version);
  }

  /** Lets go of all it keeps. Those who wait are not woken. */
  close(): void {
    this.#reader?.close();
    this.#reader = undefined;
    this.#runs = [];
    this.#bytes = 0;
    this.#version = -1;
  }

  #begin(version: number): void {
    this.close();
    this.#version = version;
  }

  async #follow(): Promise<void> {
    // What is published from now on asks for another round.
    this.#isScheduled = false;
    while (this.#waiting.size > 0 && this.#readers.readableVersion > this.#version) {
      if (!(await this.#readNext())) return;
    }
  }

  /** Reads what comes next, once for all who ask; false: it could not be read. */
  #readNext(): Promise<boolean> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<boolean> {
    const after = this.#version;
    let reader = this.#reader;
    try {
      reader ??= this.#readers.open({ afterVersion: after });
      this.#reader = reader;
      const { changes, version } = await reader.next(RUN_BYTES_MAX);
      // Meanwhile it may have begun anew.
      if (reader !== this.#reader) return true;
      this.#version = version;
      this.#keep({ after, version, changes, bytes: bytesOf(changes) });
      this.#tell(after, changes);
      return true;
    } catch {
      if (reader !== this.#reader) return true;
      // Whoever needs it reads it by himself, and meets what is wrong.
      this.close();
      for (const waiter of this.#waiting) {
        this.#waiting.delete(waiter);
        waiter.wake(Math.max(waiter.version, after));
      }
      return false;
    }
  }

  #keep(run: KeptRun): void {
    const last = this.#runs.at(-1);
    if (run.changes.length === 0) {
      if (last !== undefined) last.version = run.version;
      return;
    }
    this.#runs.push(run);
    this.#bytes += run.bytes;
    while (
      this.#runs.length > 1 &&
      (this.#bytes > TAIL_BYTES_MAX || this.#runs.length > TAIL_RUNS_MAX)
    ) {
      this.#bytes -= this.#runs.shift()?.bytes ?? 0;
    }
  }

  /** Wakes those whom the changes concern. */
  #tell(after: number, changes: readonly LogChange[]): void {
    if (this.#waiting.size === 0 || changes.length === 0) return;
    this.#intervals ??= new KeyIntervals(this.#watchers());
    for (const change of changes) {
      for (const event of change) {
        this.#intervals.find(event.key, (waiter) => {
          if (event.version <= waiter.version || !this.#waiting.delete(waiter)) return;
          waiter.wake(Math.max(waiter.version, after));
        });
      }
    }
  }
}

/** What changes count for: all bytes of the read that they are slices of. */
function bytesOf(changes: readonly LogChange[]): number {
  return changes[0]?.[0]?.payload.buffer.byteLength ?? 0;
}
