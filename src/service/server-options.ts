/**
 * The options of a server: one table with default, range and meaning, beside the
 * address that it listens on. It gives validation and the tables of the documents.
 *
 * Outside a range is an error that names option, value and range; nothing is
 * ignored or clamped, and all faults are reported at once.
 */
import {
  type NumberOption,
  type OptionFault,
  optionError,
  optionProblem,
  type SwitchOption,
  type TextOption,
} from "../engine/options.js";

/** Where a server listens. Port 0: one that is free. */
export interface ListenAddress {
  /** A name or an address; IPv6 without brackets. A name: all its addresses. */
  readonly host: string;
  readonly port: number;
}

/** The options of a server, as a caller gives them; only `listen` is required. */
export interface ServerOptionsInput {
  readonly listen: ListenAddress;
  readonly messageBytesMax?: number | undefined;
  readonly admittedBytesMax?: number | undefined;
  readonly waitingCallsMax?: number | undefined;
  readonly admissionTimeoutMs?: number | undefined;
  readonly messageTimeoutMs?: number | undefined;
  readonly connectionsMax?: number | undefined;
  readonly callsPerConnectionMax?: number | undefined;
  readonly metadataBytesMax?: number | undefined;
  readonly streamWindowBytes?: number | undefined;
  readonly connectionIdleMs?: number | undefined;
  readonly connectionAgeMs?: number | undefined;
  readonly keepaliveMs?: number | undefined;
  readonly keepaliveTimeoutMs?: number | undefined;
  readonly drainMs?: number | undefined;
  readonly channelz?: boolean | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsClientCa?: string | undefined;
}

/** The options of a server, complete and checked. */
export type ServerOptions = {
  readonly [Name in keyof ServerOptionsInput]-?: Exclude<ServerOptionsInput[Name], undefined>;
};

/** The name of an option that the table has. */
export type ServerOptionName = Exclude<keyof ServerOptionsInput, "listen">;

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/** The least message holds the longest key and every answer of reflection. */
export const MESSAGE_BYTES_MIN = MiB;
/** The largest holds the longest key with the longest value (101 MiB). */
export const MESSAGE_BYTES_MAX = 101 * MiB;
/** What every gRPC client takes unless it is told otherwise. */
export const MESSAGE_BYTES_DEFAULT = 4 * MiB;

/** Every option of a server but the address. */
export const serverOptionTable: Readonly<
  Record<ServerOptionName, NumberOption | SwitchOption | TextOption>
> = {
  messageBytesMax: {
    kind: "number",
    default: MESSAGE_BYTES_DEFAULT,
    min: MESSAGE_BYTES_MIN,
    max: MESSAGE_BYTES_MAX,
    unit: "bytes",
    sentence: "The largest message. Above the default, clients need the same limit.",
  },
  admittedBytesMax: {
    kind: "number",
    default: 384 * MiB,
    min: 16 * MiB,
    max: 64 * GiB,
    unit: "bytes",
    sentence:
      "How much memory the messages of all calls under way may take, half of it requests and half answers; further calls wait.",
  },
  waitingCallsMax: {
    kind: "number",
    default: 1024,
    min: 1,
    max: 65_536,
    unit: "calls",
    sentence: "How many calls may wait for that memory; further ones are refused as OVERLOADED.",
  },
  admissionTimeoutMs: {
    kind: "number",
    default: 10_000,
    min: 100,
    max: 10 * MINUTE_MS,
    unit: "ms",
    sentence: "How long a call may wait for that memory until it is refused as OVERLOADED.",
  },
  messageTimeoutMs: {
    kind: "number",
    default: 30_000,
    min: 1000,
    max: HOUR_MS,
    unit: "ms",
    sentence:
      "How long a request may take to arrive, and an answer to be taken; a second more for each MiB.",
  },
  connectionsMax: {
    kind: "number",
    default: 2048,
    min: 1,
    max: 65_535,
    unit: "connections",
    sentence: "How many connections there may be; further ones are closed at once.",
  },
  callsPerConnectionMax: {
    kind: "number",
    default: 256,
    min: 1,
    max: 65_535,
    unit: "calls",
    sentence: "How many calls may be under way on a connection; clients queue further ones.",
  },
  metadataBytesMax: {
    kind: "number",
    default: 16 * KiB,
    min: 4 * KiB,
    max: 64 * KiB,
    unit: "bytes",
    sentence: "How large the metadata of a call may be.",
  },
  streamWindowBytes: {
    kind: "number",
    default: 2.5 * MiB,
    min: 65_535,
    max: 16 * MiB,
    unit: "bytes",
    sentence:
      "How much a client may send on a call before it must hear from the server: an upload gets between half of it and all a round trip.",
  },
  connectionIdleMs: {
    kind: "number",
    default: NO_LIMIT,
    min: 1000,
    max: NO_LIMIT,
    unit: "ms",
    sentence: "A connection without a call for so long is closed.",
  },
  connectionAgeMs: {
    kind: "number",
    default: NO_LIMIT,
    min: 1000,
    max: NO_LIMIT,
    unit: "ms",
    sentence:
      "A connection of that age, give or take a tenth, is closed as a stop would close it; for load balancers.",
  },
  keepaliveMs: {
    kind: "number",
    default: MINUTE_MS,
    min: 1000,
    max: 2 * HOUR_MS,
    unit: "ms",
    sentence: "How often a connection is asked whether its client still lives.",
  },
  keepaliveTimeoutMs: {
    kind: "number",
    default: 20_000,
    min: 1000,
    max: 10 * MINUTE_MS,
    unit: "ms",
    sentence: "A client that does not answer that for so long is taken for dead.",
  },
  drainMs: {
    kind: "number",
    default: 10_000,
    min: 0,
    max: HOUR_MS,
    unit: "ms",
    sentence: "How long a stop waits for calls under way until it cuts them.",
  },
  channelz: {
    kind: "switch",
    default: false,
    sentence: "Serve grpc.channelz.v1, which shows connections and the addresses of clients.",
  },
  tlsCert: {
    kind: "text",
    default: "",
    sentence: "The file of the certificate chain, PEM; with it and the key, only TLS is spoken.",
  },
  tlsKey: {
    kind: "text",
    default: "",
    sentence: "The file of the certificate's private key, PEM.",
  },
  tlsClientCa: {
    kind: "text",
    default: "",
    sentence:
      "The file of the authorities, PEM, one of which must have signed a client's certificate.",
  },
};

/** Fills in the defaults and checks everything. Throws OPTION_INVALID with all faults. */
export function resolveServerOptions(input: ServerOptionsInput): ServerOptions {
  const given = input as unknown as Readonly<Record<string, unknown>>;
  const faults: OptionFault[] = [];
  const resolved: Record<string, unknown> = { listen: input.listen };
  for (const name of Object.keys(given)) {
    if (name === "listen" || Object.hasOwn(serverOptionTable, name)) continue;
    faults.push({ option: name, problem: "is not an option" });
  }
  for (const [name, option] of Object.entries(serverOptionTable)) {
    const value = given[name] ?? option.default;
    const problem = optionProblem(option, value, false);
    if (problem !== undefined) faults.push({ option: name, problem });
    resolved[name] = value;
  }
  for (const [name, needed] of [
    ["tlsCert", "tlsKey"],
    ["tlsKey", "tlsCert"],
    ["tlsClientCa", "tlsCert"],
  ] as const) {
    const isAlone = resolved[name] !== "" && resolved[needed] === "";
    if (isAlone) faults.push({ option: name, problem: `needs ${needed} beside it` });
  }
  if (faults.length > 0) throw optionError(faults);
  return resolved as unknown as ServerOptions;
}
