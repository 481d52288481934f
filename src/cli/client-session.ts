/**
 * The client's end of a verb: which server, how long to wait, and what the
 * transport's own refusals mean for somebody at a command line.
 */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import type { Command } from "commander";
import { StatusCode } from "../base/error-catalogue.js";
import { NodeClock } from "../host/node-clock.js";
import { RpcClient } from "../rpc/client.js";
import { addressRange, ENDPOINT_DEFAULT, ENDPOINT_VARIABLE, parseAddress } from "./address.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { durationUnitNames, parseDuration } from "./quantity.js";
import type { FaultList } from "./usage-error.js";
import type { VerbContext } from "./verb.js";

/** What a client waits for an answer unless it is told otherwise. */
const TIMEOUT_DEFAULT = "30s";
/** A timer holds no more. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

const clock = new NodeClock();

/** The flags that every verb of a client has. */
export interface ClientFlags {
  readonly endpoint?: string;
  readonly timeout?: string;
  readonly json?: true;
}

/** Declares them. */
export function addClientFlags(command: Command): Command {
  return command
    .option(
      "--endpoint <HOST:PORT>",
      `the server; by default ${ENDPOINT_VARIABLE}, else ${ENDPOINT_DEFAULT}`,
    )
    .option("--timeout <TIME>", `give up after this long; default: ${TIMEOUT_DEFAULT}`)
    .option("--json", "print JSON");
}

/** A server to call. */
export interface Session {
  /** "HOST:PORT". */
  readonly endpoint: string;
  readonly timeoutMs: number;
}

/** The server that the flags and the environment name; faults are noted. */
export function readSession(
  flags: ClientFlags,
  environment: VerbContext["environment"],
  faults: FaultList,
): Session {
  const variable = environment[ENDPOINT_VARIABLE];
  const endpoint = flags.endpoint ?? variable ?? ENDPOINT_DEFAULT;
  if (parseAddress(endpoint) === undefined) {
    const option = flags.endpoint === undefined ? ENDPOINT_VARIABLE : "--endpoint";
    faults.add(option, `is ${JSON.stringify(endpoint)}; it must be ${addressRange}`);
  }
  const timeoutMs = parseDuration(flags.timeout ?? TIMEOUT_DEFAULT) ?? 0;
  if (timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX) {
    const range = `1ms to ${TIMEOUT_MS_MAX}ms, with a unit: ${durationUnitNames}`;
    faults.add("--timeout", `is ${JSON.stringify(flags.timeout)}; it must be ${range}`);
  }
  return { endpoint, timeoutMs };
}

/** A method and its request. */
export type Call = <Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  request: MessageInitShape<Input>,
) => Promise<MessageShape<Output>>;

/**
 * Runs `use` with a connection, and ends it. The refusals of the transport come
 * as CommandEnd, those of the server as the KvixError that it threw.
 */
export async function withServer<Result>(
  session: Session,
  use: (call: Call) => Promise<Result>,
): Promise<Result> {
  setLogVerbosity(logVerbosity.NONE);
  const client = new RpcClient(session.endpoint, {
    // A value may be as long as the server lets it; a proxy is for the web, not for a store.
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_http_proxy": 0,
  });
  try {
    return await use(async (method, request) => {
      try {
        const deadlineMs = clock.wallMs() + session.timeoutMs;
        return await client.call(method, request, { deadlineMs });
      } catch (error) {
        throw explainTransport(error, session, method.idempotency !== MAY_WRITE);
      }
    });
  } finally {
    client.close();
  }
}

/** protobuf's number for a method that is not said to be safe to repeat. */
const MAY_WRITE = 0;

interface TransportError {
  readonly code: number;
  readonly details: string;
}

function isTransportError(error: unknown): error is TransportError {
  return error instanceof Error && "code" in error && typeof error.code === "number";
}

function explainTransport(error: unknown, session: Session, isRead: boolean): unknown {
  if (!isTransportError(error)) return error;
  const { endpoint } = session;
  const { code, details } = error;
  switch (code) {
    case StatusCode.UNAVAILABLE:
      return unavailable(details, endpoint, isRead);
    case StatusCode.DEADLINE_EXCEEDED:
      // Until a connection stood nothing was sent, so nothing was written.
      return details.includes("remote_addr")
        ? uncertain(`no answer from ${endpoint} in time`, isRead)
        : new CommandEnd(ExitCode.UNAVAILABLE, noConnection(endpoint, "it does not answer"));
    case StatusCode.RESOURCE_EXHAUSTED:
      return new CommandEnd(
        ExitCode.REFUSED,
        `the request is larger than ${endpoint} takes (${details}). ` +
          "Raise --max-message-bytes of the server.",
      );
    case StatusCode.UNIMPLEMENTED:
      return new CommandEnd(
        ExitCode.REFUSED,
        `${endpoint} does not know this call: ${details}. Is it kvix, and of this version?`,
      );
    default:
      return uncertain(`${endpoint} answered with status ${code}: ${details}`, isRead);
  }
}

function unavailable(details: string, endpoint: string, isRead: boolean): CommandEnd {
  const reason = /\b(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)\b/.exec(
    details,
  )?.[1];
  if (reason === "ECONNREFUSED") {
    const why = noConnection(endpoint, "nothing listens there (ECONNREFUSED)");
    return new CommandEnd(ExitCode.UNAVAILABLE, why);
  }
  if (reason !== undefined || /^(?:No connection|Name resolution)/.test(details)) {
    const why = noConnection(endpoint, reason ?? details);
    return new CommandEnd(ExitCode.UNAVAILABLE, why);
  }
  return uncertain(`the connection to ${endpoint} broke: ${details}`, isRead);
}

function noConnection(endpoint: string, why: string): string {
  return (
    `no connection to ${endpoint}: ${why}. Start a server with \`kvix serve\`, ` +
    `or name one with --endpoint or ${ENDPOINT_VARIABLE}.`
  );
}

/** A call that was sent and not answered: a read may be repeated, a write may have happened. */
function uncertain(what: string, isRead: boolean): CommandEnd {
  return isRead
    ? new CommandEnd(ExitCode.UNAVAILABLE, `${what}. Nothing was changed; try again.`)
    : new CommandEnd(ExitCode.UNKNOWN, `${what}. Whether it was applied is unknown.`);
}
