/**
 * The client's end of the wire: calls by descriptor, with one answer or a stream
 * of them. What a kvix server refuses is thrown as the KvixError that it threw; what the
 * transport refuses (no connection, deadline, a message too large) is thrown as grpc-js's
 * error.
 */
import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
} from "@grpc/grpc-js";
import { ClientExchange, type ExchangeEvents } from "./client-exchange.js";
import { ClientIntake } from "./client-intake.js";
import { methodDefinition } from "./definition.js";
import { type CallStatus, fromCallStatus } from "./status.js";

/** What goes with one call. */
export interface CallOptions {
  /** When to give up, in Unix milliseconds; left out: never. */
  readonly deadlineMs?: number | undefined;
  /** Cancels the call; whether its write happened is then unknown. */
  readonly signal?: AbortSignal | undefined;
}

/** A connection to a server, made at the first call. */
export class RpcClient {
  readonly #client: Client;

  /**
   * `address`: "HOST:PORT". `options`: grpc-js's channel options. Without TLS,
   * unless `channel` says otherwise.
   */
  constructor(
    address: string,
    options: ChannelOptions = {},
    channel: ChannelCredentials = credentials.createInsecure(),
  ) {
    this.#client = new Client(address, channel, options);
  }

  /** Calls a method; `request` may leave out fields. */
  call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    { deadlineMs, signal }: CallOptions = {},
  ): Promise<MessageShape<Output>> {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method, method);
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        create(method.input, request),
        new Metadata(),
        deadlineMs === undefined ? {} : { deadline: deadlineMs },
        (error, response) => {
          signal?.removeEventListener("abort", cancel);
          if (error !== null) reject(fromCallStatus(error) ?? error);
          // The deserializer gave a message of the method's output, never bytes.
          else resolve(response as MessageShape<Output>);
        },
      );
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel);
      if (signal?.aborted === true) cancel();
    });
  }

  /**
   * Calls a method that answers with a stream. The next answer is asked for when
   * the one before was taken; leaving the loop cancels the call.
   */
  async *stream<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodServerStreaming<Input, Output>,
    request: MessageInitShape<Input>,
    { deadlineMs, signal }: CallOptions = {},
  ): AsyncGenerator<MessageShape<Output>, void, undefined> {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method, method);
    const call = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      create(method.input, request),
      new Metadata(),
      deadlineMs === undefined ? {} : { deadline: deadlineMs },
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel);
    if (signal?.aborted === true) cancel();
    // The status of a call that was left comes when nobody listens any more.
    call.on("error", () => undefined);
    try {
      // The deserializer gave messages of the method's output, never bytes.
      for await (const answer of call) yield answer as MessageShape<Output>;
    } catch (error) {
      throw isCallStatus(error) ? (fromCallStatus(error) ?? error) : error;
    } finally {
      signal?.removeEventListener("abort", cancel);
      cancel();
    }
  }

  /** Begins a stream of requests with one answer. `deadlineMs`: Unix milliseconds. */
  intake<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodClientStreaming<Input, Output>,
    deadlineMs: number | undefined,
  ): ClientIntake<Input, Output> {
    return new ClientIntake(this.#client, method, deadlineMs);
  }

  /** Begins a stream in both directions. */
  exchange(
    method: DescMethodBiDiStreaming<DescMessage, DescMessage>,
    events: ExchangeEvents,
  ): ClientExchange {
    return new ClientExchange(this.#client, method, events);
  }

  /** Begins no further call, and ends the connection when those under way are over. Idempotent. */
  close(): void {
    this.#client.close();
  }
}

function isCallStatus(error: unknown): error is CallStatus & Error {
  return error instanceof Error && "metadata" in error && error.metadata instanceof Metadata;
}
