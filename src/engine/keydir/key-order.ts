/**
 * The order of the keys: sorted runs of entry numbers, and a delta of new ones.
 *
 *     put -> delta (unsorted, at most 1,024) -> runs of tier 3 (1,024..4,095)
 *            8 runs of a tier -> one run of the next: tier = log8(length)
 *
 * Every entry number is named exactly once, in the delta or in a run, from its
 * put until a seal or a merge finds it removed and drops it; only then may the
 * number be used again. An overwrite changes nothing here.
 *
 * Work: each number is sorted once and merged once for each tier above, about
 * log8(n / 1,024) times; in steps of at most 1,024 numbers.
 *
 * Bounds (V11)
 *   1. The delta holds at most 1,024 numbers or 256 KiB of keys plus one key.
 *   2. Of the tiers that seals go to, at most 1,033 runs wait; of those above,
 *      13. A tier has one merge under way. Beyond that, writes do the work
 *      themselves if nobody calls maintain(): two numbers or more for each that
 *      they add to a tier. So a bulk load of a million keys is not held up, and
 *      a seek into what it left costs some milliseconds until the upkeep of the
 *      next idle moment has merged it.
 *      A load at opening leaves a run for each 2^19 to 2^21 keys, whatever tier that is.
 *   3. At most a quarter of the numbers, and 4,096, name removed entries.
 */

import { KeySorter } from "./key-sort.js";
import type { KeyTable } from "./key-table.js";
import { bytesOf } from "./page-bytes.js";
import type { PagePoolImage } from "./page-pool.js";
import { BLOCK_NUMBERS, newRunPool, Run, type RunImage, type Sequence } from "./run.js";
import { RunMerge, scratchBytesOf } from "./run-merge.js";
import { SortedDelta } from "./sorted-delta.js";
import type { StepMeter } from "./step-meter.js";

const DELTA_KEY_BYTES = 256 * 1024;
const RUNS_PER_MERGE = 8;
/** Runs that wait behind a merge when writes begin to push it: fresh ones, and merged ones. */
const FRESH_BACKLOG = 1024;
const MERGED_BACKLOG = 4;
/** The tier of a full delta; those of deltas sealed early are below it. */
const FRESH_TIER = 3;
const STEP_ENTRIES = 1024;
const TIERS = 11;
/** Bytes that sorting a number touches: it twice, and eight bytes of its key. */
const SORTED_BYTES = 16;
/** Bytes that add() touches when the delta is full. */
export const SEAL_BYTES_MAX = SORTED_BYTES * BLOCK_NUMBERS;

/** The order beside its pages, for a checkpoint. */
export interface KeyOrderImage {
  readonly deltaCount: number;
  readonly deltaKeyBytes: number;
  readonly named: number;
  readonly runs: readonly RunImage[];
  readonly pool: PagePoolImage;
}

/** What maintains the order. */
export class KeyOrder {
  /** Changes when sequences change other than by growing the delta. */
  epoch = 0;
  readonly #keys: KeyTable;
  readonly #meter: StepMeter;
  readonly #pool = newRunPool();
  readonly #sorter: KeySorter;
  readonly #delta = new Uint32Array(new SharedArrayBuffer(BLOCK_NUMBERS * 4));
  #deltaCount = 0;
  #deltaKeyBytes = 0;
  #sortedDelta: SortedDelta | undefined;
  readonly #waiting: Run[][] = Array.from({ length: TIERS }, () => []);
  readonly #merges: (RunMerge | undefined)[] = new Array(TIERS).fill(undefined);
  /** Runs still to be copied without what was removed, and the copy under way. */
  #purgeable = new Set<Run>();
  #purge: RunMerge | undefined;
  /** Entry numbers in delta and runs. */
  #named = 0;

  constructor(keys: KeyTable, meter: StepMeter) {
    this.#keys = keys;
    this.#meter = meter;
    this.#sorter = new KeySorter(keys);
  }

  /** Bytes allocated, scratch of merges included. */
  get bytes(): number {
    let bytes = this.#pool.bytes + this.#sorter.bytes + this.#delta.byteLength;
    for (const merge of this.#merges) bytes += merge?.bytes ?? 0;
    return bytes + (this.#purge?.bytes ?? 0) + (this.#sortedDelta?.bytes ?? 0);
  }

  /** Bytes that `entries` more would allocate at most. */
  bytesFor(entries: number): number {
    // One entry more seals at most one run, and starts a merge only if that
    // makes one overdue.
    const merges = entries > 1 ? TIERS : this.#isBacklog(-1) ? 1 : 0;
    const blocks = Math.ceil(entries / BLOCK_NUMBERS) + 2 + merges * (RUNS_PER_MERGE + 1);
    return this.#pool.bytesFor(blocks) + merges * scratchBytesOf(RUNS_PER_MERGE);
  }

  /** Runs, inputs and outputs of merges that are not empty. */
  get runCount(): number {
    let runs = 0;
    for (const waiting of this.#waiting) runs += waiting.length;
    for (const merge of [...this.#merges, this.#purge]) {
      runs += merge?.sequences.filter(({ from, end }) => from < end).length ?? 0;
    }
    return runs;
  }

  /** Numbers that name removed entries. */
  get removed(): number {
    return this.#named - this.#keys.entries.count;
  }

  /** Names a new entry. */
  add(entry: number, keyBytes: number): void {
    this.#delta[this.#deltaCount++] = entry;
    this.#deltaKeyBytes += keyBytes;
    this.#named++;
    this.#sortedDelta = undefined;
    if (this.#deltaCount === BLOCK_NUMBERS || this.#deltaKeyBytes >= DELTA_KEY_BYTES) this.#seal();
  }

  /** Names many new entries, sorted by key; for a load, which makes no step of it. */
  addSorted(entries: Uint32Array, count: number): void {
    const first = entries[0]!;
    const most = this.#keys.entries.keyLengthOf(first);
    const shared = this.#keys.sharedBytes(first, entries[count - 1]!, most);
    const run = new Run(this.#pool, shared);
    for (let i = 0; i < count; i++) run.push(entries[i]!);
    this.#named += count;
    this.#await(run);
  }

  /** Whether so much work has piled up that writes must do a share of it. */
  get isOverdue(): boolean {
    return this.#isBacklog(0) || this.removed * 4 > this.#named + 4 * BLOCK_NUMBERS;
  }

  /** One step of upkeep; false if none is due. */
  step(): boolean {
    for (let tier = 0; tier < TIERS; tier++) {
      const merge = this.#merges[tier] ?? this.#startMerge(tier);
      if (merge === undefined) continue;
      if (this.#advance(merge)) this.#merges[tier] = undefined;
      return true;
    }
    return this.#stepPurge();
  }

  /** Everything that names entries, each sequence ascending; together they name each once. */
  sequences(): Sequence[] {
    this.#meter.begin();
    this.#sortedDelta ??= this.#sortDelta();
    const sequences: Sequence[] = [this.#sortedDelta];
    for (const runs of this.#waiting) sequences.push(...runs);
    for (const merge of this.#merges) if (merge !== undefined) sequences.push(...merge.sequences);
    if (this.#purge !== undefined) sequences.push(...this.#purge.sequences);
    return sequences.filter((sequence) => sequence.from < sequence.end);
  }

  /**
   * Adds the bytes of all pages to `pages`. A merge under way is saved as the
   * runs that it has left and the run that it has made so far.
   */
  save(pages: Uint8Array[]): KeyOrderImage {
    const runs: Run[] = this.#waiting.flat();
    for (const merge of [...this.#merges, this.#purge]) runs.push(...(merge?.sequences ?? []));
    pages.push(bytesOf(this.#delta));
    return {
      deltaCount: this.#deltaCount,
      deltaKeyBytes: this.#deltaKeyBytes,
      named: this.#named,
      runs: runs.filter(({ length }) => length > 0).map((run) => run.save()),
      pool: this.#pool.save(pages),
    };
  }

  /** Makes the order, which is new, what `image` says; its pages are added to `pages`, to be filled. */
  restore(image: KeyOrderImage, pages: Uint8Array[]): void {
    this.#deltaCount = image.deltaCount;
    this.#deltaKeyBytes = image.deltaKeyBytes;
    this.#named = image.named;
    pages.push(bytesOf(this.#delta));
    this.#pool.restore(image.pool, pages);
    for (const run of image.runs) this.#await(Run.restored(this.#pool, run));
  }

  /** Gives back what is held in reserve. */
  trim(): void {
    this.#pool.trim();
  }

  /** Whether in any tier too many runs wait behind a merge, give or take `more`. */
  #isBacklog(more: number): boolean {
    for (let tier = 0; tier < TIERS; tier++) {
      const taken = this.#merges[tier] === undefined ? RUNS_PER_MERGE : 0;
      const behind = tier <= FRESH_TIER ? FRESH_BACKLOG : MERGED_BACKLOG;
      if (this.#waiting[tier]!.length >= taken + behind + more) return true;
    }
    return false;
  }

  /** The live entries of the delta, sorted. */
  #sortDelta(): SortedDelta {
    const entries = new Uint32Array(this.#deltaCount);
    let count = 0;
    for (let i = 0; i < this.#deltaCount; i++) {
      const entry = this.#delta[i]!;
      if (this.#keys.entries.isLive(entry)) entries[count++] = entry;
    }
    this.#meter.add(count * SORTED_BYTES);
    return new SortedDelta(entries, count, this.#sorter.sort(entries, count));
  }

  /** Turns the delta into a run, and drops what was removed from it. */
  #seal(): void {
    const sorted = this.#sortDelta();
    const run = new Run(this.#pool, sorted.sharedBytes);
    for (let i = 0; i < sorted.end; i++) run.push(sorted.at(i));
    for (let i = 0; i < this.#deltaCount; i++) {
      const entry = this.#delta[i]!;
      if (!this.#keys.entries.isLive(entry)) this.#keys.entries.free(entry);
    }
    this.#named -= this.#deltaCount - sorted.end;
    this.#deltaCount = 0;
    this.#deltaKeyBytes = 0;
    this.#sortedDelta = undefined;
    this.#await(run);
  }

  #await(run: Run): void {
    this.epoch++;
    if (run.length > 0) this.#waiting[tierOf(run.length)]!.push(run);
  }

  #startMerge(tier: number): RunMerge | undefined {
    const waiting = this.#waiting[tier]!;
    if (waiting.length < RUNS_PER_MERGE) return undefined;
    const inputs = waiting.splice(0, RUNS_PER_MERGE);
    for (const run of inputs) this.#purgeable.delete(run);
    const merge = new RunMerge(this.#keys, this.#pool, inputs, this.#meter);
    this.#merges[tier] = merge;
    return merge;
  }

  /** A step of a merge; true when it is done. */
  #advance(merge: RunMerge): boolean {
    const answer = merge.step(STEP_ENTRIES);
    this.epoch++;
    this.#named -= answer < 0 ? ~answer : answer;
    if (answer >= 0) return false;
    this.#await(merge.output);
    return true;
  }

  /** Copies runs without what was removed, once that is more than an eighth. */
  #stepPurge(): boolean {
    if (this.#purge !== undefined) {
      if (this.#advance(this.#purge)) this.#purge = undefined;
      return true;
    }
    if (this.#purgeable.size === 0) {
      if (this.removed * 8 <= this.#named) return false;
      this.#seal();
      this.#purgeable = new Set(this.#waiting.flat());
      return true;
    }
    const [run] = this.#purgeable;
    if (run === undefined) return false;
    this.#purgeable.delete(run);
    const waiting = this.#waiting.find((runs) => runs.includes(run));
    waiting?.splice(waiting.indexOf(run), 1);
    this.#purge = new RunMerge(this.#keys, this.#pool, [run], this.#meter);
    return true;
  }
}

/** log8 of a length, whole. */
function tierOf(length: number): number {
  return Math.floor((31 - Math.clz32(length)) / 3);
}
