/**
 * The client's end of a verb: which server, how long to wait, and what the
 * transport's own refusals mean for somebody at a command line.
 */
import type {
  DescMessage,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import type { Command } from "commander";
import { StatusCode } from "../base/error-catalogue.js";
import { NodeClock } from "../host/node-clock.js";
import { RpcClient } from "../rpc/client.js";
import { asClientError, isTransportError } from "../rpc/transport-error.js";
import { addressRange, ENDPOINT_DEFAULT, ENDPOINT_VARIABLE, parseAddress } from "./address.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { PartSender } from "./part-sender.js";
import { durationUnitNames, parseDuration } from "./quantity.js";
import { channelCredentials, readTlsFlags, type TlsFiles, tlsChannelOptions } from "./tls-flags.js";
import type { FaultList } from "./usage-error.js";
import type { VerbContext } from "./verb.js";

/** What a client waits for an answer unless it is told otherwise. */
const TIMEOUT_DEFAULT = "30s";
/** What stands in its place for a call that may take hours. */
export const NO_TIMEOUT = "none";
/** A timer holds no more. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** How often a server that is silent is asked whether it still lives; then it has 20 s. */
const KEEPALIVE_MS = 60_000;
/** How long a connection that failed is not tried again, at most: a watch waits for its server. */
const RECONNECT_MS_MAX = 2000;

const clock = new NodeClock();

/** The flags that every verb of a client has. */
export interface ClientFlags {
  readonly endpoint?: string;
  readonly timeout?: string;
  readonly tls?: true;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly json?: true;
}

/** Declares them. `timeoutDefault`: how long the verb waits if it is not told; NO_TIMEOUT: for ever. */
export function addClientFlags(command: Command, timeoutDefault = TIMEOUT_DEFAULT): Command {
  return command
    .option(
      "--endpoint <HOST:PORT>",
      `the server; by default ${ENDPOINT_VARIABLE}, else ${ENDPOINT_DEFAULT}`,
    )
    .option("--timeout <TIME>", `give up after this long; default: ${timeoutDefault}`)
    .option("--tls", "speak TLS; the server's certificate must be known to the system")
    .option("--tls-ca <FILE>", "speak TLS, and know the authorities in this file, PEM")
    .option("--tls-cert <FILE>", "speak TLS, and show this certificate, PEM; with --tls-key")
    .option("--tls-key <FILE>", "the private key of that certificate, PEM")
    .option("--json", "print JSON");
}

/** A server to call. */
export interface Session {
  /** "HOST:PORT". */
  readonly endpoint: string;
  /** Undefined: it waits as long as it takes. */
  readonly timeoutMs: number | undefined;
  /** Undefined: without TLS. */
  readonly tls: TlsFiles | undefined;
}

/** The server that the flags and the environment name; faults are noted. */
export function readSession(
  flags: ClientFlags,
  environment: VerbContext["environment"],
  faults: FaultList,
  timeoutDefault = TIMEOUT_DEFAULT,
): Session {
  const variable = environment[ENDPOINT_VARIABLE];
  const endpoint = flags.endpoint ?? variable ?? ENDPOINT_DEFAULT;
  if (parseAddress(endpoint) === undefined) {
    const option = flags.endpoint === undefined ? ENDPOINT_VARIABLE : "--endpoint";
    faults.add(option, `is ${JSON.stringify(endpoint)}; it must be ${addressRange}`);
  }
  const timeout = flags.timeout ?? timeoutDefault;
  const isEndless = flags.timeout === undefined && timeoutDefault === NO_TIMEOUT;
  const timeoutMs = isEndless ? undefined : (parseDuration(timeout) ?? 0);
  if (timeoutMs !== undefined && (timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX)) {
    const range = `1ms to ${TIMEOUT_MS_MAX}ms, with a unit: ${durationUnitNames}`;
    faults.add("--timeout", `is ${JSON.stringify(flags.timeout)}; it must be ${range}`);
  }
  return { endpoint, timeoutMs, tls: readTlsFlags(flags, faults) };
}

/** A method and its request. */
export type Call = <Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  request: MessageInitShape<Input>,
) => Promise<MessageShape<Output>>;

/** A method that answers with a stream, and its request; leaving the loop cancels the call. */
export type Stream = <Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodServerStreaming<Input, Output>,
  request: MessageInitShape<Input>,
  signal?: AbortSignal,
) => AsyncIterable<MessageShape<Output>>;

/** A method that takes a stream: `send` sends it, and the answer is what comes of it. */
export type Intake = <Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodClientStreaming<Input, Output>,
  send: (call: PartSender<Input>) => Promise<void>,
) => Promise<MessageShape<Output>>;

/**
 * Runs `use` with a connection, and ends it. The refusals of the transport come
 * as CommandEnd, those of the server as the KvixError that it threw.
 */
export async function withServer<Result>(
  session: Session,
  use: (call: Call, stream: Stream, intake: Intake) => Promise<Result>,
): Promise<Result> {
  setLogVerbosity(logVerbosity.NONE);
  // What a library will have to do otherwise one day is nothing to whoever types a command.
  Object.assign(process, { noDeprecation: true });
  const options = {
    // A value may be as long as the server lets it; a proxy is for the web, not for a store.
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_http_proxy": 0,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.max_reconnect_backoff_ms": RECONNECT_MS_MAX,
    ...tlsChannelOptions(session.endpoint, session.tls),
  };
  const channel = await channelCredentials(session.endpoint, session.tls);
  const client = new RpcClient(session.endpoint, options, channel);
  const { timeoutMs } = session;
  const deadline = (): { readonly deadlineMs?: number } =>
    timeoutMs === undefined ? {} : { deadlineMs: clock.wallMs() + timeoutMs };
  try {
    return await use(
      async (method, request) => {
        try {
          return await client.call(method, request, deadline());
        } catch (error) {
          throw explainTransport(error, session, method.idempotency);
        }
      },
      async function* (method, request, signal) {
        try {
          yield* client.stream(method, request, { ...deadline(), signal });
        } catch (error) {
          throw explainTransport(error, session, method.idempotency);
        }
      },
      async (method, send) => {
        const intake = client.intake(method, deadline().deadlineMs);
        const sending = new PartSender(intake);
        try {
          await send(sending);
          intake.end();
          return await intake.answer;
        } catch (error) {
          const { idempotency } = method;
          const harm = sending.isWhole ? idempotency : Idempotency.NO_SIDE_EFFECTS;
          throw explainTransport(error, session, harm);
        }
      },
    );
  } finally {
    client.close();
  }
}

/** What a refusal of the transport means; all else passes. */
function explainTransport(error: unknown, session: Session, idempotency: Idempotency): unknown {
  if (!isTransportError(error)) return error;
  const { endpoint } = session;
  const { code, details } = error;
  const { reason, outcome } = asClientError(error, false);
  switch (reason) {
    case "UNREACHABLE":
      return new CommandEnd(ExitCode.UNAVAILABLE, noConnection(session, causeIn(details)));
    case "CONNECTION_LOST":
      return uncertain(`the connection to ${endpoint} broke: ${details}`, idempotency);
    case "DEADLINE_PASSED":
      return outcome === "not-applied"
        ? new CommandEnd(ExitCode.UNAVAILABLE, noConnection(session, "it does not answer"))
        : uncertain(`no answer from ${endpoint} in time`, idempotency);
    case "MESSAGE_TOO_LARGE":
      return new CommandEnd(
        ExitCode.REFUSED,
        `the request is larger than ${endpoint} takes (${details}). ` +
          "Raise --max-message-bytes of the server.",
      );
    default:
      return code === StatusCode.UNIMPLEMENTED
        ? new CommandEnd(
            ExitCode.REFUSED,
            `${endpoint} does not know this call: ${details}. Is it kvix, and of this version?`,
          )
        : uncertain(`${endpoint} answered with status ${code}: ${details}`, idempotency);
  }
}

/** Why there is no connection: grpc-js wraps what the system or TLS said in words of its own. */
function causeIn(details: string): string {
  if (details.includes("ECONNREFUSED")) return "nothing listens there (ECONNREFUSED)";
  return /Last error: (?:Error: )?(.+?)(?:\. Resolution note: .*)?$/s.exec(details)?.[1] ?? details;
}

function noConnection({ endpoint, tls }: Session, why: string): string {
  const advice =
    tls === undefined
      ? `Start a server with \`kvix serve\`, or name one with --endpoint or ${ENDPOINT_VARIABLE}; ` +
        "one that speaks TLS wants --tls"
      : "Does the server speak TLS, and has an authority in --tls-ca signed its certificate?";
  return `no connection to ${endpoint}: ${why}. ${advice}`;
}

/** A call that was sent and not answered: what is safe to repeat may be, a write may have happened. */
function uncertain(what: string, idempotency: Idempotency): CommandEnd {
  switch (idempotency) {
    case Idempotency.NO_SIDE_EFFECTS:
      return new CommandEnd(ExitCode.UNAVAILABLE, `${what}. Nothing was changed; try again.`);
    case Idempotency.IDEMPOTENT:
      return new CommandEnd(ExitCode.UNAVAILABLE, `${what}. Trying again does no harm.`);
    default:
      return new CommandEnd(ExitCode.UNKNOWN, `${what}. Whether it was applied is unknown.`);
  }
}
