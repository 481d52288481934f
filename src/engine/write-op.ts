/**
 * One call on its way through the write queue.
 *
 *   submitted -> waiting (too much in flight) -> accepted: evaluated against the
 *   newest accepted state, given a version, encoded into a chunk -> written ->
 *   synced, if it must be -> published -> answered
 */
import type { Segment } from "../storage/segment.js";
import type {
  BatchResult,
  Condition,
  DeleteResult,
  Durability,
  Expiry,
  Mutation,
  SetResult,
} from "./store.js";

/** A record or tombstone that is accepted and not yet published. */
export interface PendingEntry {
  /** The key as the accepted state knows it: one character a byte. */
  readonly keyText: string;
  readonly version: number;
  readonly expiresAtMs: number;
  readonly isTombstone: boolean;
  /** The bytes that hold the frame, until it is published. */
  readonly source: Uint8Array;
  /** Where the frame starts in `source`, and where its key lies there. */
  readonly at: number;
  readonly keyStart: number;
  readonly keyEnd: number;
  /** The length of the frame in bytes. */
  readonly length: number;
  /** What a new key was counted for against the index limit; given back at publication. */
  readonly indexBytes: number;
  /** Known once it is written. */
  segment: Segment | undefined;
  offset: number;
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
  | { readonly kind: "batch"; readonly result: BatchResult }
  | { readonly kind: "done" };

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
  | { readonly kind: "batch"; readonly mutations: readonly Mutation[] }
  | { readonly kind: "expire"; readonly key: Uint8Array; readonly version: number }
  /** Changes nothing; answered when all that was accepted before is durable. */
  | { readonly kind: "flush" };

/** What an operation resolves to. */
export type WriteResult = SetResult | DeleteResult | BatchResult | undefined;

/** An operation in the queue. */
export class WriteOp {
  readonly request: WriteRequest;
  readonly durability: Durability;
  /** What it counts for against the bytes in flight. */
  readonly costBytes: number;
  resolve: (result: WriteResult) => void = () => undefined;
  reject: (error: unknown) => void = () => undefined;
  /** Whether it was sent back once already, by a full disk. */
  wasSentBack = false;

  /** Set when it is accepted. */
  answer: Answer | undefined;
  /** What it appends; empty: nothing, it only observes. */
  entries: readonly PendingEntry[] = [];
  /** Where its frame starts in its chunk, and how long it is; 0: it appends nothing. */
  at = 0;
  frameBytes = 0;
  /** The newest version that its answer tells of without having written it. */
  dependsOn = 0;

  constructor(request: WriteRequest, durability: Durability, costBytes: number) {
    this.request = request;
    this.durability = durability;
    this.costBytes = costBytes;
  }

  /** Whether it only frees space, and so is let through on a full disk. */
  get onlyDeletes(): boolean {
    const { request } = this;
    if (request.kind === "batch") return request.mutations.every((each) => each.kind === "delete");
    return request.kind !== "set";
  }
}
