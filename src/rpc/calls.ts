/**
 * grpc-js calls to handlers and back: what a handler answers is sent, what it
 * throws becomes a status, and a caller that gives up aborts a signal.
 *
 * A unary handler gets a decoded request and answers with a message or with the
 * bytes of one. A conversation is a stream in which every request has exactly
 * one answer, in order; the next request is read when the answer was taken.
 */
import type { DescMessage, DescService, MessageShape } from "@bufbuild/protobuf";
import type {
  ServerDuplexStream,
  ServerUnaryCall,
  sendUnaryData,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import { asKvixError, type BugHost } from "./bug-report.js";
import { type Answer, Malformed } from "./definition.js";
import { toCallStatus } from "./status.js";

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
    : Kind extends "bidi_streaming"
      ? ConversationHandler<Input, Output>
      : never
  : never;

/** A handler for every method of a service, by local name. */
export type HandlersOf<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: HandlerOf<Service["method"][Name]>;
};

/** What calls need of the server that they run in. */
export interface CallEnvironment {
  readonly host: BugHost;
  /** The conversations under way, so that a stop can end them. */
  readonly conversations: Set<ServerDuplexStream<unknown, unknown>>;
}

/** The handlers of a service in grpc-js's terms. */
export function implementService<Service extends DescService>(
  service: Service,
  handlers: HandlersOf<Service>,
  environment: CallEnvironment,
): UntypedServiceImplementation {
  const byName: Readonly<Record<string, unknown>> = handlers;
  const implementation: Record<string, UntypedHandleCall> = {};
  for (const [name, method] of Object.entries(service.method)) {
    // HandlersOf gave each handler the type that its method's kind asks for.
    implementation[name] =
      method.methodKind === "unary"
        ? unaryCall(byName[name] as UnaryHandler<DescMessage, DescMessage>, environment)
        : conversation(byName[name] as ConversationHandler<DescMessage, DescMessage>, environment);
  }
  return implementation;
}

/** Ends every conversation with a status; their clients connect anew elsewhere. */
export function endConversations(environment: CallEnvironment): void {
  for (const call of environment.conversations) fail(call, new KvixError("STORE_CLOSING"));
}

type Request = MessageShape<DescMessage> | Malformed;

function unaryCall(
  handler: UnaryHandler<DescMessage, DescMessage>,
  { host }: CallEnvironment,
): UntypedHandleCall {
  return (call: ServerUnaryCall<Request, unknown>, callback: sendUnaryData<unknown>) => {
    const context = new UnaryContext(call);
    const answer = async () => handler(wellFormed(call.request), context);
    answer()
      .finally(() => context.end())
      .then(
        (value) => callback(null, value),
        (error: unknown) => callback(toCallStatus(asKvixError(error, host))),
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

function conversation(
  open: ConversationHandler<DescMessage, DescMessage>,
  { host, conversations }: CallEnvironment,
): UntypedHandleCall {
  return (call: ServerDuplexStream<Request, unknown>) => {
    const answer = open();
    conversations.add(call);
    call.once("close", () => conversations.delete(call));
    call.on("data", (request: Request) => {
      try {
        if (call.write(answer(wellFormed(request)))) return;
        call.pause();
        call.once("drain", () => call.resume());
      } catch (error) {
        fail(call, asKvixError(error, host));
      }
    });
    call.on("end", () => call.end());
  };
}

function fail(call: ServerDuplexStream<unknown, unknown>, error: KvixError): void {
  call.emit("error", toCallStatus(error));
}

function wellFormed(request: Request): MessageShape<DescMessage> {
  if (!(request instanceof Malformed)) return request;
  throw new KvixError("FIELD_INVALID", "the request is no protobuf message of its type");
}
