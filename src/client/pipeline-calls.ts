/**
 * Automatic batching: calls that are made in one turn of the event loop go into one
 * message of one Pipeline, and come back in few.
 *
 *     call -> encoded -> gathered -> sent at the end of the turn -> under way -> settled
 *
 * Invariants
 *  1. One stream at a time. It is begun with the first call, and a new one with the
 *     first call after it has ended.
 *  2. What waits and is under way takes at most `inFlightBytesMax`; beyond it a call is
 *     OVERLOADED (V11).
 *  3. When a stream ends, what was not sent goes on the next one. What was sent and has
 *     no result was not done if a kvix server said why it ended: such a server answers
 *     all that it took. If the connection broke, nobody knows.
 *  4. A call that is given up before it was sent is not sent.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  KvService,
  type PipelineOperation,
  PipelineOperationSchema,
  PipelineResponseSchema,
  type PipelineResult,
} from "../../gen/kvix/v1/kvix_pb.js";
import { AbortListeners } from "../base/abort-listeners.js";
import { KvixError } from "../base/kvix-error.js";
import { varintBytes, writeVarint } from "../format/varint.js";
import type { Clock } from "../host/host.js";
import type { RpcClient } from "../rpc/client.js";
import type { ClientExchange } from "../rpc/client-exchange.js";
import { fromStatus } from "../rpc/status.js";
import { asClientError } from "../rpc/transport-error.js";

/** What an operation is asked to do. */
export type Operation = Exclude<PipelineOperation["operation"], { case: undefined }>;
/** What it is answered with. */
export type Answered = Exclude<PipelineResult["result"], { case: "error" | undefined }>;

/** Longer operations have calls of their own: they would hold up the others. */
export const BATCHED_BYTES_MAX = 65_536;

/** A message is sent when it has so many bytes or operations, and at the end of the turn. */
const MESSAGE_BYTES = 262_144;
const MESSAGE_OPERATIONS_MAX = 10_000;
/** What an operation takes beside its bytes. */
const OPERATION_BYTES = 256;
/** How often it is looked whether a call's time is over, in milliseconds. */
const LOOK_INTERVAL_MS = 20;
/** How many ids of calls that were given up may lie about before they are swept out. */
const LEFT_IDS_MAX = 1024;

/** How a batched call ends before its answer. */
export interface BatchedLimits {
  /** Monotonic milliseconds. */
  readonly dueMs: number;
  readonly signal: AbortSignal | undefined;
  readonly isRead: boolean;
}

interface Call {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly limits: BatchedLimits;
  readonly resolve: (answer: Answered) => void;
  readonly reject: (error: KvixError) => void;
  /** Stops listening to its signal. */
  leave: () => void;
  isSent: boolean;
}

/** The calls of one connection that go on a Pipeline. */
export class PipelineCalls {
  readonly #client: RpcClient;
  readonly #clock: Clock;
  readonly #inFlightBytesMax: number;
  readonly #aborts = new AbortListeners();
  /** In the order in which they were made; a call leaves when it is settled. */
  readonly #calls = new Map<number, Call>();
  /** The ids of those that were not sent: one that is given up is kept by nothing. */
  #unsent: number[] = [];
  #stream: ClientExchange | undefined;
  #inFlightBytes = 0;
  #lastId = 0;
  #isTurnAsked = false;
  #isHeldUp = false;
  #isLooking = false;
  #isClosed = false;

  constructor(client: RpcClient, clock: Clock, inFlightBytesMax: number) {
    this.#client = client;
    this.#clock = clock;
    this.#inFlightBytesMax = inFlightBytesMax;
  }

  /**
   * The answer to an operation, or undefined if it is too long to be batched. Rejects
   * with a KvixError.
   */
  call(operation: Operation, limits: BatchedLimits): Promise<Answered> | undefined {
    this.#lastId += 1;
    const id = this.#lastId;
    const message = create(PipelineOperationSchema, { id: BigInt(id), operation });
    const bytes = toBinary(PipelineOperationSchema, message);
    if (bytes.length > BATCHED_BYTES_MAX) return undefined;
    return new Promise((resolve, reject) => {
      const { signal } = limits;
      if (this.#isClosed) return reject(new KvixError("STORE_CLOSING"));
      if (signal?.aborted === true) return reject(new KvixError("CANCELLED"));
      if (this.#inFlightBytes + bytes.length + OPERATION_BYTES > this.#inFlightBytesMax) {
        return reject(new KvixError("OVERLOADED", `${this.#calls.size} calls are under way`));
      }
      const abort = (): void => this.#giveUp(call, "CANCELLED");
      const leave = signal === undefined ? () => {} : this.#aborts.add(signal, abort);
      const call: Call = { id, bytes, limits, resolve, reject, leave, isSent: false };
      this.#calls.set(id, call);
      this.#inFlightBytes += bytes.length + OPERATION_BYTES;
      this.#unsent.push(id);
      this.#askTurn();
      this.#lookAtTimes();
    });
  }

  /** Nothing more is taken; what is under way fails when the connection goes. */
  close(): void {
    this.#isClosed = true;
    this.#stream?.cancel();
    for (const call of [...this.#calls.values()]) this.#giveUp(call, "CANCELLED");
  }

  #askTurn(): void {
    if (this.#isTurnAsked || this.#isHeldUp) return;
    this.#isTurnAsked = true;
    this.#clock.soon(() => {
      this.#isTurnAsked = false;
      this.#send();
    });
  }

  #send(): void {
    while (this.#unsent.length > 0 && !this.#isHeldUp) {
      const calls = this.#takeMessage();
      if (calls.length === 0) continue;
      this.#stream ??= this.#begin();
      for (const call of calls) call.isSent = true;
      this.#isHeldUp = !this.#stream.write(messageOf(calls));
    }
  }

  /** The calls of the next message; those that were given up meanwhile are left out. */
  #takeMessage(): Call[] {
    const calls: Call[] = [];
    let bytes = 0;
    let taken = 0;
    for (const id of this.#unsent) {
      const call = this.#calls.get(id);
      const isFull = bytes > 0 && bytes + (call?.bytes.length ?? 0) > MESSAGE_BYTES;
      if (isFull || calls.length === MESSAGE_OPERATIONS_MAX) break;
      taken += 1;
      if (call === undefined) continue;
      calls.push(call);
      bytes += call.bytes.length;
    }
    this.#unsent = taken === this.#unsent.length ? [] : this.#unsent.slice(taken);
    return calls;
  }

  #begin(): ClientExchange {
    const stream: ClientExchange = this.#client.exchange(KvService.method.pipeline, {
      onMessage: (message) => this.#take(message),
      onDrained: () => {
        if (this.#stream !== stream) return;
        this.#isHeldUp = false;
        this.#send();
      },
      onEnd: (error) => {
        if (this.#stream === stream) this.#ended(error);
      },
    });
    return stream;
  }

  #take(message: Uint8Array): void {
    for (const { id, result } of fromBinary(PipelineResponseSchema, message).results) {
      const call = this.#calls.get(Number(id));
      // Given up meanwhile.
      if (call === undefined) continue;
      this.#settle(call);
      if (result.case === "error") call.reject(errorIn(result.value, call.limits.isRead));
      else if (result.case === undefined) call.reject(new KvixError("NOT_UNDERSTOOD"));
      else call.resolve(result);
    }
  }

  #ended(cause: unknown): void {
    this.#stream = undefined;
    this.#isHeldUp = false;
    for (const call of [...this.#calls.values()]) {
      if (!call.isSent) continue;
      this.#settle(call);
      // A stream that ends well was not ended by this side: whoever did it is no kvix server.
      const why = cause ?? new KvixError("NOT_UNDERSTOOD", "the stream ended early");
      call.reject(asClientError(why, call.limits.isRead));
    }
    if (this.#unsent.length > 0) this.#askTurn();
  }

  #giveUp(call: Call, reason: "CANCELLED" | "DEADLINE_PASSED"): void {
    this.#settle(call);
    this.#sweepOut();
    const { isRead } = call.limits;
    const outcome = isRead ? "none" : call.isSent ? "unknown" : "not-applied";
    call.reject(new KvixError(reason, "", { outcome }));
  }

  #sweepOut(): void {
    if (this.#unsent.length <= 2 * this.#calls.size + LEFT_IDS_MAX) return;
    this.#unsent = this.#unsent.filter((id) => this.#calls.has(id));
  }

  #settle(call: Call): void {
    call.leave();
    this.#calls.delete(call.id);
    this.#inFlightBytes -= call.bytes.length + OPERATION_BYTES;
  }

  /** One look for all calls is cheaper than a timer for each. */
  #lookAtTimes(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const look = async (): Promise<void> => {
      while (this.#calls.size > 0) {
        await this.#clock.sleep(LOOK_INTERVAL_MS);
        const nowMs = this.#clock.monotonicMs();
        for (const call of [...this.#calls.values()]) {
          if (call.limits.dueMs <= nowMs) this.#giveUp(call, "DEADLINE_PASSED");
        }
      }
      this.#isLooking = false;
    };
    void look();
  }
}

/** The encoded PipelineRequest. */
function messageOf(calls: readonly Call[]): Uint8Array {
  let length = 0;
  for (const { bytes } of calls) length += 1 + varintBytes(bytes.length) + bytes.length;
  const message = Buffer.allocUnsafe(length);
  let at = 0;
  for (const { bytes } of calls) {
    message[at++] = (1 << 3) | 2;
    at = writeVarint(message, at, bytes.length);
    message.set(bytes, at);
    at += bytes.length;
  }
  return message;
}

function errorIn(status: Parameters<typeof fromStatus>[0], isRead: boolean): KvixError {
  const error = fromStatus(status);
  if (error !== undefined) return error;
  const outcome = isRead ? "none" : "unknown";
  return new KvixError("NOT_UNDERSTOOD", status.message, { outcome });
}
