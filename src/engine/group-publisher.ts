/**
 * The end of a group's way: its records become visible, then its callers are
 * answered.
 *
 *     written and synced -> owed -> published -> answered
 *
 * A group whose sync has returned may be owed for as long as it takes to write
 * the next one and to begin its sync. At most one is, and it is paid before any
 * wait, any failure and any later publication.
 */
import type { Segment } from "../storage/segment.js";
import type { AcceptedState } from "./accepted-state.js";
import type { Answerer } from "./answerer.js";
import type { Group } from "./group-writer.js";
import type { Latch } from "./latch.js";
import type { Publisher } from "./publisher.js";
import type { RequestIdentity } from "./requests/request-memory.js";
import type { Staging } from "./staging.js";
import type { PendingEntry, WriteOp } from "./write-op.js";

/** What the end of a group's way needs. */
export interface GroupPublisherContext {
  readonly publisher: Publisher;
  readonly answerer: Answerer;
  readonly state: AcceptedState;
  readonly staging: Staging;
  readonly latch: Latch;
}

/** Publishes and answers groups. */
export class GroupPublisher {
  readonly #context: GroupPublisherContext;
  readonly #onOver: (op: WriteOp) => void;
  readonly #onPublished: () => void;
  /** Durable from its operation `from` on, and not published yet. */
  #owed: { readonly group: Group; readonly from: number } | undefined;

  /** `onOver` sees every operation that is about to be answered; `onPublished` comes after them. */
  constructor(
    context: GroupPublisherContext,
    onOver: (op: WriteOp) => void,
    onPublished: () => void,
  ) {
    this.#context = context;
    this.#onOver = onOver;
    this.#onPublished = onPublished;
  }

  /** Publishes and answers operations of a group, all of it visible before the first answer. */
  publish(ops: readonly WriteOp[], from: number, to: number): void {
    const { publisher, answerer, state } = this.#context;
    for (let index = from; index < to; index += 1) {
      const op = ops[index] as WriteOp;
      for (const entry of op.entries) {
        publisher.publish(entry);
        state.settle(entry);
      }
      if (op.identity !== undefined && op.isBatch) this.#remember(op, op.identity);
    }
    for (let index = from; index < to; index += 1) {
      const op = ops[index] as WriteOp;
      this.#onOver(op);
      answerer.answer(op);
      op.answer = undefined;
    }
    this.#onPublished();
  }

  /** From here on a repeat of the request finds the frame, and its answer in it. */
  #remember({ at, frameBytes, entries }: WriteOp, identity: RequestIdentity): void {
    const first = entries[0] as PendingEntry;
    const last = entries.at(-1) as PendingEntry;
    const segment = first.segment as Segment;
    const offset = first.offset - (first.at - at);
    const place = { segment, offset, length: frameBytes, version: last.version };
    this.#context.state.requests.publish(identity, place);
  }

  /** Lets the staging area have the memory of a group that is published or given up. */
  recycle(group: Group): void {
    for (const chunk of group.chunks) this.#context.staging.recycle(chunk);
  }

  /** Leaves a durable group to `payOwed`. */
  owe(group: Group, from: number): void {
    this.#owed = { group, from };
  }

  /** Publishes and answers the group that is owed, if one is. */
  payOwed(): void {
    const owed = this.#owed;
    if (owed === undefined) return;
    this.#owed = undefined;
    const { latch } = this.#context;
    const { ops } = owed.group;
    try {
      if (latch.isClosed) throw latch.uncertain();
      this.publish(ops, owed.from, ops.length);
      this.recycle(owed.group);
    } catch (error) {
      latch.close("the write queue met a defect", error);
      this.rejectUnanswered(ops, true);
    }
  }

  /** After the latch has closed: tells those of a group that were not answered. */
  rejectUnanswered(ops: readonly WriteOp[], mayBeWritten: boolean): void {
    const { latch } = this.#context;
    for (const op of ops) {
      if (op.answer === undefined) continue;
      this.#onOver(op);
      op.answer = undefined;
      op.reject(mayBeWritten && op.frameBytes > 0 ? latch.uncertain() : latch.readOnly());
    }
  }
}
