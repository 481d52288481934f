/**
 * List: one page of records in key order, at one point in time.
 *
 *   wait for memory -> collect places from the index, in one turn
 *                   -> read the records there, a few at a time -> page
 *
 * The page is what is published in the turn in which its places are collected:
 * frames never change, so what is read from them later is as old as that turn,
 * and the segments they lie in are kept until the page is read (pins.ts). What
 * is expired by the wall clock of that turn is left out.
 *
 * A record that the page cannot have whole stands in it without its value, so
 * that every key can be listed whatever lies under it.
 *
 * Bounds (V11): collecting visits 20,000 entries at most, hidden ones included;
 * pages under way hold 64 MiB of keys and records, those of BatchGet included; reading
 * has its pauses (place-reader.ts).
 */
import { PAGE_BYTES_MAX, PAGE_RECORDS_DEFAULT, PAGE_RECORDS_MAX } from "../base/limits.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import type { Clock } from "../host/host.js";
import { hasExpired } from "./accepted-state.js";
import type { ByteBudget } from "./byte-budget.js";
import { boundsOf, compareKeys, type KeyBounds } from "./key-range.js";
import { type Keydir, NO_ENTRY, type OrderedCursor } from "./keydir/keydir.js";
import type { Pins } from "./pins.js";
import { costOf, LISTED_OVERHEAD_BYTES, type Place } from "./place.js";
import type { PlaceReader } from "./place-reader.js";
import type { Publisher } from "./publisher.js";
import { requireWhole } from "./request-rules.js";
import type { ListedRecord, ListOptions, ListPage } from "./store.js";

/** What a page has beside its records and what it names the key twice for that it ends with. */
const PAGE_OVERHEAD_BYTES = 64;

const VISITS_MAX = 2 * PAGE_RECORDS_MAX;

/** What the lister works with. */
export interface PageListerContext {
  readonly keydir: Keydir;
  readonly places: PlaceReader;
  /** What pages under way share. */
  readonly budget: ByteBudget;
  readonly publisher: Publisher;
  readonly pins: Pins;
  readonly clock: Clock;
}

interface Collected {
  readonly places: Place[];
  readonly bytes: number;
  readonly after: Uint8Array | undefined;
  readonly version: number;
}

/** What one page was asked to be, checked. */
interface Ask {
  readonly bounds: KeyBounds;
  readonly after: Uint8Array | undefined;
  readonly isReverse: boolean;
  readonly keysOnly: boolean;
  readonly limit: number;
  readonly bytesMax: number;
}

/** Lists records. */
export class PageLister {
  readonly #context: PageListerContext;

  constructor(context: PageListerContext) {
    this.#context = context;
  }

  /** One page. Throws KvixErrors; a record that cannot be read is none. */
  async list(options: ListOptions): Promise<ListPage> {
    const ask = askOf(options);
    const { budget, pins, places: reader } = this.#context;
    await budget.take(ask.bytesMax, options.signal);
    let held = ask.bytesMax;
    const ticket = pins.enter();
    try {
      const collected = this.#collect(ask);
      budget.give(held - collected.bytes);
      held = collected.bytes;
      if (!ask.keysOnly) await reader.readAll(collected.places, options.signal);
      const { places, after, version } = collected;
      return { records: places as ListedRecord[], after, version };
    } finally {
      ticket.leave();
      budget.give(held);
    }
  }

  #collect(ask: Ask): Collected {
    const { keydir, publisher, clock } = this.#context;
    const nowMs = clock.wallMs();
    const places: Place[] = [];
    const version = publisher.version;
    const cursor = walk(keydir, ask);
    let bytes = 0;
    let last: Uint8Array | undefined;
    for (let visits = 0; ; visits += 1) {
      const entry = cursor.next();
      if (entry === NO_ENTRY) return { places, bytes, after: undefined, version };
      const key = keydir.keyOf(entry);
      if (isBeyond(key, ask)) return { places, bytes, after: undefined, version };
      const isEnough = places.length === ask.limit || visits === VISITS_MAX;
      if (isEnough) return { places, bytes, after: last, version };
      const isHidden = hasExpired(keydir.expiresAtMsOf(entry), nowMs);
      const place = isHidden ? undefined : this.#placeOf(entry, key, ask);
      const costBytes = place === undefined ? 0 : costOf(place);
      const hasRoom = bytes + costBytes + endBytes(key) <= ask.bytesMax;
      if (!hasRoom && places.length > 0) return { places, bytes, after: last, version };
      if (place !== undefined) places.push(place);
      bytes += costBytes;
      last = key;
    }
  }

  #placeOf(entry: number, key: Uint8Array, { keysOnly, bytesMax }: Ask): Place {
    const { keydir } = this.#context;
    const recordBytes = keydir.lengthOf(entry) - FRAME_HEADER_BYTES;
    const fits = recordBytes + LISTED_OVERHEAD_BYTES + endBytes(key) <= bytesMax;
    return {
      key,
      version: keydir.versionOf(entry),
      expiresAtMs: keydir.expiresAtMsOf(entry),
      recordBytes,
      segment: keydir.segmentOf(entry),
      offset: keydir.offsetOf(entry),
      record: keysOnly ? "keys-only" : fits ? undefined : "too-large",
    };
  }
}

function askOf(options: ListOptions): Ask {
  const { limit = PAGE_RECORDS_DEFAULT, bytesMax = PAGE_BYTES_MAX, after } = options;
  requireWhole("limit", limit, 1, PAGE_RECORDS_MAX);
  requireWhole("bytesMax", bytesMax, 1, PAGE_BYTES_MAX);
  return {
    bounds: boundsOf(options),
    after: after && new Uint8Array(after),
    isReverse: options.reverse ?? false,
    keysOnly: options.keysOnly ?? false,
    limit,
    bytesMax,
  };
}

/** What a page takes that ends with this key, whose next one is asked for by it as text. */
function endBytes(key: Uint8Array): number {
  return PAGE_OVERHEAD_BYTES + 2 * key.length;
}

/** A walk that begins at the range's first key, or behind `after` if that is further. */
function walk(keydir: Keydir, { bounds, after, isReverse }: Ask): OrderedCursor {
  const { low, high } = bounds;
  if (isReverse) {
    const isLower = after !== undefined && (high === undefined || compareKeys(after, high) < 0);
    return keydir.seekBackward(isLower ? after : high, false);
  }
  const isHigher = after !== undefined && (low === undefined || compareKeys(after, low) >= 0);
  if (isHigher) return keydir.seek(after, false);
  return low === undefined ? keydir.first() : keydir.seek(low, true);
}

/** Whether a walk has left the range at `key`. */
function isBeyond(key: Uint8Array, { bounds: { low, high }, isReverse }: Ask): boolean {
  if (isReverse) return low !== undefined && compareKeys(key, low) < 0;
  return high !== undefined && compareKeys(key, high) >= 0;
}
