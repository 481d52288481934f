/**
 * What a store does with many records at once, put together: pages, batches of keys,
 * scans and range deletes. They read records by one reader, and pages and batches share
 * one budget of memory.
 */
import type { Clock } from "../host/host.js";
import type { SegmentSet } from "../storage/segment-set.js";
import { BatchGetter } from "./batch-getter.js";
import { ByteBudget } from "./byte-budget.js";
import type { Keydir } from "./keydir/keydir.js";
import { PageLister } from "./page-lister.js";
import type { Pins } from "./pins.js";
import { PlaceReader } from "./place-reader.js";
import type { Publisher } from "./publisher.js";
import { RangeDeleter, type RangeDeleterContext } from "./range-deleter.js";
import type { RecordReader } from "./record-reader.js";
import { Scanner } from "./scan/scanner.js";
import type { Snapshots } from "./snapshots/snapshots.js";

/** What pages and batches under way may take. */
const PAGES_BYTES_MAX = 64 * 1024 * 1024;

/** What it works with. */
export interface ManyRecordsContext extends RangeDeleterContext {
  readonly keydir: Keydir;
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly publisher: Publisher;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly snapshots: Snapshots;
}

/** Reads and removes many records. */
export class ManyRecords {
  readonly #budget = new ByteBudget(PAGES_BYTES_MAX);
  readonly #places: PlaceReader;
  readonly lister: PageLister;
  readonly batches: BatchGetter;
  readonly scanner: Scanner;
  readonly rangeDeleter: RangeDeleter;

  constructor(context: ManyRecordsContext) {
    this.#places = new PlaceReader(context);
    const paging = { ...context, places: this.#places, budget: this.#budget };
    this.lister = new PageLister(paging);
    this.batches = new BatchGetter(paging);
    this.scanner = new Scanner(paging);
    this.rangeDeleter = new RangeDeleter(context);
  }

  /** Bytes of pages and batches under way. */
  get pageBytes(): number {
    return this.#budget.usedBytes;
  }

  /** Turns away what waits and what comes; what is under way ends with STORE_CLOSING. */
  close(): void {
    this.#places.close();
    this.#budget.close();
    this.scanner.close();
    this.rangeDeleter.close();
  }
}
