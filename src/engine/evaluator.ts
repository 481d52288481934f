/**
 * Acceptance: what a write does, decided against the newest accepted state in
 * one synchronous step. It gives the operation its answer and, if it changes
 * anything, a version and an encoded frame in the staging area.
 *
 * An unmet condition or an absent key is an answer, not an error. Errors here
 * are of the kind "not applied": nothing of the operation is kept.
 */
import { KvixError } from "../base/kvix-error.js";
import { BATCH_BYTES_MAX, EXPIRES_AT_MS_MAX } from "../base/limits.js";
import { batchHeadBytes, encodeBatchHead } from "../format/batch.js";
import { FRAME_HEADER_BYTES, FrameFlag, writeFrameHeader } from "../format/frame.js";
import { encodeRecord, encodeTombstone, recordBytes, tombstoneBytes } from "../format/record.js";
import { type AcceptedKey, type AcceptedState, keyTextOf } from "./accepted-state.js";
import type { DiskSpace } from "./disk-space.js";
import type { Keydir } from "./keydir/keydir.js";
import type { StagedChunk, Staging } from "./staging.js";
import type { Condition, Expiry, Mutation } from "./store.js";
import type { Versions } from "./versions.js";
import type { PendingEntry, WriteOp, WriteRequest } from "./write-op.js";

/** What acceptance works with. */
export interface EvaluatorContext {
  readonly keydir: Keydir;
  readonly state: AcceptedState;
  readonly staging: Staging;
  readonly versions: Versions;
  readonly space: DiskSpace;
  readonly indexBytesMax: number;
  readonly wallMs: () => number;
  /** Bytes accepted and not yet written. */
  readonly stagedBytes: () => number;
}

const NOTHING = new Uint8Array(0);

/** A record or tombstone to encode. */
interface Draft {
  readonly key: Uint8Array;
  readonly keyText: string;
  readonly value: Uint8Array;
  readonly version: number;
  readonly expiresAtMs: number;
  /** FrameFlag.TOMBSTONE, with or without EXPIRED; 0 for a record. */
  readonly flags: number;
  readonly payloadBytes: number;
  readonly indexBytes: number;
}

/** Evaluates operations one after the other. */
export class Evaluator {
  readonly #context: EvaluatorContext;

  constructor(context: EvaluatorContext) {
    this.#context = context;
  }

  /** Accepts `op`, or throws a KvixError with nothing done. */
  evaluate(op: WriteOp): void {
    const { request } = op;
    if (request.kind === "set") this.#set(op, request);
    else if (request.kind === "delete") this.#delete(op, request);
    else if (request.kind === "expire") this.#expire(op, request);
    else if (request.kind === "batch") this.#batch(op, request);
    else {
      op.answer = { kind: "done" };
      this.#observe(op, undefined);
    }
  }

  #set(op: WriteOp, request: Extract<WriteRequest, { kind: "set" }>): void {
    const { state, wallMs } = this.#context;
    const nowMs = wallMs();
    const keyText = keyTextOf(request.key);
    const standing = state.look(request.key, keyText, nowMs);
    if (!isMet(request.condition, standing)) {
      const place = standing.isVisible ? standing.place : undefined;
      op.answer = { kind: "set", applied: false, version: 0, expiresAtMs: 0, place };
      this.#observe(op, standing);
      return;
    }
    const expiresAtMs = resolveExpiry(request.expiry, standing, nowMs);
    const indexBytes = this.#requireRoom(op, request.key, standing);
    const draft = this.#draftSet(
      request.key,
      keyText,
      request.value,
      expiresAtMs,
      nowMs,
      indexBytes,
    );
    this.#append(op, [draft], nowMs);
    const place = request.returnPrevious && standing.isVisible ? standing.place : undefined;
    op.answer = { kind: "set", applied: true, version: draft.version, expiresAtMs, place };
    // A record that is answered with is one the caller learns of: it must be durable as well.
    op.dependsOn = place === undefined ? 0 : standing.version;
  }

  #delete(op: WriteOp, request: Extract<WriteRequest, { kind: "delete" }>): void {
    const { state, wallMs } = this.#context;
    const nowMs = wallMs();
    const keyText = keyTextOf(request.key);
    const standing = state.look(request.key, keyText, nowMs);
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
    const flags = standing.isVisible
      ? FrameFlag.TOMBSTONE
      : FrameFlag.TOMBSTONE | FrameFlag.EXPIRED;
    const draft = this.#draftTombstone(request.key, keyText, flags, nowMs);
    this.#append(op, [draft], nowMs);
    if (!standing.isVisible) {
      op.answer = { ...unmoved, place: undefined };
      return;
    }
    const place = request.returnPrevious ? standing.place : undefined;
    op.answer = { kind: "delete", applied: true, deleted: true, version: draft.version, place };
  }

  /** The sweep's conditional write: only if the newest state is still the expired version it saw. */
  #expire(op: WriteOp, request: Extract<WriteRequest, { kind: "expire" }>): void {
    const { state, wallMs } = this.#context;
    const nowMs = wallMs();
    const keyText = keyTextOf(request.key);
    const standing = state.look(request.key, keyText, nowMs);
    op.answer = { kind: "done" };
    if (!standing.exists || standing.isVisible || standing.version !== request.version) return;
    const flags = FrameFlag.TOMBSTONE | FrameFlag.EXPIRED;
    this.#append(op, [this.#draftTombstone(request.key, keyText, flags, nowMs)], nowMs);
  }

  #batch(op: WriteOp, request: Extract<WriteRequest, { kind: "batch" }>): void {
    const { state, versions, wallMs, keydir, indexBytesMax } = this.#context;
    const nowMs = wallMs();
    versions.requireRoomFor(request.mutations.length);
    this.#requireSpace(op);
    const plans = request.mutations.map((mutation) => planMutation(mutation, state, nowMs));
    let newBytes = 0;
    for (const plan of plans) {
      if (plan.mutation.kind === "set" && !plan.standing.isIndexed) {
        newBytes += keydir.bytesFor(plan.mutation.key.length);
      }
    }
    if (newBytes > 0 && keydir.bytes + state.pendingIndexBytes + newBytes > indexBytesMax) {
      throw indexFull(indexBytesMax);
    }
    const drafts: Draft[] = [];
    const results: number[] = [];
    for (const { mutation, keyText, standing, expiresAtMs } of plans) {
      if (mutation.kind === "set") {
        const indexBytes = standing.isIndexed ? 0 : keydir.bytesFor(mutation.key.length);
        const draft = this.#draftSet(
          mutation.key,
          keyText,
          mutation.value,
          expiresAtMs,
          nowMs,
          indexBytes,
        );
        drafts.push(draft);
        results.push(draft.version);
        continue;
      }
      if (!standing.exists) {
        results.push(0);
        continue;
      }
      const expired = standing.isVisible ? 0 : FrameFlag.EXPIRED;
      const draft = this.#draftTombstone(
        mutation.key,
        keyText,
        FrameFlag.TOMBSTONE | expired,
        nowMs,
      );
      drafts.push(draft);
      results.push(standing.isVisible ? draft.version : 0);
    }
    op.answer = { kind: "batch", result: { versions: results } };
    if (drafts.length === 0) this.#observe(op, undefined);
    else this.#append(op, drafts, nowMs);
  }

  /** The answer tells of what stands, and appends nothing. */
  #observe(op: WriteOp, standing: AcceptedKey | undefined): void {
    const { versions } = this.#context;
    // That a key is absent may be the doing of any write up to now.
    op.dependsOn = standing?.isVisible === true ? standing.version : versions.last;
  }

  #requireSpace(op: WriteOp): void {
    const { space, stagedBytes } = this.#context;
    if (op.onlyDeletes || !space.isFullFor(stagedBytes() + op.costBytes)) return;
    throw new KvixError("NO_SPACE", `${space.freeBytes} bytes are free`, {
      metadata: { free_bytes: space.freeBytes, watermark_bytes: space.watermarkBytes },
    });
  }

  #requireRoom(op: WriteOp, key: Uint8Array, standing: AcceptedKey): number {
    const { keydir, state, indexBytesMax, versions } = this.#context;
    versions.requireRoomFor(1);
    this.#requireSpace(op);
    if (standing.isIndexed) return 0;
    const indexBytes = keydir.bytesFor(key.length);
    if (keydir.bytes + state.pendingIndexBytes + indexBytes > indexBytesMax) {
      throw indexFull(indexBytesMax);
    }
    return indexBytes;
  }

  #draftSet(
    key: Uint8Array,
    keyText: string,
    value: Uint8Array,
    expiresAtMs: number,
    nowMs: number,
    indexBytes: number,
  ): Draft {
    const version = this.#context.versions.take();
    const payloadBytes = recordBytes(key.length, value.length, version, nowMs, expiresAtMs);
    return { key, keyText, value, version, expiresAtMs, flags: 0, payloadBytes, indexBytes };
  }

  #draftTombstone(key: Uint8Array, keyText: string, flags: number, nowMs: number): Draft {
    const version = this.#context.versions.take();
    const payloadBytes = tombstoneBytes(key.length, version, nowMs);
    return {
      key,
      keyText,
      value: NOTHING,
      version,
      expiresAtMs: 0,
      flags,
      payloadBytes,
      indexBytes: 0,
    };
  }

  /** Encodes one frame: of the only draft, or of a batch of all. */
  #append(op: WriteOp, drafts: readonly Draft[], nowMs: number): void {
    const { staging } = this.#context;
    const [only] = drafts;
    if (op.request.kind !== "batch" && only !== undefined) {
      op.frameBytes = FRAME_HEADER_BYTES + only.payloadBytes;
      const chunk = staging.chunkFor(op.frameBytes);
      op.at = chunk.used;
      op.entries = [this.#encode(chunk, op.at, only, nowMs)];
      finish(chunk, op);
      return;
    }
    let membersBytes = 0;
    for (const draft of drafts) membersBytes += FRAME_HEADER_BYTES + draft.payloadBytes;
    const headBytes = batchHeadBytes(NOTHING, NOTHING, NOTHING, membersBytes);
    const payloadBytes = headBytes + membersBytes;
    if (payloadBytes > BATCH_BYTES_MAX)
      throw new KvixError("BATCH_TOO_LARGE", `${payloadBytes} bytes`);
    op.frameBytes = FRAME_HEADER_BYTES + payloadBytes;
    const chunk = staging.chunkFor(op.frameBytes);
    op.at = chunk.used;
    writeFrameHeader(chunk.view, op.at, payloadBytes, FrameFlag.BATCH, nowMs);
    const { bytes } = chunk;
    let at = encodeBatchHead(
      bytes,
      op.at + FRAME_HEADER_BYTES,
      NOTHING,
      NOTHING,
      NOTHING,
      membersBytes,
    );
    op.entries = drafts.map((draft) => {
      const entry = this.#encode(chunk, at, draft, nowMs);
      at += entry.length;
      return entry;
    });
    finish(chunk, op);
  }

  #encode(chunk: StagedChunk, at: number, draft: Draft, nowMs: number): PendingEntry {
    const payload = at + FRAME_HEADER_BYTES;
    const { key, version, flags, expiresAtMs } = draft;
    writeFrameHeader(chunk.view, at, draft.payloadBytes, flags, nowMs);
    if (flags === 0) {
      encodeRecord(chunk.bytes, payload, key, draft.value, version, nowMs, expiresAtMs);
    } else {
      encodeTombstone(chunk.bytes, payload, key, version, nowMs);
    }
    // The payload starts with the key's tag and its length, a varint.
    const keyStart = payload + 1 + (key.length < 0x80 ? 1 : key.length < 0x4000 ? 2 : 3);
    const entry: PendingEntry = {
      keyText: draft.keyText,
      version,
      expiresAtMs,
      isTombstone: flags !== 0,
      source: chunk.bytes,
      at,
      keyStart,
      keyEnd: keyStart + key.length,
      length: FRAME_HEADER_BYTES + draft.payloadBytes,
      indexBytes: draft.indexBytes,
      segment: undefined,
      offset: 0,
    };
    this.#context.state.accept(entry);
    return entry;
  }
}

/** A mutation of a batch with what stands before it; mutations of one batch never meet in a key. */
function planMutation(mutation: Mutation, state: AcceptedState, nowMs: number) {
  const keyText = keyTextOf(mutation.key);
  const standing = state.look(mutation.key, keyText, nowMs);
  const expiry = mutation.kind === "set" ? (mutation.expiry ?? NEVER) : NEVER;
  return { mutation, keyText, standing, expiresAtMs: resolveExpiry(expiry, standing, nowMs) };
}

const NEVER: Expiry = { kind: "never" };

function finish(chunk: StagedChunk, op: WriteOp): void {
  chunk.used += op.frameBytes;
  chunk.ops.push(op);
  const last = op.entries.at(-1);
  if (last !== undefined) chunk.lastVersion = last.version;
}

function isMet(condition: Condition | undefined, standing: AcceptedKey): boolean {
  switch (condition?.kind) {
    case undefined:
      return true;
    case "absent":
      return !standing.isVisible;
    case "present":
      return standing.isVisible;
    case "version":
      return standing.isVisible && standing.version === condition.version;
  }
}

/** The instant a record expires, in Unix milliseconds; 0: never. One in the past is kept as 1 or more. */
function resolveExpiry(expiry: Expiry, standing: AcceptedKey, nowMs: number): number {
  switch (expiry.kind) {
    case "never":
      return 0;
    case "keep":
      return standing.isVisible ? standing.expiresAtMs : 0;
    case "at":
      return Math.max(1, Math.ceil(expiry.atMs));
    case "ttl": {
      const atMs = nowMs + Math.ceil(expiry.ttlMs);
      if (atMs > EXPIRES_AT_MS_MAX) {
        throw new KvixError("FIELD_INVALID", "ttl reaches beyond the year 9999", {
          metadata: { field: "ttl" },
        });
      }
      return Math.max(1, atMs);
    }
  }
}

function indexFull(limit: number): KvixError {
  return new KvixError("INDEX_FULL", `the limit is ${limit} bytes`, {
    metadata: { limit_bytes: limit },
  });
}
