/**
 * A connection to a server and the ways of a call over it: batched or by itself, with
 * its deadline, its retries, and every failure as a KvixError.
 */
import { setMaxListeners } from "node:events";
import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import type { Host } from "../host/host.js";
import { NodeClock } from "../host/node-clock.js";
import { NodeEntropy } from "../host/node-host.js";
import { RpcClient } from "../rpc/client.js";
import { asClientError } from "../rpc/transport-error.js";
import {
  type ConnectOptions,
  type ResolvedOptions,
  requireTimeout,
  resolveOptions,
  type TlsOptions,
} from "./options.js";
import { type Answered, type Operation, PipelineCalls } from "./pipeline-calls.js";
import { type Limits, mayRepeat, type Repeatable, waitMs, withRetries } from "./retries.js";

/** What may go with a call of a client. */
export interface ClientCallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long it may take, tries and waits included; left out: what the client was made with. */
  readonly timeoutMs?: number | undefined;
}

/** The answer to an operation of this kind. */
export type AnswerTo<Case extends Operation["case"]> = Extract<Answered, { case: Case }>["value"];

/** How often a silent server is asked whether it still lives; then it has 20 s. */
const KEEPALIVE_MS = 60_000;
/** The longest that a broken connection waits until it is made anew. */
const RECONNECT_MS_MAX = 2000;

/** One server. */
export class Connection {
  readonly options: ResolvedOptions;
  readonly host: Pick<Host, "clock" | "entropy">;
  readonly #client: RpcClient;
  readonly #pipeline: PipelineCalls;
  /** The newest store_version of any answer. */
  #version = 0;
  /** grpc-js lets calls under way go on when a client is closed: they are ended by this. */
  readonly #closed = new AbortController();

  /** Throws OPTION_INVALID. The connection itself is made with the first call. */
  constructor(options: ConnectOptions) {
    // Every stream under way listens to it; they are bounded by the connection.
    setMaxListeners(0, this.#closed.signal);
    this.options = resolveOptions(options);
    this.host = options.host ?? {
      clock: new NodeClock({ holdsProcess: true }),
      entropy: new NodeEntropy(),
    };
    const { messageBytesMax, inFlightBytesMax } = this.options;
    this.#client = new RpcClient(
      options.address,
      {
        "grpc.keepalive_time_ms": KEEPALIVE_MS,
        // A proxy is for the web, not for a store.
        "grpc.enable_http_proxy": 0,
        ...options.channelOptions,
        ...tlsChannelOptions(options.tls),
        "grpc.max_receive_message_length": messageBytesMax,
        "grpc.max_send_message_length": messageBytesMax,
        "grpc.max_reconnect_backoff_ms": RECONNECT_MS_MAX,
        // What is tried again is decided here, by the catalogue of errors.
        "grpc.enable_retries": 0,
        "grpc.service_config_disable_resolution": 1,
      },
      channelCredentials(options.tls),
    );
    this.#pipeline = new PipelineCalls(this.#client, this.host.clock, inFlightBytesMax);
  }

  /** The newest version that an answer has told of; 0: there was none. */
  get version(): number {
    return this.#version;
  }

  /** An answer has told of a version. */
  sawVersion(version: bigint): void {
    this.#version = Math.max(this.#version, Number(version));
  }

  /** One operation, batched if that is on and it is small. */
  async operate<
    Case extends Operation["case"],
    Input extends DescMessage,
    Output extends DescMessage,
  >(
    name: Case,
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    repeatable: Repeatable,
    options: ClientCallOptions,
  ): Promise<MessageShape<Output>> {
    const limits = this.#limits(options);
    const isRead = repeatable === "read";
    const answer = await this.#again(repeatable, limits, async () => {
      if (this.options.batching) {
        // The case and the request belong together, as the method that goes with both does.
        const operation = { case: name, value: request } as unknown as Operation;
        const answered = this.#pipeline.call(operation, { ...limits, isRead });
        if (answered !== undefined)
          return (await answered).value as unknown as MessageShape<Output>;
      }
      return await this.#client.call(method, request, this.#callOptions(limits));
    });
    this.sawVersion((answer as unknown as { readonly storeVersion: bigint }).storeVersion);
    return answer;
  }

  /** One call of its own. */
  async call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    repeatable: Repeatable,
    options: ClientCallOptions,
  ): Promise<MessageShape<Output>> {
    const limits = this.#limits(options);
    return await this.#again(repeatable, limits, () =>
      this.#client.call(method, request, this.#callOptions(limits)),
    );
  }

  /**
   * A call of another shape, with the retries of any call. `attempt` is given the
   * deadline in Unix milliseconds.
   */
  async attempt<Result>(
    repeatable: Repeatable,
    options: ClientCallOptions & { readonly attemptsMax?: number | undefined },
    attempt: (deadlineMs: number) => Promise<Result>,
  ): Promise<Result> {
    const limits = this.#limits(options);
    const { attemptsMax = limits.attemptsMax } = options;
    return await this.#again(repeatable, { ...limits, attemptsMax }, () =>
      attempt(this.#callOptions(limits).deadlineMs),
    );
  }

  /** Whether a stream that failed so may be begun anew. */
  mayReconnect(error: KvixError): boolean {
    return !this.#isClosed && mayRepeat(error, "read");
  }

  /** Waits before a stream is begun anew; false: it is not to be. */
  async pause(failures: number, signal: AbortSignal | undefined): Promise<boolean> {
    await this.host.clock.sleep(waitMs(failures, this.host.entropy), signal);
    return !this.#isClosed && signal?.aborted !== true;
  }

  /**
   * A stream of answers that change nothing. It has no deadline of its own, and is not
   * tried again: who reads it knows where to go on.
   */
  async *stream<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodServerStreaming<Input, Output>,
    request: MessageInitShape<Input>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<MessageShape<Output>, void, undefined> {
    this.#requireOpen(signal);
    try {
      yield* this.#client.stream(method, request, { signal: this.endOf(signal) });
    } catch (error) {
      throw asClientError(error, true);
    }
  }

  /** The wire itself, for calls of other shapes. */
  get wire(): RpcClient {
    this.#requireOpen(undefined);
    return this.#client;
  }

  /** Ends the connection; calls under way fail as CANCELLED. Idempotent. */
  close(): void {
    this.#closed.abort();
    this.#pipeline.close();
    this.#client.close();
  }

  #again<Result>(
    repeatable: Repeatable,
    limits: Limits,
    call: () => Promise<Result>,
  ): Promise<Result> {
    const attempt = async (): Promise<Result> => {
      this.#requireOpen(limits.signal);
      try {
        return await call();
      } catch (error) {
        throw asClientError(error, repeatable === "read");
      }
    };
    return withRetries(attempt, repeatable, limits, this.host);
  }

  get #isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Aborted by the caller, or by the end of this client. */
  endOf(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined
      ? this.#closed.signal
      : AbortSignal.any([signal, this.#closed.signal]);
  }

  #requireOpen(signal: AbortSignal | undefined): void {
    if (this.#isClosed) throw new KvixError("CANCELLED", "the client is closed");
    if (signal?.aborted === true) throw new KvixError("CANCELLED");
  }

  #limits({ signal, timeoutMs }: ClientCallOptions): Limits {
    const { attemptsMax } = this.options;
    const waitMs = timeoutMs === undefined ? this.options.timeoutMs : requireTimeout(timeoutMs);
    return { dueMs: this.host.clock.monotonicMs() + waitMs, attemptsMax, signal };
  }

  #callOptions({ dueMs, signal }: Limits) {
    const { clock } = this.host;
    const deadlineMs = clock.wallMs() + Math.max(1, dueMs - clock.monotonicMs());
    return { deadlineMs, signal: this.endOf(signal) };
  }
}

function channelCredentials(tls: TlsOptions | true | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  if (tls === true) return credentials.createSsl();
  const { ca, cert, key } = tls;
  if ((cert === undefined) !== (key === undefined)) {
    throw new KvixError("OPTION_INVALID", "tls.cert and tls.key go together", {
      metadata: { option: "tls.cert" },
    });
  }
  const pem = (text: Uint8Array | string | undefined) =>
    text === undefined ? null : Buffer.from(text);
  try {
    return credentials.createSsl(pem(ca), pem(key), pem(cert));
  } catch (cause) {
    throw new KvixError("OPTION_INVALID", "tls holds no certificates and key, PEM", {
      cause,
      metadata: { option: "tls" },
    });
  }
}

function tlsChannelOptions(tls: TlsOptions | true | undefined): ChannelOptions {
  const serverName = typeof tls === "object" ? tls.serverName : undefined;
  return serverName === undefined ? {} : { "grpc.ssl_target_name_override": serverName };
}
