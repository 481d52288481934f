/**
 * What a pipeline has on its way: messages, and the operations in them.
 *
 *     message   came -> has room -> operation by operation set on its way -> all answered
 *     operation made -> its lanes' turn -> handler, or the store -> ended -> answered
 */
import type { Outcome, SetResult } from "../engine/store.js";
import type { OperationKind } from "./pipeline-operations.js";
import type { EncodedOperations } from "./pipeline-request.js";

/** Beside a message that is longer than this, so much is held for what its operations need. */
export const MESSAGE_SLACK_BYTES = 65_536;

/** A message whose operations are not all answered. */
export class Message {
  readonly bytes: Uint8Array;
  readonly operations: EncodedOperations;
  /** What is held for it from its coming to its last result. */
  readonly costBytes: number;
  /** Which operation is next to be set on its way; -1: the message waits for room itself. */
  next = -1;
  /** How many have no result yet. */
  unanswered: number;

  constructor(bytes: Uint8Array, operations: EncodedOperations, costBytes: number) {
    this.bytes = bytes;
    this.operations = operations;
    this.costBytes = costBytes;
    this.unanswered = operations.count;
  }
}

/** An operation on its way. Of a set it is the outcome too, and so needs no promise. */
export class Operation implements Outcome<SetResult> {
  readonly #onEnd: (operation: Operation) => void;
  readonly message: Message;
  /** Which operation of the message it is. */
  readonly first: number;
  readonly count = 1;
  readonly field: number;
  readonly kind: OperationKind;
  readonly request: object;
  /** What is held for it. */
  costBytes: number;
  readonly isRead: boolean;
  #lanes: readonly number[] | undefined;
  /** What a set ended with: a result, or an error. */
  result: SetResult | undefined;
  error: unknown;

  /** `onEnd` is called once, when it ended as a set does; `answerBytes` are foreseen for its answer. */
  constructor(
    onEnd: (operation: Operation) => void,
    message: Message,
    field: number,
    kind: OperationKind,
    request: object,
    answerBytes: number,
  ) {
    this.#onEnd = onEnd;
    this.message = message;
    this.first = message.next;
    this.field = field;
    this.kind = kind;
    this.request = request;
    this.costBytes = kind.costOf(request) + answerBytes;
    this.isRead = kind.isRead;
  }

  /** The lanes of its keys; of most writes never asked for, so made then. */
  get lanes(): readonly number[] {
    this.#lanes ??= this.kind.lanesOf(this.request);
    return this.#lanes;
  }

  resolve(result: SetResult): void {
    this.result = result;
    this.#onEnd(this);
  }

  reject(error: unknown): void {
    this.error = error;
    this.#onEnd(this);
  }
}
