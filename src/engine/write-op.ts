/**
 * One call on its way through the write queue.
 *
 *   submitted -> waiting (too much in flight) -> accepted: evaluated against the
 *   newest accepted state, given a version, encoded into a chunk -> written ->
 *   synced, if it must be -> published -> answered
 */
import { KvixError } from "../base/kvix-error.js";
import type { MemberResult } from "../format/batch-result.js";
import type { Segment } from "../storage/segment.js";
import type { Ticket } from "./pins.js";
import type { RequestIdentity, RequestPlace } from "./requests/request-memory.js";
import type { SetRun, SetRunResult } from "./set-run.js";
import { type StagedValue, StagingFault } from "./staged-value.js";
import type {
  CommitResult,
  Condition,
  DeleteResult,
  Durability,
  Expiry,
  IncrementResult,
  KeyCondition,
  Mutation,
  Outcome,
  SetResult,
  StoredRecord,
  TouchExpiry,
  TouchResult,
} from "./store.js";

const NO_BYTES = new Uint8Array(0);

/** A record or tombstone that is accepted and not yet published. */
export class PendingEntry {
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** FrameFlag.TOMBSTONE, with or without EXPIRED; 0: a record. */
  readonly flags: number;
  /** The length of the frame in bytes. */
  readonly length: number;
  /** The length of the key if it may be new to the index, which then must have room for it; else 0. */
  readonly newKeyBytes: number;
  /** The bytes that hold the frame until it is published; where it starts there, and its key. */
  source: Uint8Array = NO_BYTES;
  at = 0;
  keyStart = 0;
  keyEnd = 0;
  /** Its value, if that is not in `source`, which then has only what lies around it. */
  staged: StagedValue | undefined = undefined;
  /** Where it lies in the log; known once it is written. */
  segment: Segment | undefined = undefined;
  offset = 0;
  /** Whether it is published, or given up: the keydir tells of its key from then on. */
  isSettled = false;

  constructor(
    version: number,
    expiresAtMs: number,
    flags: number,
    length: number,
    newKeyBytes: number,
  ) {
    this.version = version;
    this.expiresAtMs = expiresAtMs;
    this.flags = flags;
    this.length = length;
    this.newKeyBytes = newKeyBytes;
  }

  /** It is published, or given up; nobody needs its bytes, which may be a value of any size. */
  settle(): void {
    this.isSettled = true;
    this.source = NO_BYTES;
    this.staged = undefined;
  }
}

/** Where a record lies that an answer carries: published, or about to be. */
export type RecordPlace =
  | {
      readonly kind: "published";
      readonly segment: number;
      readonly offset: number;
      readonly length: number;
      readonly version: number;
    }
  | { readonly kind: "pending"; readonly entry: PendingEntry };

/** What an operation answers with, before any record it carries is read. */
export type Answer =
  | {
      readonly kind: "set";
      readonly applied: boolean;
      readonly version: number;
      readonly expiresAtMs: number;
      readonly place: RecordPlace | undefined;
    }
  | {
      readonly kind: "delete";
      readonly applied: boolean;
      readonly deleted: boolean;
      readonly version: number;
      readonly place: RecordPlace | undefined;
    }
  | {
      readonly kind: "touch";
      readonly applied: boolean;
      readonly found: boolean;
      readonly version: number;
      readonly expiresAtMs: number;
      readonly place: RecordPlace | undefined;
    }
  /** What became of a run of sets. */
  | { readonly kind: "sets"; readonly result: SetRunResult }
  /** What became of each mutation; of an increment, of the one. */
  | {
      readonly kind: "members";
      readonly results: readonly MemberResult[];
      readonly repeated: boolean;
    }
  /** The first request's answer is in its frame. */
  | { readonly kind: "repeat"; readonly first: RequestPlace }
  | { readonly kind: "unmet"; readonly unmet: readonly UnmetKey[] }
  /** It depends on what may not be durable yet, like any answer. */
  | { readonly kind: "refused"; readonly error: KvixError }
  | { readonly kind: "done" };

/** A condition that did not hold, and what stood there. */
export interface UnmetKey {
  readonly index: number;
  readonly key: Uint8Array;
  readonly version: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** Undefined: the key is absent. */
  readonly place: RecordPlace | undefined;
}

/** Another expiry for the record that stands. */
export interface TouchRequest {
  readonly kind: "touch";
  readonly key: Uint8Array;
  readonly expiry: TouchExpiry;
  readonly condition: Condition | undefined;
}

/** A record whose value was uploaded. */
export interface UploadRequest {
  readonly kind: "upload";
  readonly key: Uint8Array;
  /** Undefined: the value is empty. */
  readonly value: StagedValue | undefined;
  readonly expiry: Expiry;
  readonly condition: Condition | undefined;
}

/** Sets records one after the other. */
export interface SetsRequest {
  readonly kind: "sets";
  readonly run: SetRun;
  /** As `setRunBytes` counts. */
  readonly runBytes: number;
}

/** Adds to a number. */
export interface IncrementRequest {
  readonly kind: "increment";
  readonly mutation: Extract<Mutation, { kind: "increment" }>;
  readonly identity: RequestIdentity | undefined;
}

/** All of it or nothing. */
export interface CommitRequest {
  readonly kind: "commit";
  readonly conditions: readonly KeyCondition[];
  readonly mutations: readonly Mutation[];
  readonly identity: RequestIdentity | undefined;
  /** How many bytes the records of unmet conditions may have together. */
  readonly unmetBytesMax: number;
}

/** What is needed of a record that is built on. */
export type ReadValue = Pick<StoredRecord, "value">;

/** Records that an operation builds on, read before it is accepted. */
export interface FetchedRecords {
  /** What was read, by version: the record, or why there is none. */
  readonly byVersion: Map<number, { readonly record?: ReadValue; readonly error?: unknown }>;
  readonly bytes: number;
  /** Resolves when all are read; undefined: they are. */
  reading: Promise<void> | undefined;
}

/** What is asked for. */
export type WriteRequest =
  | {
      readonly kind: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly expiry: Expiry;
      readonly condition: Condition | undefined;
      readonly returnPrevious: boolean;
    }
  | {
      readonly kind: "delete";
      readonly key: Uint8Array;
      readonly condition: Condition | undefined;
      readonly returnPrevious: boolean;
    }
  | SetsRequest
  | TouchRequest
  | UploadRequest
  /** Writes nothing: whether a condition holds of the newest accepted state, answered as of a set. */
  | { readonly kind: "check"; readonly key: Uint8Array; readonly condition: Condition }
  | IncrementRequest
  | CommitRequest
  | { readonly kind: "expire"; readonly key: Uint8Array; readonly version: number }
  /** Changes nothing; answered when all that was accepted before is durable. */
  | { readonly kind: "flush" };

/** What an operation resolves to. */
export type WriteResult =
  | SetResult
  | SetRunResult
  | DeleteResult
  | TouchResult
  | IncrementResult
  | CommitResult
  | undefined;

/** An operation in the queue. */
export class WriteOp {
  readonly request: WriteRequest;
  readonly durability: Durability;
  /** What it counts for against the bytes in flight; at least what its frame takes of memory, once it is accepted. */
  costBytes: number;
  #outcome: Outcome<WriteResult> | undefined;
  /** Keeps the record readable that its answer carries. */
  #ticket: Ticket | undefined;
  /** Whether it was sent back once already, by a full disk. */
  wasSentBack = false;
  /** What was read for it, while it is not accepted yet. */
  fetched: FetchedRecords | undefined;

  /** Set when it is accepted. */
  answer: Answer | undefined;
  /** What it appends; empty: nothing, it only observes. */
  entries: readonly PendingEntry[] = [];
  /** Where its frames start in their chunk, and how long they are; 0: it appends nothing. */
  at = 0;
  frameBytes = 0;
  /** Whether that is a BATCH frame, with its entries as members; else each entry has a frame. */
  isBatch = false;
  /** The newest version that its answer tells of without having written it. */
  dependsOn = 0;

  constructor(request: WriteRequest, durability: Durability, costBytes: number) {
    this.request = request;
    this.durability = durability;
    this.costBytes = costBytes;
  }

  /** Tells who is to hear of its end. */
  begin(outcome: Outcome<WriteResult>): void {
    this.#outcome = outcome;
  }

  /** Whether its answer is read from the log, once what it tells of is published. */
  get readsLog(): boolean {
    const { answer } = this;
    if (answer === undefined) return false;
    if ("place" in answer) return answer.place !== undefined;
    return answer.kind === "repeat" || answer.kind === "unmet";
  }

  /** What names its request, if anything does. */
  get identity(): RequestIdentity | undefined {
    const { request } = this;
    return "identity" in request ? request.identity : undefined;
  }

  /** Keeps what it was accepted on until it ends or is evaluated again. */
  keep(ticket: Ticket): void {
    this.#ticket = ticket;
  }

  /** Takes its acceptance back: it is to be evaluated again. */
  forgetAnswer(): void {
    this.#letGo();
    this.answer = undefined;
    this.entries = [];
    this.frameBytes = 0;
    this.isBatch = false;
    this.dependsOn = 0;
  }

  resolve(result: WriteResult): void {
    this.#letGo();
    this.#outcome?.resolve(result);
  }

  reject(error: unknown): void {
    this.#letGo();
    this.#outcome?.reject(error);
  }

  #letGo(): void {
    this.#ticket?.leave();
    this.#ticket = undefined;
  }

  /** Whether a group failed over the file of an upload, and of another than this. */
  isInnocentOf(error: unknown): boolean {
    const fault = error instanceof KvixError ? error.cause : undefined;
    if (!(fault instanceof StagingFault)) return false;
    return this.request.kind !== "upload" || this.request.value !== fault.value;
  }

  /** Whether it only frees space, and so is let through on a full disk. */
  get onlyDeletes(): boolean {
    const { request } = this;
    if (request.kind === "commit") return request.mutations.every((each) => each.kind === "delete");
    return request.kind === "delete" || request.kind === "expire" || request.kind === "flush";
  }
}
