/**
 * The way of a call through the server, as far as memory and time go. Handlers
 * know nothing of it.
 *
 *     HEADERS -> [compressed: waits] -> its first bytes tell its length
 *       small: goes on; large: goes on, or the stream is paused until there is room
 *     -> decoded -> [the answer will be large: waits] -> handler -> answer -> stream closes
 *
 * What a call holds it holds until its stream closes: that is when grpc-js lets
 * go of the request, and Node of the answer. grpc-js keeps a large request twice
 * (as it came, and put together), so it counts twice; a large answer does until it
 * is made.
 *
 * Once a second every call is looked at: a request that does not arrive, an
 * answer that is not taken, and a client that goes on sending after its answer
 * are ended. So a call needs no timer of its own.
 *
 * grpc-js makes its call while it hears of a stream, which is how the interceptor
 * knows its stream: the one that is arriving.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import {
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import type { Host } from "../host/host.js";
import { assignRoom } from "../rpc/stream-room.js";
import { Account, Admission, SMALL_BYTES_MAX } from "./admission.js";
import { type Accounts, type CallLimits, GatedCall, type Rooms } from "./gated-call.js";
import type { StreamObserver } from "./http2-sessions.js";
import type { ServerOptions } from "./server-options.js";

/** How large the answer to a request may get, in bytes; at most 64 KiB need not be told apart. */
export type AnswerEstimate = (path: string, request: unknown) => number;

/** What a gate shows of itself. */
export interface GateFigures {
  /** Calls whose streams are open. */
  readonly calls: number;
  readonly waitingCalls: number;
  /** Calls refused as OVERLOADED since the start. */
  readonly refusedCalls: number;
  /** Bytes held for messages. */
  readonly heldBytes: number;
}

const LOOK_INTERVAL_MS = 1000;

/** grpc-js's end of a call, which tells when a request is asked for. */
class AskedCall extends ServerInterceptingCall {
  readonly #call: GatedCall;

  constructor(call: GatedCall, ...args: ConstructorParameters<typeof ServerInterceptingCall>) {
    super(...args);
    this.#call = call;
  }

  override startRead(): void {
    this.#call.ask();
    super.startRead();
    this.#call.asked();
  }
}

/** All calls of a server. */
export class CallGate implements StreamObserver {
  readonly #host: Pick<Host, "clock" | "log">;
  readonly #rooms: Rooms;
  readonly #limits: CallLimits;
  readonly #estimate: AnswerEstimate;
  readonly #accounts = new WeakMap<object, Accounts>();
  readonly #calls = new Set<GatedCall>();
  readonly #ended = new AbortController();
  readonly #waiters: (() => void)[] = [];
  #arriving: GatedCall | undefined;

  constructor(
    host: Pick<Host, "clock" | "log">,
    options: ServerOptions,
    receiveBytesMax: number,
    estimate: AnswerEstimate,
  ) {
    this.#host = host;
    this.#estimate = estimate;
    const limits = {
      bytesMax: Math.floor(options.admittedBytesMax / 2),
      waitingMax: Math.ceil(options.waitingCallsMax / 2),
      windowBytes: options.streamWindowBytes,
    };
    this.#rooms = { requests: new Admission(limits), answers: new Admission(limits) };
    const { admissionTimeoutMs, messageTimeoutMs, metadataBytesMax } = options;
    this.#limits = { admissionTimeoutMs, messageTimeoutMs, metadataBytesMax, receiveBytesMax };
    void this.#look();
  }

  /** What is under way now. */
  get figures(): GateFigures {
    const { requests, answers } = this.#rooms;
    return {
      calls: this.#calls.size,
      waitingCalls: requests.waiting + answers.waiting,
      refusedCalls: requests.refused + answers.refused,
      heldBytes: requests.heldBytes + answers.heldBytes,
    };
  }

  onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const accounts = this.#accountsOf(stream.session ?? stream);
    const startedMs = this.#host.clock.monotonicMs();
    const call = new GatedCall(stream, accounts, this.#rooms, this.#limits, startedMs);
    call.watch(headers);
    this.#calls.add(call);
    stream.once("close", () => {
      this.#calls.delete(call);
      call.close();
      if (this.#calls.size === 0) for (const wake of this.#waiters.splice(0)) wake();
    });
    this.#arriving = call;
  }

  afterStream(): void {
    const call = this.#arriving;
    this.#arriving = undefined;
    // grpc-js refused it (no such method, no gRPC): nobody will read its body.
    call?.abandon();
  }

  /** grpc-js's end of it. */
  readonly interceptor: ServerInterceptor = (method, next) => {
    const call = this.#arriving;
    this.#arriving = undefined;
    if (call === undefined) throw new KvixError("INTERNAL_BUG", "a call came without its stream");
    call.isConversation = method.requestStream;
    const room = method.requestStream && method.responseStream ? call.openRoom() : undefined;
    call.isIntake = method.requestStream && !method.responseStream;
    call.isReport = method.responseStream && !method.requestStream;
    return new AskedCall(call, next, {
      start: (go) => {
        if (!call.begin(next as ServerInterceptingCallInterface)) return;
        go({
          onReceiveMetadata: (metadata, pass) => {
            if (room !== undefined) assignRoom(metadata, room);
            call.whenReadable(() => pass(metadata));
          },
          onReceiveHalfClose: (pass) => {
            call.hand();
            pass();
          },
          onReceiveMessage: (message, pass) => {
            if (room !== undefined) {
              room.arrived(() => {
                pass(message);
                call.handedOver();
              });
              return;
            }
            call.hand();
            const answerBytes = this.#estimate(method.path, message);
            if (answerBytes <= SMALL_BYTES_MAX) pass(message);
            else call.whenAnswerable(answerBytes, () => pass(message));
          },
          onCancel: () => call.leave(),
        });
      },
      sendMessage: (message, pass) => {
        // Whoever has a room counts its answers there.
        if (room === undefined) {
          call.answered(message instanceof Uint8Array ? message.byteLength : 0);
        }
        pass(message);
      },
    });
  };

  /** Refuses all that wait, with the reason; calls that were let in go on. */
  refuseWaiting(error: KvixError): void {
    for (const call of this.#calls) call.refuseIfWaiting(error);
  }

  /** Resolves when no call is under way. */
  async whenEmpty(): Promise<void> {
    if (this.#calls.size > 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Looks no more. */
  stop(): void {
    this.#ended.abort();
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#host;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await clock.sleep(LOOK_INTERVAL_MS, signal);
      const nowMs = clock.monotonicMs();
      let slow = 0;
      for (const call of this.#calls) if (call.look(nowMs)) slow += 1;
      if (slow > 0) log.warn({ calls: slow }, "calls of slow clients were ended");
    }
  }

  #accountsOf(session: object): Accounts {
    let accounts = this.#accounts.get(session);
    if (accounts === undefined) {
      accounts = { requests: new Account(), answers: new Account() };
      this.#accounts.set(session, accounts);
    }
    return accounts;
  }
}
