/**
 * The options of `kvix serve`: flags, help and checks. What a store's options
 * mean and may be stands in the engine's table; here are their flags, and the
 * options of the server itself. All faults are reported at once.
 */
import { type Command, Option } from "commander";
import { KvixError } from "../base/kvix-error.js";
import {
  type OptionFault,
  optionError,
  resolveStoreOptions,
  type StoreOption,
  type StoreOptions,
  type StoreOptionsInput,
  storeOptionTable,
} from "../engine/options.js";
import {
  type ListenAddress,
  resolveServerOptions,
  type ServerOptionName,
  type ServerOptions,
  type ServerOptionsInput,
  serverOptionTable,
} from "../service/server-options.js";

/** How much the log tells, from most to least. */
const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"];

const LISTEN_DEFAULT = "127.0.0.1:5849";
const PORT_MAX = 65_535;

/** The flag of each option of the store, and what stands for its value in the help. */
const storeFlags: Readonly<
  Record<keyof StoreOptionsInput, readonly [flag: string, value: string]>
> = {
  dataDir: ["--data-dir", "DIR"],
  segmentDir: ["--segment-dir", "DIR"],
  segmentPrefix: ["--segment-prefix", "P"],
  segmentBytesMax: ["--segment-bytes-max", "N"],
  durability: ["--durability", "MODE"],
  flushIntervalMs: ["--flush-interval", "MS"],
  indexBytesMax: ["--max-index-bytes", "N"],
  cacheBytesMax: ["--max-cache-bytes", "N"],
  inFlightBytesMax: ["--max-in-flight-bytes", "N"],
  diskReserveBytes: ["--disk-reserve-bytes", "N"],
  recovery: ["--recovery", "POLICY"],
  trustClock: ["--trust-clock", ""],
  liftFloors: ["--lift-floors", ""],
};

/** The same for the options of the server. */
const serverFlags: Readonly<Record<ServerOptionName, readonly [flag: string, value: string]>> = {
  messageBytesMax: ["--max-message-bytes", "N"],
  admittedBytesMax: ["--max-admitted-bytes", "N"],
  waitingCallsMax: ["--max-waiting-calls", "N"],
  admissionTimeoutMs: ["--admission-timeout", "MS"],
  messageTimeoutMs: ["--message-timeout", "MS"],
  connectionsMax: ["--max-connections", "N"],
  callsPerConnectionMax: ["--max-calls-per-connection", "N"],
  metadataBytesMax: ["--max-metadata-bytes", "N"],
  streamWindowBytes: ["--stream-window-bytes", "N"],
  connectionIdleMs: ["--max-connection-idle", "MS"],
  connectionAgeMs: ["--max-connection-age", "MS"],
  keepaliveMs: ["--keepalive", "MS"],
  keepaliveTimeoutMs: ["--keepalive-timeout", "MS"],
  drainMs: ["--drain-timeout", "MS"],
  channelz: ["--channelz", ""],
  tlsCert: ["--tls-cert", "FILE"],
  tlsKey: ["--tls-key", "FILE"],
  tlsClientCa: ["--tls-client-ca", "FILE"],
};

const LISTEN = "--listen";
const LOG_LEVEL = "--log-level";

/** What `kvix serve` was asked to do. */
export interface ServeOptions {
  readonly store: StoreOptions;
  readonly server: ServerOptions;
  readonly logLevel: string;
}

/** Declares the flags on the command, with default and range in the help. */
export function addServeFlags(command: Command): void {
  for (const [name, [flag, value]] of Object.entries(storeFlags)) {
    const option = storeOptionTable[name as keyof StoreOptionsInput];
    const declared = value === "" ? flag : `${flag} <${value}>`;
    command.addOption(new Option(declared, helpOf(option)));
  }
  for (const [name, [flag, value]] of Object.entries(serverFlags)) {
    const declared = value === "" ? flag : `${flag} <${value}>`;
    command.addOption(new Option(declared, helpOf(serverOptionTable[name as ServerOptionName])));
  }
  const listenHelp = `Where to listen: HOST:PORT; port 0 takes a free one. Default: ${LISTEN_DEFAULT}.`;
  command.addOption(new Option(`${LISTEN} <HOST:PORT>`, listenHelp));
  const levelHelp = `How much the log tells: ${LOG_LEVELS.join(", ")}. Default: info.`;
  command.addOption(new Option(`${LOG_LEVEL} <L>`, levelHelp));
}

/**
 * What the flags ask for. `given` is by flag; `strays` are arguments that are
 * no flag. Throws OPTION_INVALID with every fault.
 */
export function resolveServeOptions(
  given: ReadonlyMap<string, string | true>,
  strays: readonly string[] = [],
): ServeOptions {
  const faults: OptionFault[] = strays.map((stray) => ({
    option: stray,
    problem: "is not an option of kvix serve",
  }));
  const dataDir = storeOptionTable.dataDir.default;
  const store = resolve<StoreOptions>(given, faults, storeFlags, { dataDir }, (input) =>
    resolveStoreOptions(input as unknown as StoreOptionsInput),
  );
  const listen = resolveListen(given.get(LISTEN) ?? LISTEN_DEFAULT, faults);
  const server = resolve<ServerOptions>(given, faults, serverFlags, { listen }, (input) =>
    resolveServerOptions(input as unknown as ServerOptionsInput),
  );
  const logLevel = String(given.get(LOG_LEVEL) ?? "info");
  if (!LOG_LEVELS.includes(logLevel)) {
    const problem = `is ${JSON.stringify(logLevel)}; it must be one of ${LOG_LEVELS.join(", ")}`;
    faults.push({ option: LOG_LEVEL, problem });
  }
  if (faults.length > 0 || store === undefined || server === undefined) throw optionError(faults);
  return { store, server, logLevel };
}

/** "HOST:PORT" taken apart; undefined if it is none. An IPv6 address stands in brackets. */
export function parseAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const host = match[1] ?? match[2] ?? "";
  const port = Number(match[3]);
  return port <= PORT_MAX ? { host, port } : undefined;
}

function helpOf(option: StoreOption): string {
  switch (option.kind) {
    case "number":
      return `${option.sentence} ${option.min} to ${option.max} ${option.unit}. Default: ${option.default}.`;
    case "choice":
      return `${option.sentence} ${option.choices.join(" or ")}. Default: ${option.default}.`;
    case "text":
      return option.default === ""
        ? option.sentence
        : `${option.sentence} Default: ${option.default}.`;
    case "switch":
      return option.sentence;
  }
}

/** The options behind `flags`; undefined after telling what is wrong with them. */
function resolve<Options>(
  given: ReadonlyMap<string, string | true>,
  faults: OptionFault[],
  flags: Readonly<Record<string, readonly [flag: string, value: string]>>,
  fixed: Readonly<Record<string, unknown>>,
  check: (input: Readonly<Record<string, unknown>>) => Options,
): Options | undefined {
  const input: Record<string, unknown> = { ...fixed };
  for (const [name, [flag]] of Object.entries(flags)) {
    const value = given.get(flag);
    if (value === undefined) continue;
    // What is no number goes on as it is: the fault then shows what was typed.
    input[name] = isNumber(name) && /^\d+$/.test(String(value)) ? Number(value) : value;
  }
  try {
    return check(input);
  } catch (error) {
    if (!(error instanceof KvixError) || error.reason !== "OPTION_INVALID") throw error;
    for (const [name, problem] of Object.entries(error.metadata)) {
      faults.push({ option: flags[name]?.[0] ?? name, problem: String(problem) });
    }
    return undefined;
  }
}

function isNumber(name: string): boolean {
  const table: Readonly<Record<string, StoreOption>> = {
    ...storeOptionTable,
    ...serverOptionTable,
  };
  return table[name]?.kind === "number";
}

function resolveListen(text: string | true, faults: OptionFault[]): ListenAddress {
  const listen = parseAddress(String(text));
  if (listen !== undefined) return listen;
  const problem =
    `is ${JSON.stringify(text)}; it must be HOST:PORT or [IPV6]:PORT ` +
    `with a port from 0 to ${PORT_MAX}`;
  faults.push({ option: LISTEN, problem });
  return { host: "", port: 0 };
}
