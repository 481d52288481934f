/**
 * What is known of requests that bore a request_id.
 *
 *     accepted -> pending, with its answer -> published: where its BATCH frame
 *       lies -> forgotten, with its segment
 *
 * The frame has the id, the digest and the answer; memory has 32 bytes a request
 * that say where. A request is remembered as long as its segment is part of the
 * store, and at least as long as that lies inside the retention window:
 *
 *  1. A segment that a compaction has replaced is forgotten: its frames are gone.
 *     Those inside the window are no victims.
 *  2. When a segment is sealed, those outside the window are forgotten that got
 *     their last request more than its length ago, or ten minutes if that is longer;
 *     by a clock that nobody sets. One that others still write to stays inside.
 *  3. When there is no room, those outside the window are forgotten, oldest first.
 *     If that frees none, another request with an id is refused: nothing inside
 *     the window is forgotten silently.
 *
 * It is rebuilt at opening: from hints, from frames where there is no hint, or
 * from the checkpoint.
 */
import { createHash } from "node:crypto";
import { KvixError } from "../../base/kvix-error.js";
import type { MemberResult } from "../../format/batch-result.js";
import type { Segment } from "../../storage/segment.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import {
  markAt,
  REQUEST_SLOT_BYTES,
  type RequestMark,
  RequestTable,
  slotAt,
} from "./request-table.js";

/** How many requests are remembered at most: 7,000 a second over ten minutes; 256 MiB. */
export const REQUESTS_MAX = 4_194_304;

/** A segment is sealed when it has so many requests: its hint lists them all, 90 bytes each at most. */
export const SEGMENT_REQUESTS_MAX = 131_072;

/** Requests are remembered so long at least, if nothing takes their segment. */
const KEPT_MS_MIN = 600_000;
/** How long a search for room that found none is good for. */
const FULL_MS = 1000;
const WORDS = REQUEST_SLOT_BYTES / 4;

/** What names a request, and what was asked. */
export interface RequestIdentity {
  /** 16 to 64 bytes, of the engine's own. */
  readonly id: Uint8Array;
  /** 32 bytes; see request-digest.ts. */
  readonly digest: Uint8Array;
  /** The id as a string of one character a byte. */
  readonly name: string;
}

/** A request that is accepted and not published. */
export interface PendingRequest {
  readonly kind: "pending";
  readonly digest: Uint8Array;
  readonly results: readonly MemberResult[];
  /** The newest version that it wrote. */
  readonly version: number;
}

/** Where the frame of a request lies. */
export interface RequestPlace {
  readonly kind: "published";
  readonly segment: Segment;
  readonly offset: number;
  readonly length: number;
  readonly version: number;
}

/** The requests of one segment. */
interface Remembered {
  readonly segment: Segment;
  count: number;
  /** When it got the last one, by the monotonic clock. */
  lastMs: number;
}

/** The memory beside its slots, as a checkpoint has it. */
export interface RequestImage {
  readonly seed: readonly number[];
  /** The ordinals in the slots, and the ids of their segments. */
  readonly segments: readonly (readonly [ordinal: number, segmentId: number])[];
  readonly count: number;
}

/** What it works with. */
export interface RequestMemoryContext {
  /** 16 secret bytes. */
  readonly seed: Uint8Array;
  readonly monotonicMs: () => number;
  readonly retentionMs: number;
  readonly countMax?: number | undefined;
}

/** Remembers requests. */
export class RequestMemory {
  readonly #context: RequestMemoryContext;
  readonly #countMax: number;
  #seed: Uint8Array;
  readonly #pending = new Map<string, PendingRequest>();
  readonly #byOrdinal = new Map<number, Remembered>();
  readonly #ordinals = new Map<Segment, number>();
  readonly #table = new RequestTable((ordinal) => this.#isLive(ordinal));
  #nextOrdinal = 1;
  #count = 0;
  #fullSinceMs = Number.NEGATIVE_INFINITY;
  /** Says which segments lie inside the retention window. */
  retained: () => ReadonlySet<Segment> = () => new Set();

  constructor(context: RequestMemoryContext) {
    this.#context = context;
    this.#countMax = context.countMax ?? REQUESTS_MAX;
    this.#seed = context.seed;
  }

  /** How many requests are remembered; may count some of segments that are gone. */
  get count(): number {
    return this.#count + this.#pending.size;
  }

  /** What is known of a request; undefined: nothing. */
  find({ id, name }: RequestIdentity): PendingRequest | RequestPlace | undefined {
    const pending = this.#pending.get(name);
    if (pending !== undefined) return pending;
    if (this.#count === 0) return undefined;
    const slot = this.#table.find(this.#markOf(id));
    const segment = slot && this.#byOrdinal.get(slot.ordinal)?.segment;
    return segment && { ...slot, kind: "published", segment };
  }

  /** Throws REQUEST_IDS_FULL, not applied, if no other request can be remembered. */
  requireRoom(): void {
    if (this.count < this.#countMax) return;
    const nowMs = this.#context.monotonicMs();
    if (nowMs - this.#fullSinceMs >= FULL_MS) {
      this.#forgetGone();
      const retained = this.retained();
      for (const segment of Array.from(this.#ordinals.keys())) {
        if (this.count < this.#countMax) return;
        if (segment.isSealed && !retained.has(segment)) this.#forget(segment);
      }
      if (this.count < this.#countMax) return;
      this.#fullSinceMs = nowMs;
    }
    throw new KvixError("REQUEST_IDS_FULL", `${this.count} are remembered`, {
      metadata: { requests: this.count, requests_max: this.#countMax },
    });
  }

  /** A request is accepted. */
  begin({ name }: RequestIdentity, pending: PendingRequest): void {
    this.#pending.set(name, pending);
  }

  /** Its frame is visible; it lies here. */
  publish({ id, name }: RequestIdentity, place: Omit<RequestPlace, "kind">): void {
    this.#pending.delete(name);
    this.#add(id, place);
  }

  /** What is accepted and not published never will be. */
  dropPending(): void {
    this.#pending.clear();
  }

  /** Takes up a request that was found at opening; segments come oldest first. */
  load(id: Uint8Array, place: Omit<RequestPlace, "kind" | "version">): void {
    place.segment.requests += 1;
    this.#add(id, { ...place, version: 0 });
    if (this.#count <= this.#countMax) return;
    // What lies inside the window was never more.
    const [oldest] = this.#ordinals.keys();
    if (oldest !== undefined && oldest !== place.segment) this.#forget(oldest);
  }

  /** A segment was sealed: what is old is forgotten. */
  sealed(): void {
    this.#forgetGone();
    const keptMs = Math.max(this.#context.retentionMs, KEPT_MS_MIN);
    const sinceMs = this.#context.monotonicMs() - keptMs;
    const retained = this.retained();
    for (const { segment, lastMs } of Array.from(this.#byOrdinal.values())) {
      const isOld = segment.isSealed && lastMs < sinceMs;
      if (isOld && !retained.has(segment)) this.#forget(segment);
    }
  }

  /** All of it, for a checkpoint: what the description says, and one page. */
  save(): { image: RequestImage; page: Uint8Array } {
    this.#forgetGone();
    const words = new Uint32Array(this.#count * WORDS);
    let count = 0;
    for (const slot of this.#table.live()) {
      words.set(slot, count * WORDS);
      count += 1;
    }
    const segments = Array.from(this.#byOrdinal, ([ordinal, { segment }]) => {
      return [ordinal, segment.name.id] as const;
    });
    const page = new Uint8Array(words.buffer, 0, count * REQUEST_SLOT_BYTES);
    return { image: { seed: Array.from(this.#seed), segments, count }, page };
  }

  /** Takes up what a checkpoint has; nothing may be remembered yet. */
  restore({ seed, segments }: RequestImage, page: Uint8Array, live: SegmentSet): void {
    this.#seed = Uint8Array.from(seed);
    const byOrdinal = new Map(segments.map(([ordinal, id]) => [ordinal, live.find(id)]));
    const words = new Uint32Array(page.buffer, page.byteOffset, page.byteLength / 4);
    // Their segments come oldest first, as at any opening.
    for (const segment of byOrdinal.values()) if (segment !== undefined) this.#ordinalOf(segment);
    for (let at = 0; at < words.length; at += WORDS) {
      const slot = slotAt(words, at);
      const segment = byOrdinal.get(slot.ordinal);
      if (segment === undefined) continue;
      segment.requests += 1;
      this.#addMark(markAt(words, at), { ...slot, segment, version: 0 });
    }
  }

  #add(id: Uint8Array, place: Omit<RequestPlace, "kind">): void {
    this.#addMark(this.#markOf(id), place);
  }

  #addMark(
    mark: RequestMark,
    { segment, offset, length, version }: Omit<RequestPlace, "kind">,
  ): void {
    const known = this.#table.find(mark);
    if (known !== undefined) this.#countAt(known.ordinal, -1);
    const ordinal = this.#ordinalOf(segment);
    this.#countAt(ordinal, 1);
    this.#table.add(mark, { ordinal, offset, length, version }, this.#count);
  }

  #countAt(ordinal: number, by: number): void {
    const remembered = this.#byOrdinal.get(ordinal);
    if (remembered === undefined) return;
    remembered.count += by;
    if (by > 0) remembered.lastMs = this.#context.monotonicMs();
    this.#count += by;
  }

  #ordinalOf(segment: Segment): number {
    const known = this.#ordinals.get(segment);
    if (known !== undefined) return known;
    const ordinal = this.#nextOrdinal;
    this.#nextOrdinal += 1;
    this.#ordinals.set(segment, ordinal);
    this.#byOrdinal.set(ordinal, { segment, count: 0, lastMs: this.#context.monotonicMs() });
    return ordinal;
  }

  #isLive(ordinal: number): boolean {
    return this.#byOrdinal.get(ordinal)?.segment.isRemoved === false;
  }

  #forget(segment: Segment): void {
    const ordinal = this.#ordinals.get(segment);
    if (ordinal === undefined) return;
    this.#ordinals.delete(segment);
    this.#count -= this.#byOrdinal.get(ordinal)?.count ?? 0;
    this.#byOrdinal.delete(ordinal);
  }

  /** Segments that a compaction has replaced need no mention any more. */
  #forgetGone(): void {
    for (const segment of Array.from(this.#ordinals.keys())) {
      if (segment.isRemoved) this.#forget(segment);
    }
  }

  #markOf(id: Uint8Array): RequestMark {
    const hash = createHash("sha256").update(this.#seed).update(id).digest();
    return [
      hash.readUInt32LE(0),
      hash.readUInt32LE(4),
      hash.readUInt32LE(8),
      hash.readUInt16LE(12),
    ];
  }
}
