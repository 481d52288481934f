/**
 * Scan: the records of a range in key order, all at one point in time, part by part.
 *
 *   first part asked for -> snapshot -> [places from its walk -> records -> parts] -> ...
 *   at the end, at a failure, or when it is left: snapshot closed, memory given back
 *
 * Nothing is made ahead but where that saves reads (read-ahead.ts): else a part is
 * collected when it is asked for, and counts until the next one is. So who reads slowly
 * holds one part, or what of the shared memory it was given, and a snapshot, and the
 * snapshot's own bounds end it (snapshots.ts): SNAPSHOT_ENDED, with the place to go on from.
 *
 *     small part   of records that together take at most 64 KiB
 *     large part   of one record that alone takes more
 *
 * Bounds (V11): a small part for each of the 1,024 snapshots there can be, 64 MiB, which
 * nobody waits for; small parts that are read ahead share 64 MiB more, which nobody waits
 * for either; large parts share 64 MiB beside them, each counted twice, as it is copied
 * once, and wait for it in the order in which they come. So scans of small records go on
 * while large ones are not taken. One turn of the event loop looks at 1,024 keys, or
 * reads what window-reader.ts allows.
 */
import { KvixError } from "../../base/kvix-error.js";
import { PAGE_BYTES_MAX } from "../../base/limits.js";
import type { Clock } from "../../host/host.js";
import { ByteBudget } from "../byte-budget.js";
import { boundsOf } from "../key-range.js";
import { requireWhole } from "../request-rules.js";
import type { Snapshot } from "../snapshots/snapshot.js";
import type { SnapshotCursor } from "../snapshots/snapshot-cursor.js";
import type { Snapshots } from "../snapshots/snapshots.js";
import type { RecordSpacing, Scan, ScanOptions, ScanPart } from "../store-ranges.js";
import { ReadAhead } from "./read-ahead.js";
import { partOf, type ReadWindow } from "./scan-part.js";
import { ScanWindow } from "./scan-window.js";
import { WINDOW_RECORDS_MAX, WindowReader, type WindowReaderContext } from "./window-reader.js";

/** What large parts may take together. */
const LARGE_PARTS_BYTES_MAX = 64 * 1024 * 1024;
/** What small parts that are read ahead may take together. */
const AHEAD_BYTES_MAX = 64 * 1024 * 1024;
const UNSPACED: RecordSpacing = { before: () => 0, after: () => 0, behind: 0 };

/** What scans work with. */
export interface ScannerContext extends WindowReaderContext {
  readonly snapshots: Snapshots;
  readonly clock: Clock;
}

interface Shared {
  readonly snapshots: Snapshots;
  readonly windows: WindowReader;
  readonly clock: Clock;
  readonly large: ByteBudget;
  readonly ahead: ByteBudget;
}

/** Begins scans. */
export class Scanner {
  readonly #shared: Shared;

  constructor(context: ScannerContext) {
    this.#shared = {
      ...context,
      windows: new WindowReader(context),
      large: new ByteBudget(LARGE_PARTS_BYTES_MAX),
      ahead: new ByteBudget(AHEAD_BYTES_MAX),
    };
  }

  /** Bytes of large parts that are under way, or were not taken yet. */
  get largeBytes(): number {
    return this.#shared.large.usedBytes;
  }

  /** Throws FIELD_INVALID; all else the scan throws when it is asked for a part. */
  scan(options: ScanOptions): Scan {
    const { bytesMax = PAGE_BYTES_MAX, limit = Number.MAX_SAFE_INTEGER } = options;
    requireWhole("limit", limit, 1, Number.MAX_SAFE_INTEGER);
    requireWhole("bytesMax", bytesMax, 1, PAGE_BYTES_MAX);
    const { low: start, high: end } = boundsOf(options);
    return new ScanRun(
      this.#shared,
      { ...options, prefix: undefined, start, end },
      limit,
      bytesMax,
    );
  }

  /** Turns away what waits; the snapshots' own close ends all scans. */
  close(): void {
    this.#shared.large.close();
    this.#shared.ahead.close();
  }
}

/** The snapshot of a scan that has begun, and how far its walk is. */
interface Walk {
  readonly snapshot: Snapshot;
  readonly cursor: SnapshotCursor;
}

/** One scan. */
class ScanRun implements Scan {
  readonly #shared: Shared;
  readonly #options: ScanOptions;
  readonly #bytesMax: number;
  readonly #ended = new AbortController();
  readonly #abort = (): void => this.#ended.abort(this.#options.signal?.reason);
  readonly #ahead: ReadAhead;
  #walk: Walk | undefined;
  /** What was collected last; when it was read; and how many of its parts were given. */
  readonly #window = new ScanWindow();
  #read: ReadWindow | undefined;
  #given = 0;
  /** How many records may still be collected. */
  #left: number;
  #largeBytes = 0;
  #after: Uint8Array | undefined;
  #isOver = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(shared: Shared, options: ScanOptions, limit: number, bytesMax: number) {
    this.#shared = shared;
    this.#options = options;
    this.#left = limit;
    this.#bytesMax = bytesMax;
    this.#ahead = new ReadAhead(shared.ahead);
  }

  get after(): Uint8Array | undefined {
    return this.#after;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Throws SNAPSHOT_ENDED, STORE_CLOSING, CANCELLED, OVERLOADED, each with where to go on. */
  next(): Promise<IteratorResult<ScanPart, undefined>> {
    const next = this.#turn.then(() => this.#next());
    const over = (): void => undefined;
    // Not the part itself: it is to go when it was taken.
    this.#turn = next.then(over, over);
    return next;
  }

  async return(): Promise<IteratorResult<ScanPart, undefined>> {
    this.#ended.abort();
    await this.#turn;
    this.#end();
    return { done: true, value: undefined };
  }

  async #next(): Promise<IteratorResult<ScanPart, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    try {
      const part = await this.#part();
      if (part === undefined) this.#end();
      return part === undefined ? { done: true, value: undefined } : { done: false, value: part };
    } catch (error) {
      const why = this.#whyEnded(error);
      this.#end();
      throw why;
    }
  }

  async #part(): Promise<ScanPart | undefined> {
    const { signal } = this.#ended;
    if (this.#walk === undefined) this.#begin();
    // A loop over parts that are at hand at once must not keep all others waiting.
    else await new Promise<void>((resolve) => this.#shared.clock.soon(resolve));
    const walk = this.#walk as unknown as Walk;
    const window = this.#window;
    if (this.#given === window.partEnds.length) await this.#readOn(walk);
    requireGoing(signal);
    const end = window.partEnds[this.#given];
    if (end === undefined) return undefined;
    const isSpaced = this.#options.spacing !== undefined;
    const part = partOf(this.#read as ReadWindow, this.#given, isSpaced);
    this.#given += 1;
    const isLast = this.#given === window.partEnds.length && !window.isHolding;
    this.#after = isLast ? walk.cursor.after : window.keyOf(end - 1);
    return part;
  }

  /** Collects the next window and reads it. */
  async #readOn({ snapshot, cursor }: Walk): Promise<void> {
    const { spacing = UNSPACED } = this.#options;
    const { signal } = this.#ended;
    const window = this.#window;
    this.#read = undefined;
    this.#giveBack();
    await this.#collect(cursor);
    const records = await this.#shared.windows.read(window, spacing, signal);
    this.#left -= window.count;
    this.#ahead.learn(window.count, records.reads);
    this.#read = { window, records, version: snapshot.version };
    this.#given = 0;
  }

  #begin(): void {
    const { signal, reverse = false } = this.#options;
    requireGoing(signal);
    const snapshot = this.#shared.snapshots.open();
    snapshot.onEnd = () => this.#ended.abort();
    this.#walk = { snapshot, cursor: snapshot.cursor(this.#options, reverse) };
    signal?.addEventListener("abort", this.#abort);
  }

  /** The places of the next parts; none: the scan is at its end. */
  async #collect(cursor: SnapshotCursor): Promise<void> {
    const { clock, large } = this.#shared;
    const { signal } = this.#ended;
    const window = this.#window;
    window.begin({
      bytesMax: this.#bytesMax,
      keysOnly: this.#options.keysOnly === true,
      recordsMax: Math.min(this.#left, WINDOW_RECORDS_MAX),
      partsMax: this.#ahead.begin(),
    });
    while (!window.isFull) {
      cursor.fill(window);
      if (window.isFull || cursor.hasEnded) break;
      if (!window.isHolding) this.#after = cursor.after;
      await new Promise<void>((resolve) => clock.soon(resolve));
      requireGoing(signal);
    }
    window.finish();
    if (window.isLarge) {
      await large.take(2 * window.lastPartBytes, signal);
      this.#largeBytes = 2 * window.lastPartBytes;
    }
  }

  /** What ended the snapshot, if that did; with the place to go on from. */
  #whyEnded(error: unknown): unknown {
    const why = this.#walk?.snapshot.endedBecause ?? error;
    if (!(why instanceof KvixError)) return why;
    return why.resumingAt({ afterKey: this.#after });
  }

  #giveBack(): void {
    this.#ahead.giveBack();
    this.#shared.large.give(this.#largeBytes);
    this.#largeBytes = 0;
  }

  #end(): void {
    this.#isOver = true;
    this.#giveBack();
    this.#read = undefined;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#walk?.snapshot.close();
    this.#walk = undefined;
  }
}

function requireGoing(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new KvixError("CANCELLED", "", { cause: signal.reason, outcome: "none" });
}
