/**
 * grpc-js calls to handlers and back: what a handler answers is sent, what it
 * throws becomes a status, and a caller that gives up aborts a signal.
 *
 * A unary handler gets a decoded request and answers with a message or with the
 * bytes of one. A report is a stream of answers to one request; the next answer
 * is made when the one before was taken: handed to the connection, with the client's
 * window open for it. So a report holds one answer, whoever reads it. One that can be gone
 * on with says where, and whatever ends it tells its client. An intake is a stream of
 * requests with one answer; the next request is read when its handler asks for it. A
 * conversation is a stream in which
 * every request has exactly one answer, in order; the next request is read when
 * the answer was taken. An exchange is a stream whose answers come when they are
 * ready (exchange.ts).
 */
import type { DescMessage, DescService, MessageShape } from "@bufbuild/protobuf";
import type {
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { KvixError, type ResumePoint } from "../base/kvix-error.js";
import { asKvixError, type BugHost } from "./bug-report.js";
import { type Answer, Malformed } from "./definition.js";
import { type Exchange, type ExchangeCall, runExchange } from "./exchange.js";
import { Intake } from "./intake.js";
import type { OpenStream, OpenStreams } from "./open-stream.js";
import { type CallStatus, ForeignStatus, toCallStatus } from "./status.js";
import { roomOf } from "./stream-room.js";

/** What a handler may know of its call. */
export interface CallContext {
  /** Aborted when the caller cancels, hangs up or lets its deadline pass. */
  readonly signal: AbortSignal;
}

/** Answers one request. What it throws is sent as a status. */
export type UnaryHandler<Input extends DescMessage, Output extends DescMessage> = (
  request: MessageShape<Input>,
  context: CallContext,
) => Answer<Output> | Promise<Answer<Output>>;

/** The answers of a report. */
export interface Report<Output extends DescMessage> extends AsyncIterable<Answer<Output>> {
  /** Where another one goes on behind the answer that was given last; only of one that can be. */
  readonly resume?: ResumePoint;
}

/** Answers one request with a stream, which ends when `signal` is aborted. */
export type ReportHandler<Input extends DescMessage, Output extends DescMessage> = (
  request: MessageShape<Input>,
  context: CallContext,
) => Report<Output>;

/**
 * Answers a stream of requests. It may answer before the last of them; what it throws
 * is sent as a status. `requests` throws once the call is given up, or ended.
 */
export type IntakeHandler<Input extends DescMessage, Output extends DescMessage> = (
  requests: AsyncIterator<MessageShape<Input>, undefined>,
  context: CallContext,
) => Promise<Answer<Output>>;

/** Begins a conversation; the function it returns answers request after request. */
export type ConversationHandler<Input extends DescMessage, Output extends DescMessage> = () => (
  request: MessageShape<Input>,
) => Answer<Output>;

/** The handler that a method of a descriptor wants. */
export type HandlerOf<Method> = Method extends {
  methodKind: infer Kind;
  input: infer Input extends DescMessage;
  output: infer Output extends DescMessage;
}
  ? Kind extends "unary"
    ? UnaryHandler<Input, Output>
    : Kind extends "server_streaming"
      ? ReportHandler<Input, Output>
      : Kind extends "client_streaming"
        ? IntakeHandler<Input, Output>
        : Kind extends "bidi_streaming"
          ? ConversationHandler<Input, Output> | Exchange<Output>
          : never
  : never;

/** A handler for every method of a service, by local name. */
export type HandlersOf<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: HandlerOf<Service["method"][Name]>;
};

/** What calls need of the server that they run in. */
export interface CallEnvironment extends OpenStreams {
  readonly host: BugHost;
}

/**
 * The handlers of a service in grpc-js's terms. They are asked for at every call:
 * while there are none, `handlers` throws what the call is refused with.
 */
export function implementService<Service extends DescService>(
  service: Service,
  handlers: () => HandlersOf<Service>,
  environment: CallEnvironment,
): UntypedServiceImplementation {
  const implementation: Record<string, UntypedHandleCall> = {};
  for (const [name, { methodKind }] of Object.entries(service.method)) {
    const handler = () => (handlers() as Readonly<Record<string, unknown>>)[name];
    // HandlersOf gave each handler the type that its method's kind asks for.
    implementation[name] =
      methodKind === "unary"
        ? unaryCall(handler as () => UnaryHandler<DescMessage, DescMessage>, environment)
        : methodKind === "client_streaming"
          ? intake(handler as () => IntakeHandler<DescMessage, DescMessage>, environment)
          : methodKind === "server_streaming"
            ? report(handler as () => ReportHandler<DescMessage, DescMessage>, environment)
            : bothWays(handler as () => BothWays, environment);
  }
  return implementation;
}

/** Ends every stream with a status; their clients connect anew elsewhere. */
export function endStreams(environment: CallEnvironment, error: KvixError): void {
  environment.streamsEndedBy = error;
  for (const stream of environment.streams) stream.end(error);
}

type Request = MessageShape<DescMessage> | Malformed;

function unaryCall(
  handler: () => UnaryHandler<DescMessage, DescMessage>,
  { host }: CallEnvironment,
): UntypedHandleCall {
  return (call: ServerUnaryCall<Request, unknown>, callback: sendUnaryData<unknown>) => {
    const context = new UnaryContext(call);
    const answer = async () => handler()(wellFormed(call.request), context);
    answer()
      .finally(() => context.end())
      .then(
        (value) => callback(null, value),
        (error: unknown) => callback(statusOf(error, host)),
      );
  };
}

/** Makes a signal only for a handler that asks for one: most calls only read. */
class UnaryContext implements CallContext {
  readonly #call: ServerUnaryCall<Request, unknown>;
  #controller: AbortController | undefined;
  readonly #abort = () => this.#controller?.abort();

  constructor(call: ServerUnaryCall<Request, unknown>) {
    this.#call = call;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#call.cancelled) this.#abort();
      this.#call.once("cancelled", this.#abort);
    }
    return this.#controller.signal;
  }

  /** grpc-js says "cancelled" after every call; from here on that means nothing. */
  end(): void {
    this.#call.off("cancelled", this.#abort);
  }
}

function report(
  handler: () => ReportHandler<DescMessage, DescMessage>,
  environment: CallEnvironment,
): UntypedHandleCall {
  const { host, streams } = environment;
  return (call: ServerWritableStream<Request, unknown>) => {
    const ended = new AbortController();
    /** Where its client goes on behind the answers that were written. */
    let resume: ResumePoint | undefined;
    const stream: OpenStream = {
      end: (error) => {
        if (!ended.signal.aborted) fail(call, resume ? error.resumingAt(resume) : error);
        ended.abort();
      },
    };
    streams.add(stream);
    const forget = () => {
      streams.delete(stream);
      ended.abort();
    };
    call.once("cancelled", forget);
    call.once("close", forget);
    if (environment.streamsEndedBy !== undefined) return stream.end(environment.streamsEndedBy);
    const answer = async () => {
      const answers = handler()(wellFormed(call.request), { signal: ended.signal });
      resume = answers.resume;
      for await (const each of answers) {
        if (ended.signal.aborted) return;
        const taken = writing(call, each, ended.signal);
        // Its maker stands still until it is asked for the next one.
        resume = answers.resume;
        await taken;
        if (ended.signal.aborted) return;
      }
      call.end();
    };
    answer().catch((error: unknown) => stream.end(asKvixError(error, host)));
  };
}

/** Writes an answer; resolves when it is on its way, or the stream is over. */
function writing(
  call: ServerWritableStream<Request, unknown>,
  answer: unknown,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done);
    // Not what write() answers: that lets sixteen answers of any size queue.
    call.write(answer, done);
  });
}

function intake(
  handler: () => IntakeHandler<DescMessage, DescMessage>,
  environment: CallEnvironment,
): UntypedHandleCall {
  const { host, streams } = environment;
  return (call: ServerReadableStream<Request, unknown>, callback: sendUnaryData<unknown>) => {
    const given = new AbortController();
    const requests = new Intake(call);
    // Once all requests are there it goes on to its answer, as any call under way does.
    const stream: OpenStream = { end: (error) => requests.end(error) };
    streams.add(stream);
    const giveUp = () => {
      requests.end(new KvixError("CANCELLED"));
      given.abort();
    };
    call.once("cancelled", giveUp);
    if (environment.streamsEndedBy !== undefined) stream.end(environment.streamsEndedBy);
    const wellFormedOnes: AsyncIterator<MessageShape<DescMessage>, undefined> = {
      next: async () => {
        const { done, value } = await requests.next();
        return done === true
          ? { done: true, value: undefined }
          : { done: false, value: wellFormed(value) };
      },
    };
    const answer = async () => handler()(wellFormedOnes, { signal: given.signal });
    answer()
      .finally(() => {
        streams.delete(stream);
        // grpc-js says "cancelled" after every call; from here on that means nothing.
        call.off("cancelled", giveUp);
      })
      .then(
        (value) => callback(null, value),
        (error: unknown) => callback(statusOf(error, host)),
      );
  };
}

type BothWays = ConversationHandler<DescMessage, DescMessage> | Exchange<DescMessage>;

function bothWays(handler: () => BothWays, environment: CallEnvironment): UntypedHandleCall {
  return (call: ServerDuplexStream<unknown, unknown>) => {
    let found: BothWays;
    try {
      found = handler();
    } catch (error) {
      fail(call, asKvixError(error, environment.host));
      return;
    }
    // Which of both it is was told to grpc-js with the definition: it decides what requests are.
    if (typeof found !== "function") runExchange(call as ExchangeCall, found, environment);
    else conversation(call as ServerDuplexStream<Request, unknown>, found, environment);
  };
}

function conversation(
  call: ServerDuplexStream<Request, unknown>,
  handler: ConversationHandler<DescMessage, DescMessage>,
  environment: CallEnvironment,
): void {
  const { host, streams } = environment;
  const room = roomOf(call.metadata);
  const stream: OpenStream = { end: (error) => fail(call, error) };
  streams.add(stream);
  call.once("close", () => streams.delete(stream));
  if (environment.streamsEndedBy !== undefined) {
    stream.end(environment.streamsEndedBy);
    return;
  }
  let answer: ReturnType<ConversationHandler<DescMessage, DescMessage>> | undefined;
  call.on("data", (request: Request) => {
    try {
      answer ??= handler();
      call.write(answer(wellFormed(request)), () => room.more());
    } catch (error) {
      fail(call, asKvixError(error, host));
    }
  });
  call.on("end", () => call.end());
  room.more();
}

function fail(call: Pick<ServerDuplexStream<unknown, unknown>, "emit">, error: KvixError): void {
  call.emit("error", toCallStatus(error));
}

function statusOf(error: unknown, host: BugHost): CallStatus {
  return toCallStatus(error instanceof ForeignStatus ? error : asKvixError(error, host));
}

function wellFormed(request: Request): MessageShape<DescMessage> {
  if (!(request instanceof Malformed)) return request;
  throw new KvixError("FIELD_INVALID", "the request is no protobuf message of its type");
}
