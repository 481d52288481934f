/**
 * A scan as a program reads it: record by record, out of the parts that a store or a
 * server gives, and, if that is allowed, gone on with where it was given up.
 *
 * Invariant: no key is told twice, whatever ends in the middle: a newer point in time
 * is read behind the last key that was told.
 */
import { keyAbove, keyBehind } from "../base/key-order.js";
import type { Scan, ScanOptions } from "./reads.js";
import type { ListedRecord } from "./records.js";

/** Some records of a scan. */
export interface ScanPart {
  readonly records: readonly ListedRecord[];
  readonly version: number;
}

/** Where parts come from. */
export interface ScanSource {
  /** Begins at the range's own end, or behind `after`; at most `limit` records. */
  readonly open: (
    after: Uint8Array | undefined,
    limit: number | undefined,
  ) => AsyncGenerator<ScanPart, void, undefined>;
  /** Whether what it failed with says that it can be gone on with at another point in time. */
  readonly isResumable: (error: unknown) => boolean;
  /** Waits before it is gone on with; `failures` in a row. False: no more. */
  readonly pause?: (failures: number) => Promise<boolean>;
}

/** What a range asks of keys. */
export interface Range {
  readonly prefix: Uint8Array | undefined;
  readonly start: Uint8Array | undefined;
  readonly end: Uint8Array | undefined;
}

/**
 * The part of a range that lies behind one of its keys: above it or, in reverse, below it;
 * undefined: there is none.
 */
export function rangeBehind(
  range: Range,
  reverse: boolean,
  after: Uint8Array | undefined,
): Range | undefined {
  if (after === undefined) return range;
  const { prefix, start, end } = range;
  const low = prefix === undefined || prefix.length === 0 ? start : prefix;
  if (reverse) return { prefix: undefined, start: low, end: after };
  const high = prefix === undefined || prefix.length === 0 ? end : keyAbove(prefix);
  const next = keyBehind(after);
  return next === undefined ? undefined : { prefix: undefined, start: next, end: high };
}

/** A scan over a source. */
export class RecordScan implements Scan {
  readonly #source: ScanSource;
  readonly #options: Pick<ScanOptions, "limit" | "resume">;
  readonly #records: AsyncGenerator<ListedRecord, undefined, undefined>;
  #version = 0;
  #resumptions = 0;

  constructor(source: ScanSource, options: Pick<ScanOptions, "limit" | "resume">) {
    this.#source = source;
    this.#options = options;
    this.#records = this.#read();
  }

  get version(): number {
    return this.#version;
  }

  get resumptions(): number {
    return this.#resumptions;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ListedRecord, undefined>> {
    return this.#records.next();
  }

  return(): Promise<IteratorResult<ListedRecord, undefined>> {
    return this.#records.return(undefined);
  }

  async *#read(): AsyncGenerator<ListedRecord, undefined, undefined> {
    const { resume = false } = this.#options;
    let { limit } = this.#options;
    let after: Uint8Array | undefined;
    for (let failures = 0; ; ) {
      try {
        for await (const { records, version } of this.#source.open(after, limit)) {
          this.#version = version;
          failures = 0;
          for (const record of records) {
            after = record.key;
            if (limit !== undefined) limit -= 1;
            yield record;
          }
        }
        return undefined;
      } catch (error) {
        if (!resume || !this.#source.isResumable(error)) throw error;
        failures += 1;
        if ((await this.#source.pause?.(failures)) === false) throw error;
        if (limit === 0) return undefined;
        this.#resumptions += 1;
      }
    }
  }
}
