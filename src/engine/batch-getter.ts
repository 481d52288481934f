/**
 * BatchGet: what stands under each of several keys, at one point in time.
 *
 *   wait for memory -> look all keys up, in one turn -> read the records, a few at a
 *                   time -> entries, in the order of the keys
 *
 * It shows what is published in the turn in which the keys are looked up, for the
 * reason that a page of List does (page-lister.ts).
 *
 * The answer ends at its bytes: the first record that it has no room for and all keys
 * behind it are "unread". The first record is answered in any case, so who asks for the
 * rest again comes to an end. A record that has no room beside the bare entries of the
 * other keys comes without its value.
 *
 * Bounds (V11): 10,000 keys, one look-up each; answers under way share the memory of
 * pages.
 */
import { BATCH_KEYS_MAX, PAGE_BYTES_MAX } from "../base/limits.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import { hasExpired } from "./accepted-state.js";
import { NO_ENTRY } from "./keydir/keydir.js";
import type { PageListerContext } from "./page-lister.js";
import { costOf, LISTED_OVERHEAD_BYTES, type Place } from "./place.js";
import { requireKey, requireWhole } from "./request-rules.js";
import type { BatchGetEntry, BatchGetOptions, BatchGetResult } from "./store-ranges.js";

/** What an answer has beside its entries. */
const ANSWER_OVERHEAD_BYTES = 64;
/** What an entry without a record takes. */
const EMPTY_ENTRY_BYTES = 4;

/** What was looked up. */
interface LookedUp {
  readonly entries: (Place | "absent" | "unread")[];
  readonly places: readonly Place[];
  readonly bytes: number;
  readonly version: number;
}

/** Reads batches of keys. */
export class BatchGetter {
  readonly #context: PageListerContext;

  constructor(context: PageListerContext) {
    this.#context = context;
  }

  /** What stands under each key. Throws KvixErrors; a record that cannot be read is none. */
  async get(keys: readonly Uint8Array[], options: BatchGetOptions): Promise<BatchGetResult> {
    const { bytesMax = PAGE_BYTES_MAX, keysOnly = false, signal } = options;
    requireWhole("keys", keys.length, 1, BATCH_KEYS_MAX);
    requireWhole("bytesMax", bytesMax, 1, PAGE_BYTES_MAX);
    for (const key of keys) requireKey(key);
    const { budget, pins, places: reader } = this.#context;
    await budget.take(bytesMax, signal);
    let held = bytesMax;
    const ticket = pins.enter();
    try {
      const { entries, places, bytes, version } = this.#lookUp(keys, keysOnly, bytesMax);
      budget.give(held - bytes);
      held = bytes;
      if (!keysOnly) await reader.readAll(places, signal);
      return { entries: entries as BatchGetEntry[], version };
    } finally {
      ticket.leave();
      budget.give(held);
    }
  }

  #lookUp(keys: readonly Uint8Array[], keysOnly: boolean, bytesMax: number): LookedUp {
    const { publisher, clock } = this.#context;
    const nowMs = clock.wallMs();
    const { version } = publisher;
    const entries: (Place | "absent" | "unread")[] = [];
    const places: Place[] = [];
    const room = bytesMax - ANSWER_OVERHEAD_BYTES - EMPTY_ENTRY_BYTES * keys.length;
    let bytes = 0;
    for (const key of keys) {
      const place = this.#placeOf(key, keysOnly, room, nowMs);
      if (place === undefined) {
        entries.push("absent");
        continue;
      }
      const costBytes = costOf(place);
      if (places.length > 0 && bytes + costBytes > room) {
        while (entries.length < keys.length) entries.push("unread");
        break;
      }
      bytes += costBytes;
      places.push(place);
      entries.push(place);
    }
    return { entries, places, bytes, version };
  }

  #placeOf(key: Uint8Array, keysOnly: boolean, room: number, nowMs: number): Place | undefined {
    const { keydir } = this.#context;
    const entry = keydir.find(key);
    if (entry === NO_ENTRY || hasExpired(keydir.expiresAtMsOf(entry), nowMs)) return undefined;
    const recordBytes = keydir.lengthOf(entry) - FRAME_HEADER_BYTES;
    const fits = recordBytes + LISTED_OVERHEAD_BYTES <= room;
    return {
      key: new Uint8Array(key),
      version: keydir.versionOf(entry),
      expiresAtMs: keydir.expiresAtMsOf(entry),
      recordBytes,
      segment: keydir.segmentOf(entry),
      offset: keydir.offsetOf(entry),
      record: keysOnly ? "keys-only" : fits ? undefined : "too-large",
    };
  }
}
