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
 *     operation; and it is held out of the server's memory for messages (V11). What is
 *     alone on its way has what its message holds for it, and waits for nobody.
 *  3. Every operation of a message that was taken has exactly one result, unless
 *     the caller is gone; the stream ends behind the last of them.
 */
import type { KvService, PipelineResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { SetResult, SetRunResult } from "../engine/store.js";
import type { Host } from "../host/host.js";
import { asKvixError } from "../rpc/bug-report.js";
import type { HandlersOf } from "../rpc/calls.js";
import type { Exchange, ExchangeListener, ExchangeStream } from "../rpc/exchange.js";
import { encodeStatus } from "../rpc/status.js";
import { KeyLanes } from "./key-lanes.js";
import type { KvHandlers } from "./kv-service.js";
import { MESSAGE_SLACK_BYTES, Message, Operation } from "./pipeline-operation.js";
import { type OperationName, operationKinds } from "./pipeline-operations.js";
import { PipelineOutbox } from "./pipeline-outbox.js";
import { readOperations } from "./pipeline-request.js";
import { ERROR_FIELD, RESULT_OVERHEAD_BYTES_MAX } from "./pipeline-results.js";
import { nextPlainSets, PlainSets } from "./pipeline-sets.js";
import type { RpcCount } from "./rpc-counters.js";
import type { RunLimits, SetFields, SetOperation } from "./set-operation.js";
import { fieldInvalid } from "./validation.js";

/** The most operations of a message. */
export const PIPELINE_OPERATIONS_MAX = 10_000;
/** What one stream may have on its way, in bytes. */
export const IN_FLIGHT_BYTES_MAX = 4_194_304;

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

/** What goes on its way as one. */
type Work = Operation | PlainSets;

class PipelineStream implements ExchangeListener<Uint8Array> {
  readonly #stream: ExchangeStream<typeof PipelineResponseSchema>;
  readonly #context: PipelineContext;
  readonly #runLimits: RunLimits;
  readonly #lanes = new KeyLanes<Work>((work) => this.#run(work));
  readonly #outbox: PipelineOutbox;
  /** Sets that have ended, and whatever failed at once. */
  #ended: Work[] = [];
  // Not at once: what waits in its lane would begin, and may fail, in its wake, each inside
  // the other; and the queue of writes may be in the midst of its answers.
  readonly #onEnd = (work: Work): void => {
    if (this.#ended.push(work) === 1) void Promise.resolve().then(() => this.#answerEnded());
  };
  /** The message whose operations are being set on their way. */
  #message: Message | undefined;
  /** How much is on its way. */
  #works = 0;
  /** What waits for room, if anything does. */
  #waiting: Message | Work | undefined;
  #isPumping = false;
  /** No request comes any more, and with what the stream then ends. */
  #isEnding = false;
  #endsWith: KvixError | undefined;
  #isOver = false;

  constructor(stream: ExchangeStream<typeof PipelineResponseSchema>, context: PipelineContext) {
    this.#stream = stream;
    this.#context = context;
    this.#runLimits = context.sets.runLimits;
    this.#outbox = new PipelineOutbox(stream, context.host.clock, () => this.#pump());
    stream.more();
  }

  onRequest(bytes: Uint8Array): void {
    // It came when the end was decided: it has no result, so its sender knows that it was not done.
    if (this.#isEnding) return;
    const operations = readOperations(bytes, PIPELINE_OPERATIONS_MAX);
    if (operations === undefined) {
      this.#endWith(new KvixError("FIELD_INVALID", "the request is no PipelineRequest"));
    } else if (operations === "too many") {
      this.#endWith(fieldInvalid("operations", `at most ${PIPELINE_OPERATIONS_MAX}`));
    } else if (operations.count === 0) {
      this.#stream.more();
    } else {
      const slackBytes = bytes.length > MESSAGE_SLACK_BYTES ? MESSAGE_SLACK_BYTES : 0;
      this.#message = new Message(bytes, operations, bytes.length + slackBytes);
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
    this.#letWaitingIn();
    for (;;) {
      const message = this.#message;
      if (message === undefined || this.#waiting !== undefined || this.#outbox.isGone) break;
      if (message.next < 0) {
        // Held until its last operation is answered: what it carries is kept until then.
        if (!this.#takeRoom(message, this.#outbox.heldBytes)) break;
      } else if (message.next === message.operations.count) {
        this.#message = undefined;
        if (!this.#isEnding) this.#stream.more();
      } else if (this.#endsWith !== undefined) {
        this.#refuseRest(message, this.#endsWith);
      } else if (!this.#takeNext(message)) break;
    }
    this.#isPumping = false;
    this.#endIfDone();
  }

  #takeNext(message: Message): boolean {
    // What waits may be waiting for one of their keys; then each has its own turn.
    const sets = this.#lanes.hasWaiting
      ? undefined
      : nextPlainSets(message, this.#runLimits, this.#onEnd);
    const work = sets ?? this.#nextOperation(message);
    if (work === undefined) return true;
    if (this.#takeSlack(work)) {
      this.#enter(work);
      return true;
    }
    // Its own message does not hold it up, however long it is.
    return this.#takeRoom(work, this.#outbox.heldBytes - message.costBytes);
  }

  /** The next operation; undefined: it is none, and was refused. */
  #nextOperation(message: Message): Operation | undefined {
    const { field, source, start, end } = message.operations.at(message.next);
    try {
      const kind = operationKinds.get(field);
      if (kind === undefined) throw fieldInvalid("operation", "given, and one that is known");
      const request = kind.decode(source, start, end);
      const answerBytes = this.#context.estimate(kind.name, request);
      return new Operation(this.#onEnd, message, field, kind, request, answerBytes);
    } catch (error) {
      this.#outbox.add(message, message.next, ERROR_FIELD, this.#encodeError(error), 0);
      message.next += 1;
      return undefined;
    }
  }

  /**
   * Lets something in when there is room for it, or refuses it. False: not now. With
   * nothing in its way (`othersBytes`) it need not fit what a stream may have.
   */
  #takeRoom(work: Message | Work, othersBytes: number): boolean {
    const { costBytes } = work;
    if (othersBytes > 0 && this.#outbox.heldBytes + costBytes > IN_FLIGHT_BYTES_MAX) return false;
    let isThere: boolean;
    try {
      isThere = this.#stream.room.take(costBytes, this.#onRoom);
    } catch (error) {
      this.#refuse(work, asKvixError(error, this.#context.host));
      return true;
    }
    if (isThere) this.#enter(work);
    else this.#waiting = work;
    return isThere;
  }

  /**
   * Lets an operation have what its message holds for them. It has it alone, or all that
   * the server has could be held by messages whose operations wait for it.
   */
  #takeSlack(work: Work): boolean {
    const { bytes, costBytes } = work.message;
    if (this.#works > 0 || this.#outbox.heldBytes !== costBytes) return false;
    if (work.costBytes > costBytes - bytes.length) return false;
    work.costBytes = 0;
    return true;
  }

  /** What waits for room may have that of its message by now. */
  #letWaitingIn(): void {
    const work = this.#waiting;
    if (work === undefined || work instanceof Message || this.#outbox.isGone) return;
    const ownBytes = work.costBytes;
    if (!this.#takeSlack(work)) return;
    if (this.#stream.room.withdraw()) {
      this.#waiting = undefined;
      this.#enter(work);
    } else work.costBytes = ownBytes; // It was given, and enters in a moment.
  }

  /** There is room for what waits, or there was none in time. */
  readonly #onRoom = (refusal?: KvixError): void => {
    // It may be called while something else is going on here.
    this.#context.host.clock.soon(() => {
      const work = this.#waiting;
      this.#waiting = undefined;
      if (work !== undefined && !this.#outbox.isGone) {
        if (refusal === undefined) this.#enter(work);
        else this.#refuse(work, refusal);
      }
      this.#pump();
    });
  };

  #enter(work: Message | Work): void {
    this.#outbox.taken(work.costBytes);
    if (work instanceof Message) {
      work.next = 0;
      return;
    }
    work.message.next += work.count;
    this.#works += 1;
    this.#lanes.enter(work);
  }

  #refuse(work: Message | Work, error: KvixError): void {
    if (work instanceof Message) {
      work.next = 0;
      // It is given back with the last result.
      this.#outbox.hold(work.costBytes);
      this.#refuseRest(work, error);
      return;
    }
    work.message.next += work.count;
    this.#addErrors(work, error);
  }

  #run(work: Work): void {
    if (this.#outbox.isGone) return;
    const { signal } = this.#stream;
    const { sets, handlers } = this.#context;
    try {
      if (work instanceof PlainSets) {
        sets.beginRun(work.run, work.durability, signal, work);
        return;
      }
      const { kind, request } = work;
      if (kind.name === "set") {
        // The request is what a set's `decode` gave.
        sets.begin(request as SetFields, signal, work);
        return;
      }
      const answer = kind.answer(handlers, request, this.#stream);
      if (answer instanceof Promise) {
        answer.then(
          (bytes) => this.#answered(work, bytes),
          (error: unknown) => this.#failed(work, error),
        );
      } else {
        this.#answered(work, answer);
      }
    } catch (error) {
      work.reject(error);
    }
  }

  /** Answers what has ended; what this lets begin has its end in another turn. */
  #answerEnded(): void {
    const ended = this.#ended;
    this.#ended = [];
    for (const work of ended) {
      if (work.result === undefined) this.#failed(work, work.error);
      else if (work instanceof PlainSets) this.#setsAnswered(work, work.result);
      else this.#setAnswered(work, work.result);
    }
  }

  #setAnswered(operation: Operation, result: SetResult): void {
    let answer: Uint8Array;
    try {
      answer = this.#context.sets.encode(result);
    } catch (defect) {
      this.#failed(operation, defect);
      return;
    }
    this.#answered(operation, answer);
  }

  #setsAnswered(sets: PlainSets, { firstVersion, refused }: SetRunResult): void {
    const { message, first, count, costBytes } = sets;
    const { storeVersion } = this.#context.sets;
    this.#works -= 1;
    // Stretches of sets that were applied, and between them those that were refused, in order.
    let index = first;
    let version = firstVersion;
    for (const [at, error] of refused ?? []) {
      this.#outbox.addSets(message, index, first + at, version, storeVersion);
      this.#outbox.add(message, first + at, ERROR_FIELD, this.#encodeError(error), 0);
      version += first + at - index;
      index = first + at + 1;
    }
    this.#outbox.addSets(message, index, first + count, version, storeVersion);
    this.#count("set", count, refused?.size ?? 0);
    this.#outbox.hold(-costBytes);
    this.#lanes.leave(sets);
  }

  #failed(work: Work, error: unknown): void {
    this.#works -= 1;
    this.#addErrors(work, error);
    this.#outbox.hold(-work.costBytes);
    this.#lanes.leave(work);
  }

  #answered(operation: Operation, answer: Uint8Array): void {
    const { message, first, field, costBytes, kind } = operation;
    this.#works -= 1;
    this.#count(kind.name, 1, 0);
    this.#outbox.add(message, first, field, answer, costBytes);
    this.#lanes.leave(operation);
  }

  #addErrors(work: Work, error: unknown): void {
    const { message, first, count } = work;
    const name = work instanceof PlainSets ? "set" : work.kind.name;
    const encoded = this.#encodeError(error);
    this.#count(name, count, count);
    for (let index = first; index < first + count; index += 1) {
      this.#outbox.add(message, index, ERROR_FIELD, encoded, 0);
    }
  }

  #refuseRest(message: Message, error: KvixError): void {
    const encoded = this.#encodeError(error);
    const first = message.next;
    message.next = message.operations.count;
    for (let index = first; index < message.next; index += 1) {
      this.#outbox.add(message, index, ERROR_FIELD, encoded, 0);
    }
  }

  #endIfDone(): void {
    if (!this.#isEnding || this.#isOver || this.#outbox.isGone) return;
    if (this.#message !== undefined || this.#works > 0) return;
    this.#isOver = true;
    this.#outbox.flush();
    this.#count("pipeline", 1, this.#endsWith === undefined ? 0 : 1);
    this.#stream.end(this.#endsWith);
  }

  #encodeError(error: unknown): Uint8Array {
    return encodeStatus(asKvixError(error, this.#context.host));
  }

  #count(name: OperationName | "pipeline", calls: number, errors: number): void {
    const count = this.#context.counts[name];
    count.calls += calls;
    count.errors += errors;
  }
}
