/**
 * Pipeline: many operations in flight on one stream. Each is handled as a call of
 * its own would be, by the same handlers; what is here is their order, their
 * bounds and their results.
 *
 *     message -> room for it -> operation by operation: room for its answer
 *       -> its key's turn -> handler -> result -> message of results -> taken
 *
 * Invariants
 *  1. Operations on one key are done in the order in which they came
 *     (key-lanes.ts). Results go out in the order in which they came to be.
 *  2. One message is taken at a time: the next one is asked for when every
 *     operation of this one is on its way. What is on its way, with the messages
 *     and answers that it keeps, takes at most IN_FLIGHT_BYTES_MAX, or is one
 *     operation; and it is held out of the server's memory for messages (V11).
 *  3. Every operation of a message that was taken has exactly one result, unless
 *     the caller is gone; the stream ends behind the last of them.
 */
import type { KvService, PipelineResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { Host } from "../host/host.js";
import { asKvixError } from "../rpc/bug-report.js";
import type { HandlersOf } from "../rpc/calls.js";
import type { Exchange, ExchangeListener, ExchangeStream } from "../rpc/exchange.js";
import { encodeStatus } from "../rpc/status.js";
import { KeyLanes } from "./key-lanes.js";
import type { KvHandlers } from "./kv-service.js";
import { type Message, Operation } from "./pipeline-operation.js";
import { type OperationName, operationKinds } from "./pipeline-operations.js";
import { type EncodedOperation, readOperations } from "./pipeline-request.js";
import {
  ERROR_FIELD,
  type IdPlace,
  PipelineResults,
  RESULT_OVERHEAD_BYTES_MAX,
} from "./pipeline-results.js";
import type { RpcCount } from "./rpc-counters.js";
import type { SetFields, SetOperation } from "./set-operation.js";
import { fieldInvalid } from "./validation.js";

/** The most operations of a message. */
export const PIPELINE_OPERATIONS_MAX = 10_000;
/** What one stream may have on its way, in bytes. */
export const IN_FLIGHT_BYTES_MAX = 4_194_304;
/** Results are sent at the end of the turn, or when there are so many bytes of them. */
const RESULT_MESSAGE_BYTES = 262_144;
/** Beside a message that is longer than this, so much is held for what its operations need. */
const SLACK_BYTES = 65_536;

/** What a pipeline needs of its server. */
export interface PipelineContext {
  /** They answer operations; their largest answer is `answerBytesMax`. */
  readonly handlers: KvHandlers;
  readonly host: Pick<Host, "clock" | "entropy" | "log">;
  /** The same, for sets. */
  readonly sets: SetOperation;
  /** How large the answer to a request may get, in bytes. */
  readonly estimate: (name: OperationName, request: object) => number;
  /** Where operations are counted: each as a call of its rpc. */
  readonly counts: Readonly<Record<OperationName | "pipeline", RpcCount>>;
}

/** The largest answer that fits a message of results. */
export function answerBytesMax(messageBytesMax: number): number {
  return messageBytesMax - RESULT_OVERHEAD_BYTES_MAX;
}

/** The handler of KvService.Pipeline. */
export function pipelineHandler(
  context: PipelineContext,
): HandlersOf<typeof KvService>["pipeline"] {
  const exchange: Exchange<typeof PipelineResponseSchema> = {
    begin: (stream) => new PipelineStream(stream, context),
  };
  return exchange;
}

class PipelineStream implements ExchangeListener<Uint8Array> {
  readonly #stream: ExchangeStream<typeof PipelineResponseSchema>;
  readonly #context: PipelineContext;
  readonly #lanes = new KeyLanes<Operation>((operation) => this.#run(operation));
  readonly #results = new PipelineResults();
  /** Sets that have ended, and whatever failed at once. */
  #ended: Operation[] = [];
  // Not at once: what waits in its lane would begin, and may fail, in its wake, each inside
  // the other; and the queue of writes may be in the midst of its answers.
  readonly #onEnd = (operation: Operation): void => {
    if (this.#ended.push(operation) === 1) void Promise.resolve().then(() => this.#answerEnded());
  };
  /** The message whose operations are being set on their way. */
  #message: Message | undefined;
  /** The bytes of messages, operations and results on their way, and how many operations. */
  #inFlightBytes = 0;
  #operations = 0;
  #isWaitingForRoom = false;
  #isPumping = false;
  #isTurnAsked = false;
  /** No request comes any more, and with what the stream then ends. */
  #isEnding = false;
  #endsWith: KvixError | undefined;
  #isOver = false;

  constructor(stream: ExchangeStream<typeof PipelineResponseSchema>, context: PipelineContext) {
    this.#stream = stream;
    this.#context = context;
    stream.more();
  }

  onRequest(bytes: Uint8Array): void {
    // It came when the end was decided: it has no result, so its sender knows that it was not done.
    if (this.#isEnding) return;
    const operations = readOperations(bytes);
    if (operations === undefined) {
      this.#endWith(new KvixError("FIELD_INVALID", "the request is no PipelineRequest"));
    } else if (operations.length > PIPELINE_OPERATIONS_MAX) {
      this.#endWith(fieldInvalid("operations", `at most ${PIPELINE_OPERATIONS_MAX}`));
    } else if (operations.length === 0) {
      this.#stream.more();
    } else {
      const costBytes = bytes.length + (bytes.length > SLACK_BYTES ? SLACK_BYTES : 0);
      this.#message = { bytes, operations, costBytes, next: -1, unanswered: operations.length };
      this.#pump();
    }
  }

  onHalfClose(): void {
    this.#isEnding = true;
    this.#endIfDone();
  }

  onStop(error: KvixError): void {
    this.#endWith(error);
  }

  /** Answers what was taken, and then ends. */
  #endWith(error: KvixError): void {
    this.#endsWith ??= error;
    this.#isEnding = true;
    this.#pump();
  }

  /** Sets operations on their way as long as there is room. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (;;) {
      const message = this.#message;
      if (message === undefined || this.#isWaitingForRoom || this.#isGone) break;
      if (message.next < 0) {
        if (!this.#takeMessage(message)) break;
      } else if (message.next === message.operations.length) {
        this.#message = undefined;
        message.operations = [];
        if (!this.#isEnding) this.#stream.more();
      } else if (this.#endsWith !== undefined) {
        this.#refuseRest(message, this.#endsWith);
      } else if (!this.#takeNext(message)) break;
    }
    this.#isPumping = false;
    this.#endIfDone();
  }

  /** Holds the message itself: what it carries is kept until its last operation is answered. */
  #takeMessage(message: Message): boolean {
    return this.#takeRoom(
      message.costBytes,
      this.#inFlightBytes,
      () => {
        message.next = 0;
      },
      (error) => {
        message.next = 0;
        // It is given back with the last result.
        this.#hold(message.costBytes);
        this.#refuseRest(message, error);
      },
    );
  }

  #takeNext(message: Message): boolean {
    const encoded = message.operations[message.next] as EncodedOperation;
    let operation: Operation;
    try {
      const kind = operationKinds.get(encoded.field);
      if (kind === undefined) throw fieldInvalid("operation", "given, and one that is known");
      const request = kind.decode(encoded.source, encoded.start, encoded.end);
      const answerBytes = this.#context.estimate(kind.name, request);
      operation = new Operation(this.#onEnd, message, encoded, kind, request, answerBytes);
    } catch (error) {
      message.next += 1;
      this.#addResult(message, encoded, ERROR_FIELD, this.#encodeError(error), 0);
      return true;
    }
    return this.#takeRoom(
      operation.costBytes,
      // Its own message does not hold it up, however long it is.
      this.#inFlightBytes - message.costBytes,
      () => {
        message.next += 1;
        this.#operations += 1;
        this.#lanes.enter(operation);
      },
      (error) => {
        message.next += 1;
        this.#count(operation.kind.name, true);
        this.#addResult(message, encoded, ERROR_FIELD, this.#encodeError(error), 0);
      },
    );
  }

  /**
   * Calls `go` when there is room for `bytes`, or `refuse`. False: not now. With
   * nothing in its way (`othersBytes`) it need not fit what a stream may have.
   */
  #takeRoom(
    bytes: number,
    othersBytes: number,
    go: () => void,
    refuse: (error: KvixError) => void,
  ): boolean {
    if (othersBytes > 0 && this.#inFlightBytes + bytes > IN_FLIGHT_BYTES_MAX) return false;
    const enter = (refusal?: KvixError): void => {
      if (refusal !== undefined) {
        refuse(refusal);
        return;
      }
      this.#inFlightBytes += bytes;
      go();
    };
    try {
      const isThere = this.#stream.room.take(bytes, (refusal) => {
        // It may be called while something else is going on here.
        this.#context.host.clock.soon(() => {
          this.#isWaitingForRoom = false;
          if (!this.#isGone) enter(refusal);
          this.#pump();
        });
      });
      if (isThere) enter();
      this.#isWaitingForRoom = !isThere;
      return isThere;
    } catch (error) {
      enter(asKvixError(error, this.#context.host));
      return true;
    }
  }

  #run(operation: Operation): void {
    if (this.#isGone) return;
    const { kind, request } = operation;
    try {
      if (kind.name === "set") {
        // The request is what a set's `decode` gave.
        this.#context.sets.begin(request as SetFields, this.#stream.signal, operation);
        return;
      }
      const answer = kind.answer(this.#context.handlers, request, this.#stream);
      if (answer instanceof Promise) {
        answer.then(
          (bytes) => this.#answered(operation, operation.field, bytes),
          (error: unknown) => this.#failed(operation, error),
        );
      } else {
        this.#answered(operation, operation.field, answer);
      }
    } catch (error) {
      operation.reject(error);
    }
  }

  /** Answers what has ended; what this lets begin has its end in another turn. */
  #answerEnded(): void {
    const ended = this.#ended;
    this.#ended = [];
    for (const operation of ended) {
      const { result, error } = operation;
      if (result === undefined) {
        this.#failed(operation, error);
        continue;
      }
      let answer: Uint8Array;
      try {
        answer = this.#context.sets.encode(result);
      } catch (defect) {
        this.#failed(operation, defect);
        continue;
      }
      this.#answered(operation, operation.field, answer);
    }
  }

  #failed(operation: Operation, error: unknown): void {
    this.#answered(operation, ERROR_FIELD, this.#encodeError(error));
  }

  #answered(operation: Operation, field: number, answer: Uint8Array): void {
    this.#operations -= 1;
    this.#count(operation.kind.name, field === ERROR_FIELD);
    this.#addResult(operation.message, operation, field, answer, operation.costBytes);
    this.#lanes.leave(operation);
  }

  /** `costBytes`: what was held for it until now. */
  #addResult(
    message: Message,
    id: IdPlace,
    field: number,
    answer: Uint8Array,
    costBytes: number,
  ): void {
    if (this.#isGone) return;
    const foreseen = answer.length + RESULT_OVERHEAD_BYTES_MAX;
    if (!this.#results.isEmpty && this.#results.bytes + foreseen > RESULT_MESSAGE_BYTES) {
      this.#flush();
    }
    this.#hold(this.#results.add(message.bytes, id, field, answer) - costBytes);
    message.unanswered -= 1;
    if (message.unanswered === 0) this.#hold(-message.costBytes);
    this.#askTurn();
  }

  #hold(bytes: number): void {
    this.#inFlightBytes += bytes;
    if (bytes > 0) this.#stream.room.add(bytes);
    else this.#stream.room.give(-bytes);
  }

  /** Results of one turn go out together, and then there is room for more operations. */
  #askTurn(): void {
    if (this.#isTurnAsked) return;
    this.#isTurnAsked = true;
    this.#context.host.clock.soon(() => {
      this.#isTurnAsked = false;
      if (this.#isGone) return;
      this.#flush();
      this.#pump();
    });
  }

  #flush(): void {
    if (this.#results.isEmpty) return;
    const { bytes } = this.#results;
    this.#stream.write(this.#results.take(), () => {
      this.#hold(-bytes);
      this.#pump();
    });
  }

  #refuseRest(message: Message, error: KvixError): void {
    const encoded = this.#encodeError(error);
    const rest = message.operations.slice(message.next);
    message.next = message.operations.length;
    for (const id of rest) this.#addResult(message, id, ERROR_FIELD, encoded, 0);
  }

  #endIfDone(): void {
    if (!this.#isEnding || this.#isOver || this.#isGone) return;
    if (this.#message !== undefined || this.#operations > 0) return;
    this.#isOver = true;
    this.#flush();
    this.#count("pipeline", this.#endsWith !== undefined);
    this.#stream.end(this.#endsWith);
  }

  #encodeError(error: unknown): Uint8Array {
    return encodeStatus(asKvixError(error, this.#context.host));
  }

  #count(name: OperationName | "pipeline", isError: boolean): void {
    const count = this.#context.counts[name];
    count.calls += 1;
    if (isError) count.errors += 1;
  }

  /** Nobody waits for results any more: nothing further is begun. */
  get #isGone(): boolean {
    return this.#stream.signal.aborted;
  }
}
