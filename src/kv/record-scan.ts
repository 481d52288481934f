/**
 * A scan as a program reads it: record by record, out of the parts that a store or a
 * server gives, and, if that is allowed, gone on with where it was given up.
 *
 * Invariant: no key is told twice, whatever ends in the middle: a newer point in time
 * is read behind the last key that was told.
 */
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

/** The part of a range that lies behind a key: above it or, in reverse, below it. */
export function rangeBehind(range: Range, reverse: boolean, after: Uint8Array | undefined): Range {
  if (after === undefined) return range;
  const { prefix, start, end } = range;
  const low = prefix === undefined || prefix.length === 0 ? start : prefix;
  if (reverse) return { prefix: undefined, start: low, end: after };
  const high = prefix === undefined || prefix.length === 0 ? end : successorOf(prefix);
  // The first key above another is that key and a zero.
  const next = new Uint8Array(after.length + 1);
  next.set(after);
  return { prefix: undefined, start: next, end: high };
}

/** The first key above all that begin with `prefix`; undefined: there is none. */
function successorOf(prefix: Uint8Array): Uint8Array | undefined {
  const last = prefix.findLastIndex((byte) => byte !== 0xff);
  if (last === -1) return undefined;
  const successor = prefix.slice(0, last + 1);
  successor[last] = (successor[last] ?? 0) + 1;
  return successor;
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
