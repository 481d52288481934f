/**
 * Acceptance: what a write does, decided against the newest accepted state in
 * one synchronous step. It gives the operation its answer and, if it changes
 * anything, a version and an encoded frame in the staging area.
 *
 * An unmet condition or an absent key is an answer, not an error. Errors here
 * are of the kind "not applied": nothing of the operation is kept.
 */
import { KvixError } from "../base/kvix-error.js";
import { BATCH_BYTES_MAX } from "../base/limits.js";
import { batchHeadBytes, encodeBatchHead } from "../format/batch.js";
import { FRAME_HEADER_BYTES, FrameFlag, writeFrameHeader } from "../format/frame.js";
import {
  encodeRecord,
  encodeRecordHead,
  encodeRecordTail,
  encodeTombstone,
  recordBytes,
  recordHeadBytes,
  tombstoneBytes,
} from "../format/record.js";
import { isBlind, isMet, resolveExpiry, UNSEEN } from "./acceptance-rules.js";
import type { AcceptedKey, AcceptedState } from "./accepted-state.js";
import type { DiskSpace } from "./disk-space.js";
import type { Keydir } from "./keydir/keydir.js";
import type { StagedValue } from "./staged-value.js";
import type { StagedChunk, Staging } from "./staging.js";
import type { Expiry, Mutation } from "./store.js";
import type { ValueSource } from "./value-source.js";
import type { Versions } from "./versions.js";
import {
  PendingEntry,
  type TouchRequest,
  type UploadRequest,
  type WriteOp,
  type WriteRequest,
} from "./write-op.js";

/** What acceptance works with. */
export interface EvaluatorContext {
  readonly keydir: Keydir;
  readonly state: AcceptedState;
  readonly staging: Staging;
  readonly versions: Versions;
  readonly space: DiskSpace;
  readonly values: ValueSource;
  readonly indexBytesMax: number;
  readonly wallMs: () => number;
  /** Bytes accepted and not yet written. */
  readonly stagedBytes: () => number;
}

const NOTHING = new Uint8Array(0);

/** Evaluates operations one after the other. */
export class Evaluator {
  readonly #context: EvaluatorContext;
  /** The newest timestamp that a frame was given, in Unix milliseconds; 0: none was. */
  newestTimestampMs = 0;

  constructor(context: EvaluatorContext) {
    this.#context = context;
  }

  /** Accepts `op`, or throws a KvixError with nothing done. */
  evaluate(op: WriteOp): void {
    const { request } = op;
    if (request.kind === "set") this.#set(op, request);
    else if (request.kind === "delete") this.#delete(op, request);
    else if (request.kind === "touch") this.#touch(op, request);
    else if (request.kind === "upload") this.#upload(op, request);
    else if (request.kind === "check") this.#check(op, request);
    else if (request.kind === "expire") this.#expire(op, request);
    else if (request.kind === "batch") this.#batch(op, request);
    else {
      op.answer = { kind: "done" };
      this.#observe(op, undefined);
    }
  }

  #set(op: WriteOp, request: Extract<WriteRequest, { kind: "set" }>): void {
    const { key, value, expiry, condition, returnPrevious } = request;
    const nowMs = this.#context.wallMs();
    const isBlind = condition === undefined && !returnPrevious && expiry.kind !== "keep";
    // What stands is looked up only if the answer or the index limit depends on it.
    const standing = isBlind && this.#hasIndexRoom(key.length) ? UNSEEN : this.#look(key, nowMs);
    if (!isMet(condition, standing)) {
      this.#refuse(op, standing);
      return;
    }
    const expiresAtMs = resolveExpiry(expiry, standing, nowMs);
    this.#context.versions.requireRoomFor(1);
    this.#requireSpace(op);
    this.#requireIndexRoom(key, standing);
    const entry = this.#draftSet(request, expiresAtMs, nowMs, standing);
    this.#appendOne(op, entry, key, value, nowMs);
    const place = returnPrevious && standing.isVisible ? standing.place : undefined;
    op.answer = { kind: "set", applied: true, version: entry.version, expiresAtMs, place };
  }

  #delete(op: WriteOp, request: Extract<WriteRequest, { kind: "delete" }>): void {
    const nowMs = this.#context.wallMs();
    const { key } = request;
    const standing = this.#look(key, nowMs);
    if (!isMet(request.condition, standing)) {
      const place = standing.isVisible ? standing.place : undefined;
      op.answer = { kind: "delete", applied: false, deleted: false, version: 0, place };
      this.#observe(op, standing);
      return;
    }
    const unmoved = { kind: "delete", applied: true, deleted: false, version: 0 } as const;
    if (!standing.exists) {
      op.answer = { ...unmoved, place: undefined };
      this.#observe(op, standing);
      return;
    }
    const entry = this.#draftTombstone(key, standing, nowMs);
    this.#appendOne(op, entry, key, NOTHING, nowMs);
    if (!standing.isVisible) {
      op.answer = { ...unmoved, place: undefined };
      return;
    }
    const place = request.returnPrevious ? standing.place : undefined;
    op.answer = { kind: "delete", applied: true, deleted: true, version: entry.version, place };
  }

  /** The record that stands, with its value and a version and an expiry of its own. */
  #touch(op: WriteOp, { key, expiry, condition }: TouchRequest): void {
    const nowMs = this.#context.wallMs();
    const standing = this.#look(key, nowMs);
    const unmoved = { kind: "touch", found: false, version: 0, expiresAtMs: 0 } as const;
    const applied = isMet(condition, standing);
    if (!applied || !standing.isVisible) {
      const place = applied || !standing.isVisible ? undefined : standing.place;
      op.answer = { ...unmoved, applied, place };
      this.#observe(op, standing);
      return;
    }
    const expiresAtMs = resolveExpiry(expiry, standing, nowMs);
    this.#context.versions.requireRoomFor(1);
    const value = this.#context.values.take(op, standing);
    this.#requireSpace(op, key.length + value.length);
    const entry = this.#draftSet({ key, value }, expiresAtMs, nowMs, standing);
    this.#appendOne(op, entry, key, value, nowMs);
    const { version } = entry;
    op.answer = { kind: "touch", applied, found: true, version, expiresAtMs, place: undefined };
  }

  /** A Set whose value is in a file. */
  #upload(op: WriteOp, { key, value, expiry, condition }: UploadRequest): void {
    const nowMs = this.#context.wallMs();
    const standing = this.#look(key, nowMs);
    if (!isMet(condition, standing)) {
      this.#refuse(op, standing);
      return;
    }
    const expiresAtMs = resolveExpiry(expiry, standing, nowMs);
    this.#context.versions.requireRoomFor(1);
    const valueBytes = value?.bytes ?? 0;
    this.#requireSpace(op, key.length + valueBytes);
    this.#requireIndexRoom(key, standing);
    const lengths = { key, value: { length: valueBytes } };
    const entry = this.#draftSet(lengths, expiresAtMs, nowMs, standing);
    if (value === undefined) this.#appendOne(op, entry, key, NOTHING, nowMs);
    else this.#appendStaged(op, entry, key, value, nowMs);
    const { version } = entry;
    op.answer = { kind: "set", applied: true, version, expiresAtMs, place: undefined };
  }

  #check(op: WriteOp, request: Extract<WriteRequest, { kind: "check" }>): void {
    const standing = this.#look(request.key, this.#context.wallMs());
    // That it holds promises nothing, so there is nothing to wait for.
    op.answer = { kind: "set", applied: true, version: 0, expiresAtMs: 0, place: undefined };
    if (!isMet(request.condition, standing)) this.#refuse(op, standing);
  }

  /** The answer to a Set whose condition is not met. */
  #refuse(op: WriteOp, standing: AcceptedKey): void {
    const place = standing.isVisible ? standing.place : undefined;
    op.answer = { kind: "set", applied: false, version: 0, expiresAtMs: 0, place };
    this.#observe(op, standing);
  }

  /** The sweep's conditional write: only if the newest state is still the expired version it saw. */
  #expire(op: WriteOp, request: Extract<WriteRequest, { kind: "expire" }>): void {
    const nowMs = this.#context.wallMs();
    const standing = this.#look(request.key, nowMs);
    op.answer = { kind: "done" };
    if (!standing.exists || standing.isVisible || standing.version !== request.version) return;
    const entry = this.#draftTombstone(request.key, standing, nowMs);
    this.#appendOne(op, entry, request.key, NOTHING, nowMs);
  }

  #batch(op: WriteOp, request: Extract<WriteRequest, { kind: "batch" }>): void {
    const { mutations } = request;
    const nowMs = this.#context.wallMs();
    this.#context.versions.requireRoomFor(mutations.length);
    this.#requireSpace(op);
    // Mutations of one batch never meet in a key, so each sees what stood before all of them.
    const hasIndexRoom = this.#hasIndexRoom(op.costBytes, mutations.length);
    const entries: PendingEntry[] = [];
    const appending: Mutation[] = [];
    const versions: number[] = [];
    const newKeys = { count: 0, bytes: 0 };
    for (const mutation of mutations) {
      const standing = hasIndexRoom && isBlind(mutation) ? UNSEEN : this.#look(mutation.key, nowMs);
      let version = 0;
      if (mutation.kind === "set") {
        const expiresAtMs = resolveExpiry(mutation.expiry ?? NEVER, standing, nowMs);
        this.#requireIndexRoom(mutation.key, standing, newKeys);
        const entry = this.#draftSet(mutation, expiresAtMs, nowMs, standing);
        if (entry.newKeyBytes > 0) newKeys.count += 1;
        newKeys.bytes += entry.newKeyBytes;
        entries.push(entry);
        version = entry.version;
      } else if (standing.exists) {
        const entry = this.#draftTombstone(mutation.key, standing, nowMs);
        entries.push(entry);
        if (standing.isVisible) version = entry.version;
      }
      if (entries.length > appending.length) appending.push(mutation);
      versions.push(version);
    }
    if (entries.length === 0) this.#observe(op, undefined);
    else this.#appendBatch(op, entries, appending, nowMs);
    op.answer = { kind: "batch", result: { versions } };
  }

  #look(key: Uint8Array, nowMs: number): AcceptedKey {
    return this.#context.state.look(key, nowMs);
  }

  /** The answer tells of what stands, and appends nothing. */
  #observe(op: WriteOp, standing: AcceptedKey | undefined): void {
    // That a key is absent may be the doing of any write up to now.
    op.dependsOn = standing?.isVisible === true ? standing.version : this.#context.versions.last;
  }

  #requireSpace(op: WriteOp, bytes = op.costBytes): void {
    const { space, stagedBytes } = this.#context;
    if (op.onlyDeletes || !space.isFullFor(stagedBytes() + bytes)) return;
    throw new KvixError("NO_SPACE", `${space.freeBytes} bytes are free`, {
      metadata: { free_bytes: space.freeBytes, watermark_bytes: space.watermarkBytes },
    });
  }

  /** Whether the index may grow by `keys` more keys of together `keyBytes`, beside the pending ones. */
  #hasIndexRoom(keyBytes: number, keys = 1): boolean {
    const { keydir, state, indexBytesMax } = this.#context;
    if (indexBytesMax === Number.MAX_SAFE_INTEGER) return true;
    const { pendingKeys, pendingKeyBytes } = state;
    const growth = keydir.bytesFor(pendingKeyBytes + keyBytes, pendingKeys + keys);
    return keydir.bytes + growth <= indexBytesMax;
  }

  /** Throws INDEX_FULL if a key that is new would not fit, beside `others` of the same batch. */
  #requireIndexRoom(key: Uint8Array, standing: AcceptedKey, others = NO_KEYS): void {
    if (standing === UNSEEN || standing.isIndexed) return;
    if (this.#hasIndexRoom(others.bytes + key.length, others.count + 1)) return;
    const { indexBytesMax } = this.#context;
    throw new KvixError("INDEX_FULL", `the limit is ${indexBytesMax} bytes`, {
      metadata: { limit_bytes: indexBytesMax },
    });
  }

  #draftSet(
    { key, value }: { readonly key: Uint8Array; readonly value: { readonly length: number } },
    expiresAtMs: number,
    nowMs: number,
    standing: AcceptedKey,
  ): PendingEntry {
    const version = this.#context.versions.take();
    const payloadBytes = recordBytes(key.length, value.length, version, nowMs, expiresAtMs);
    const newKeyBytes = standing.isIndexed ? 0 : key.length;
    return new PendingEntry(
      version,
      expiresAtMs,
      0,
      FRAME_HEADER_BYTES + payloadBytes,
      newKeyBytes,
    );
  }

  /** The tombstone of what stands; EXPIRED if its time was up. */
  #draftTombstone(key: Uint8Array, standing: AcceptedKey, nowMs: number): PendingEntry {
    const version = this.#context.versions.take();
    const flags = FrameFlag.TOMBSTONE | (standing.isVisible ? 0 : FrameFlag.EXPIRED);
    const payloadBytes = tombstoneBytes(key.length, version, nowMs);
    return new PendingEntry(version, 0, flags, FRAME_HEADER_BYTES + payloadBytes, 0);
  }

  #appendOne(
    op: WriteOp,
    entry: PendingEntry,
    key: Uint8Array,
    value: Uint8Array,
    nowMs: number,
  ): void {
    const chunk = this.#context.staging.chunkFor(entry.length);
    this.#encode(chunk, chunk.used, entry, key, value, nowMs);
    chunk.add(op, [entry], entry.length, nowMs);
    this.newestTimestampMs = Math.max(this.newestTimestampMs, nowMs);
  }

  /** Encodes all of a frame but its value, which stays where it is. */
  #appendStaged(
    op: WriteOp,
    entry: PendingEntry,
    key: Uint8Array,
    value: StagedValue,
    nowMs: number,
  ): void {
    const { version, expiresAtMs, length } = entry;
    const at = FRAME_HEADER_BYTES + recordHeadBytes(key.length, value.bytes);
    const chunk = this.#context.staging.chunkAround(value, at, length - value.bytes);
    writeFrameHeader(chunk.view, 0, length - FRAME_HEADER_BYTES, 0, nowMs);
    encodeRecordHead(chunk.bytes, FRAME_HEADER_BYTES, key, value.bytes);
    encodeRecordTail(chunk.bytes, at, version, nowMs, expiresAtMs);
    entry.staged = value;
    this.#take(entry, chunk, 0, key.length);
    chunk.add(op, [entry], length, nowMs);
    this.newestTimestampMs = Math.max(this.newestTimestampMs, nowMs);
  }

  /** Encodes all entries into the one frame of a batch. */
  #appendBatch(
    op: WriteOp,
    entries: readonly PendingEntry[],
    mutations: readonly Mutation[],
    nowMs: number,
  ): void {
    let membersBytes = 0;
    for (const entry of entries) membersBytes += entry.length;
    const payloadBytes = batchHeadBytes(NOTHING, NOTHING, NOTHING, membersBytes) + membersBytes;
    if (payloadBytes > BATCH_BYTES_MAX) {
      throw new KvixError("BATCH_TOO_LARGE", `${payloadBytes} bytes`);
    }
    const chunk = this.#context.staging.chunkFor(FRAME_HEADER_BYTES + payloadBytes);
    const payload = chunk.used + FRAME_HEADER_BYTES;
    writeFrameHeader(chunk.view, chunk.used, payloadBytes, FrameFlag.BATCH, nowMs);
    let at = encodeBatchHead(chunk.bytes, payload, NOTHING, NOTHING, NOTHING, membersBytes);
    for (const [index, entry] of entries.entries()) {
      const mutation = mutations[index] as Mutation;
      const value = mutation.kind === "set" ? mutation.value : NOTHING;
      this.#encode(chunk, at, entry, mutation.key, value, nowMs);
      at += entry.length;
    }
    chunk.add(op, entries, FRAME_HEADER_BYTES + payloadBytes, nowMs);
    this.newestTimestampMs = Math.max(this.newestTimestampMs, nowMs);
  }

  #encode(
    chunk: StagedChunk,
    at: number,
    entry: PendingEntry,
    key: Uint8Array,
    value: Uint8Array,
    nowMs: number,
  ): void {
    const payload = at + FRAME_HEADER_BYTES;
    const { version, flags, expiresAtMs, length } = entry;
    writeFrameHeader(chunk.view, at, length - FRAME_HEADER_BYTES, flags, nowMs);
    if (flags === 0) {
      encodeRecord(chunk.bytes, payload, key, value, version, nowMs, expiresAtMs);
    } else {
      encodeTombstone(chunk.bytes, payload, key, version, nowMs);
    }
    this.#take(entry, chunk, at, key.length);
  }

  /** Takes an entry whose frame was encoded at `at` of a chunk into the accepted state. */
  #take(entry: PendingEntry, chunk: StagedChunk, at: number, keyBytes: number): void {
    // The payload starts with the key's tag and its length, a varint.
    const lengthBytes = keyBytes < 0x80 ? 1 : keyBytes < 0x4000 ? 2 : 3;
    const keyStart = at + FRAME_HEADER_BYTES + 1 + lengthBytes;
    entry.source = chunk.bytes;
    entry.at = at;
    entry.keyStart = keyStart;
    entry.keyEnd = keyStart + keyBytes;
    this.#context.state.accept(entry);
  }
}

const NEVER: Expiry = { kind: "never" };
const NO_KEYS = { count: 0, bytes: 0 };
