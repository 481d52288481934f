/**
 * What every kind of write needs to be accepted: the newest accepted state, the
 * checks of room, versions, and its frame in the staging area.
 *
 * Whoever evaluates checks all that may fail before it appends: from `append` on
 * nothing does, so nothing of an operation that is refused is kept.
 */
import { KvixError } from "../base/kvix-error.js";
import { BATCH_BYTES_MAX } from "../base/limits.js";
import { batchHeadBytes, encodeBatchHead } from "../format/batch.js";
import { FRAME_HEADER_BYTES, FrameFlag, writeFrameHeader } from "../format/frame.js";
import type { PlainFrames } from "../format/plain-frames.js";
import {
  encodeRecord,
  encodeRecordHead,
  encodeRecordTail,
  encodeTombstone,
  recordBytes,
  recordHeadBytes,
  tombstoneBytes,
} from "../format/record.js";
import { UNSEEN } from "./acceptance-rules.js";
import type { AcceptedKey, AcceptedState } from "./accepted-state.js";
import { type DiskSpace, noSpace } from "./disk-space.js";
import type { Keydir } from "./keydir/keydir.js";
import type { RequestIdentity } from "./requests/request-memory.js";
import { StagedValue } from "./staged-value.js";
import type { StagedChunk, Staging } from "./staging.js";
import type { ValueSource } from "./value-source.js";
import type { Versions } from "./versions.js";
import { PendingEntry, type WriteOp } from "./write-op.js";

/** What acceptance works with. */
export interface AcceptanceContext {
  readonly keydir: Keydir;
  readonly state: AcceptedState;
  readonly staging: Staging;
  readonly versions: Versions;
  readonly space: DiskSpace;
  readonly values: ValueSource;
  readonly indexBytesMax: number;
  readonly wallMs: () => number;
  /** Whether there may be records that the index does not know of; see unread.ts. */
  readonly hasUnread: boolean;
  /** Bytes accepted and not yet written. */
  readonly stagedBytes: () => number;
}

/** A record or tombstone that is to be appended: what becomes of it, and its key and value. */
export interface Draft {
  readonly entry: PendingEntry;
  readonly key: Uint8Array;
  /** That of an upload is not in memory, and no member of a batch. */
  readonly value: Uint8Array | StagedValue;
}

/** What goes in front of the members of a batch. */
export interface BatchHead {
  readonly identity: RequestIdentity | undefined;
  readonly result: Uint8Array;
}

export const NOTHING = new Uint8Array(0);

/** Accepts writes. */
export class Acceptance {
  readonly context: AcceptanceContext;
  /** The newest timestamp that a frame was given, in Unix milliseconds; 0: none was. */
  newestTimestampMs = 0;

  constructor(context: AcceptanceContext) {
    this.context = context;
  }

  look(key: Uint8Array, nowMs: number): AcceptedKey {
    return this.context.state.look(key, nowMs);
  }

  /** The answer tells of what stands, and appends nothing. */
  observe(op: WriteOp, standing: AcceptedKey | undefined): void {
    // That a key is absent may be the doing of any write up to now.
    op.dependsOn = standing?.isVisible === true ? standing.version : this.context.versions.last;
  }

  /** Throws NO_SPACE if the disk is too full for `bytes`, unless the operation only deletes. */
  requireSpace(op: WriteOp, bytes = op.costBytes): void {
    const { space, stagedBytes } = this.context;
    if (op.onlyDeletes || !space.isFullFor(stagedBytes() + bytes)) return;
    throw noSpace(space);
  }

  /** Whether the index may grow by `keys` more keys of together `keyBytes`, beside the pending ones. */
  hasIndexRoom(keyBytes: number, keys = 1): boolean {
    const { keydir, state, indexBytesMax } = this.context;
    if (indexBytesMax === Number.MAX_SAFE_INTEGER) return true;
    const { pendingKeys, pendingKeyBytes } = state;
    const growth = keydir.bytesFor(pendingKeyBytes + keyBytes, pendingKeys + keys);
    return keydir.bytes + growth <= indexBytesMax;
  }

  /** Throws INDEX_FULL if a key that is new would not fit, beside `others` of the same batch. */
  requireIndexRoom(key: Uint8Array, standing: AcceptedKey, others = NO_KEYS): void {
    if (standing === UNSEEN || standing.isIndexed) return;
    if (this.hasIndexRoom(others.bytes + key.length, others.count + 1)) return;
    throw this.indexFull();
  }

  /** The error for a new key that would not fit the index. */
  indexFull(): KvixError {
    const { indexBytesMax } = this.context;
    return new KvixError("INDEX_FULL", `the limit is ${indexBytesMax} bytes`, {
      metadata: { limit_bytes: indexBytesMax },
    });
  }

  /** A record of `version`, which is the next one or follows it. */
  draftRecord(
    key: Uint8Array,
    value: Uint8Array | StagedValue,
    version: number,
    expiresAtMs: number,
    nowMs: number,
    standing: AcceptedKey,
  ): Draft {
    const payloadBytes = recordBytes(key.length, value.length, version, nowMs, expiresAtMs);
    const length = FRAME_HEADER_BYTES + payloadBytes;
    const newKeyBytes = standing.isIndexed ? 0 : key.length;
    return { entry: new PendingEntry(version, expiresAtMs, 0, length, newKeyBytes), key, value };
  }

  /** The tombstone of what stands; EXPIRED if its time was up. */
  draftTombstone(key: Uint8Array, version: number, nowMs: number, isExpired: boolean): Draft {
    const flags = FrameFlag.TOMBSTONE | (isExpired ? FrameFlag.EXPIRED : 0);
    const length = FRAME_HEADER_BYTES + tombstoneBytes(key.length, version, nowMs);
    return { entry: new PendingEntry(version, 0, flags, length, 0), key, value: NOTHING };
  }

  /** The version that the next draft has. */
  get nextVersion(): number {
    return this.context.versions.last + 1;
  }

  /** Appends a frame of its own. */
  append(op: WriteOp, draft: Draft, nowMs: number): void {
    const { entry } = draft;
    this.#take(entry);
    const { value } = draft;
    const chunk =
      value instanceof StagedValue
        ? this.#encodeAround(draft, value, nowMs)
        : this.context.staging.chunkFor(entry.length);
    if (chunk.middle === undefined) this.#encode(chunk, chunk.used, draft, nowMs);
    chunk.add(op, [entry], entry.length, nowMs);
    this.newestTimestampMs = Math.max(this.newestTimestampMs, nowMs);
  }

  /** Where frames of their own, of together at most `bytesMax`, go for one operation. */
  beginFrames(bytesMax: number): StagedChunk {
    return this.context.staging.chunkFor(bytesMax);
  }

  /**
   * Encodes the record whose numbers in `places` begin at `place` at `at` of that chunk.
   * `newKeyBytes`: the length of its key if that may be new to the index, else 0.
   */
  encodePlain(
    chunk: StagedChunk,
    at: number,
    frames: PlainFrames,
    places: Int32Array,
    place: number,
    newKeyBytes: number,
  ): PendingEntry {
    const version = this.context.versions.take();
    const end = frames.encode(chunk.bytes, chunk.view, at, places, place, version);
    const entry = new PendingEntry(version, 0, 0, end - at, newKeyBytes);
    this.#accept(entry, chunk, at, (places[place + 1] as number) - (places[place] as number));
    return entry;
  }

  /** Gives an operation the frames that were encoded for it, `bytes` in all. */
  endFrames(
    chunk: StagedChunk,
    op: WriteOp,
    entries: readonly PendingEntry[],
    bytes: number,
    nowMs: number,
  ): void {
    chunk.add(op, entries, bytes, nowMs);
    this.newestTimestampMs = Math.max(this.newestTimestampMs, nowMs);
  }

  /** Appends all drafts, 1 or more, as the members of one frame. Throws BATCH_TOO_LARGE, and nothing is done. */
  appendBatch(op: WriteOp, drafts: readonly Draft[], head: BatchHead, nowMs: number): void {
    let membersBytes = 0;
    for (const { entry } of drafts) membersBytes += entry.length;
    const requestId = head.identity?.id ?? NOTHING;
    const digest = head.identity?.digest ?? NOTHING;
    const { result } = head;
    const payloadBytes = batchHeadBytes(requestId, digest, result, membersBytes) + membersBytes;
    if (payloadBytes > BATCH_BYTES_MAX) throw batchTooLarge(payloadBytes);
    const chunk = this.context.staging.chunkFor(FRAME_HEADER_BYTES + payloadBytes);
    const payload = chunk.used + FRAME_HEADER_BYTES;
    writeFrameHeader(chunk.view, chunk.used, payloadBytes, FrameFlag.BATCH, nowMs);
    let at = encodeBatchHead(chunk.bytes, payload, requestId, digest, result, membersBytes);
    for (const draft of drafts) {
      this.#take(draft.entry);
      this.#encode(chunk, at, draft, nowMs);
      at += draft.entry.length;
    }
    const entries = drafts.map(({ entry }) => entry);
    chunk.add(op, entries, FRAME_HEADER_BYTES + payloadBytes, nowMs);
    op.isBatch = true;
    this.newestTimestampMs = Math.max(this.newestTimestampMs, nowMs);
  }

  #take({ version }: PendingEntry): void {
    if (this.context.versions.take() !== version) throw new Error("a draft is out of order");
  }

  /** Encodes all of a frame but its value, which stays where it is. */
  #encodeAround({ entry, key }: Draft, value: StagedValue, nowMs: number): StagedChunk {
    const { version, expiresAtMs, length } = entry;
    const at = FRAME_HEADER_BYTES + recordHeadBytes(key.length, value.length);
    const chunk = this.context.staging.chunkAround(value, at, length - value.length);
    writeFrameHeader(chunk.view, 0, length - FRAME_HEADER_BYTES, 0, nowMs);
    encodeRecordHead(chunk.bytes, FRAME_HEADER_BYTES, key, value.length);
    encodeRecordTail(chunk.bytes, at, version, nowMs, expiresAtMs);
    entry.staged = value;
    this.#accept(entry, chunk, 0, key.length);
    return chunk;
  }

  #encode(chunk: StagedChunk, at: number, { entry, key, value }: Draft, nowMs: number): void {
    if (value instanceof StagedValue) throw new Error("a staged value has a frame of its own");
    const payload = at + FRAME_HEADER_BYTES;
    const { version, flags, expiresAtMs, length } = entry;
    writeFrameHeader(chunk.view, at, length - FRAME_HEADER_BYTES, flags, nowMs);
    if (flags === 0) {
      encodeRecord(chunk.bytes, payload, key, value, version, nowMs, expiresAtMs);
    } else {
      encodeTombstone(chunk.bytes, payload, key, version, nowMs);
    }
    this.#accept(entry, chunk, at, key.length);
  }

  /** Takes an entry whose frame was encoded at `at` of a chunk into the accepted state. */
  #accept(entry: PendingEntry, chunk: StagedChunk, at: number, keyBytes: number): void {
    // The payload starts with the key's tag and its length, a varint.
    const lengthBytes = keyBytes < 0x80 ? 1 : keyBytes < 0x4000 ? 2 : 3;
    const keyStart = at + FRAME_HEADER_BYTES + 1 + lengthBytes;
    entry.source = chunk.bytes;
    entry.at = at;
    entry.keyStart = keyStart;
    entry.keyEnd = keyStart + keyBytes;
    this.context.state.accept(entry);
  }
}

/** The error for a batch of `bytes`, or more. */
export function batchTooLarge(bytes: number): KvixError {
  return new KvixError("BATCH_TOO_LARGE", `${bytes} bytes; at most ${BATCH_BYTES_MAX}`, {
    metadata: { batch_bytes: bytes, batch_bytes_max: BATCH_BYTES_MAX },
  });
}

const NO_KEYS = { count: 0, bytes: 0 };
