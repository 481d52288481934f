/**
 * What a pipeline has on its way: messages, and the operations in them.
 *
 *     message   came -> has room -> operation by operation set on its way -> all answered
 *     operation made -> its lanes' turn -> handler, or the store -> ended -> answered
 */
import type { Outcome, SetResult } from "../engine/store.js";
import type { OperationKind } from "./pipeline-operations.js";
import type { EncodedOperation } from "./pipeline-request.js";

/** A message whose operations are not all answered. */
export interface Message {
  readonly bytes: Uint8Array;
  /** Those that are to be set on their way; none when all are. */
  operations: readonly EncodedOperation[];
  /** What is held for it from its coming to its last result. */
  readonly costBytes: number;
  /** Which operation is next to be set on its way; -1: the message waits for room itself. */
  next: number;
  /** How many have no result yet. */
  unanswered: number;
}

/** An operation on its way. Of a set it is the outcome too, and so needs no promise. */
export class Operation implements Outcome<SetResult> {
  readonly #onEnd: (operation: Operation) => void;
  readonly message: Message;
  readonly idStart: number;
  readonly idEnd: number;
  readonly field: number;
  readonly kind: OperationKind;
  readonly request: object;
  readonly costBytes: number;
  readonly lanes: readonly number[];
  readonly isRead: boolean;
  /** What a set ended with: a result, or an error. */
  result: SetResult | undefined;
  error: unknown;

  /** `onEnd` is called once, when it ended as a set does; `answerBytes` are foreseen for its answer. */
  constructor(
    onEnd: (operation: Operation) => void,
    message: Message,
    { idStart, idEnd, field }: EncodedOperation,
    kind: OperationKind,
    request: object,
    answerBytes: number,
  ) {
    this.#onEnd = onEnd;
    this.message = message;
    this.idStart = idStart;
    this.idEnd = idEnd;
    this.field = field;
    this.kind = kind;
    this.request = request;
    this.costBytes = kind.costOf(request) + answerBytes;
    this.lanes = kind.lanesOf(request);
    this.isRead = kind.isRead;
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
