/**
 * Fills the keydir at opening. Entries may come in any order, from hints and
 * from frames: the highest version of a key wins (V5). Tombstones stay in the
 * keydir until all is loaded, so that they hide older values whichever comes
 * first; then they leave. Of two entries of one version the first stays, so what
 * is lost comes last: damaged bytes that a record was guessed from do not withhold
 * the record itself, which lies whole elsewhere.
 */
import { KvixError } from "../base/kvix-error.js";
import type { Segment } from "../storage/segment.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { BulkLoad } from "./keydir/bulk-load.js";
import type { Keydir } from "./keydir/keydir.js";
import type { RequestMemory } from "./requests/request-memory.js";

/** Marks a tombstone while loading: an expiry that no record can have. */
export const TOMBSTONE_MARK = 2 ** 48 - 1;

/** An entry to load; the key is a slice of `source`. */
export interface LoadedEntry {
  readonly source: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly offset: number;
  readonly length: number;
  readonly version: number;
  readonly expiresAtMs: number;
  readonly isTombstone: boolean;
  /** Its frame cannot be read; the key may be a guess. */
  readonly isLost: boolean;
}

/** Where the BATCH frame of a request lies. */
export interface LoadedRequest {
  readonly requestId: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** What takes the entries of a segment, and the requests that it remembers. */
export interface EntrySink {
  load(segment: Segment, entry: LoadedEntry): void;
  loadRequest(segment: Segment, request: LoadedRequest): void;
}

/** Collects entries into a keydir. */
export class IndexLoader implements EntrySink {
  readonly #keydir: Keydir;
  readonly #segments: SegmentSet;
  readonly #bytesMax: number;
  readonly #requests: RequestMemory | undefined;
  readonly #load: BulkLoad;
  readonly #lost: { segment: Segment; entry: LoadedEntry }[] = [];
  #tombstones = 0;
  #entries = 0;

  /** `requests`: remembers those that are found; undefined: nobody does. */
  constructor(keydir: Keydir, segments: SegmentSet, bytesMax: number, requests?: RequestMemory) {
    this.#requests = requests;
    this.#keydir = keydir;
    this.#segments = segments;
    this.#bytesMax = bytesMax;
    this.#load = keydir.load((segment, length, expiresAtMs) => {
      this.#replaced(segment, length, expiresAtMs);
    });
  }

  /** How many entries were offered. */
  get entries(): number {
    return this.#entries;
  }

  load(segment: Segment, entry: LoadedEntry): void {
    this.#entries += 1;
    if (entry.isLost) this.#lost.push({ segment, entry: keptEntry(entry) });
    else this.#add(segment, entry);
  }

  loadRequest(segment: Segment, { requestId, offset, length }: LoadedRequest): void {
    this.#requests?.load(requestId, { segment, offset, length });
  }

  #add(segment: Segment, entry: LoadedEntry): void {
    segment.coverVersion(entry.version);
    const { source, keyStart, keyEnd, version, isTombstone, length } = entry;
    const expiresAtMs = isTombstone ? TOMBSTONE_MARK : entry.expiresAtMs;
    this.#load.add(
      source,
      keyStart,
      keyEnd,
      segment.name.id,
      entry.offset,
      length,
      expiresAtMs,
      version,
    );
    if (isTombstone) {
      this.#tombstones += 1;
      segment.coverTombstone(version, length);
    } else {
      segment.liveBytes += length;
    }
  }

  /** Takes out of the sums what a newer entry of its key has replaced. */
  #replaced(segment: number, length: number, expiresAtMs: number): void {
    if (expiresAtMs === TOMBSTONE_MARK) this.#tombstones -= 1;
    else this.#segments.at(segment).liveBytes -= length;
  }

  /** Puts the last entries in: until then they are not found. Tombstones are entries too. */
  flush(): void {
    for (const { segment, entry } of this.#lost.splice(0)) this.#add(segment, entry);
    this.#load.flush();
  }

  /** Puts the last entries in, and drops the tombstones. Throws INDEX_LIMIT_TOO_SMALL, with the figure, if all do not fit. */
  finish(): void {
    const keydir = this.#keydir;
    this.flush();
    if (this.#tombstones > 0) {
      keydir.forEach((entry) => {
        if (keydir.expiresAtMsOf(entry) === TOMBSTONE_MARK) keydir.remove(entry);
      });
    }
    let needed = keydir.bytes;
    if (needed > this.#bytesMax) {
      // What tombstones took while loading is given back in steps.
      while (keydir.maintain());
      needed = Math.min(needed, keydir.bytes);
    }
    if (needed > this.#bytesMax) {
      throw new KvixError(
        "INDEX_LIMIT_TOO_SMALL",
        `${keydir.count} keys need ${needed} bytes; indexBytesMax is ${this.#bytesMax}`,
        { metadata: { needed_bytes: needed, limit_bytes: this.#bytesMax, keys: keydir.count } },
      );
    }
  }
}

/** An entry is good until the next one: this one has its key to itself. */
function keptEntry(entry: LoadedEntry): LoadedEntry {
  const source = entry.source.slice(entry.keyStart, entry.keyEnd);
  return { ...entry, source, keyStart: 0, keyEnd: source.length };
}
