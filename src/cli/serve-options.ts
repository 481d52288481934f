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
  MESSAGE_BYTES_DEFAULT,
  MESSAGE_BYTES_MAX,
  MESSAGE_BYTES_MIN,
  type ServerOptions,
} from "../service/server.js";

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

const LISTEN = "--listen";
const MESSAGE_BYTES = "--max-message-bytes";
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
  const listenHelp = `Where to listen: HOST:PORT; port 0 takes a free one. Default: ${LISTEN_DEFAULT}.`;
  command.addOption(new Option(`${LISTEN} <HOST:PORT>`, listenHelp));
  const bytesHelp =
    "The largest message. Above the default, clients need the same limit. " +
    `${MESSAGE_BYTES_MIN} to ${MESSAGE_BYTES_MAX} bytes. Default: ${MESSAGE_BYTES_DEFAULT}.`;
  command.addOption(new Option(`${MESSAGE_BYTES} <N>`, bytesHelp));
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
  const store = resolveStore(given, faults);
  const listen = resolveListen(given.get(LISTEN) ?? LISTEN_DEFAULT, faults);
  const messageBytesMax = resolveMessageBytes(given.get(MESSAGE_BYTES), faults);
  const logLevel = String(given.get(LOG_LEVEL) ?? "info");
  if (!LOG_LEVELS.includes(logLevel)) {
    const problem = `is ${JSON.stringify(logLevel)}; it must be one of ${LOG_LEVELS.join(", ")}`;
    faults.push({ option: LOG_LEVEL, problem });
  }
  if (faults.length > 0 || store === undefined) throw optionError(faults);
  return { store, server: { listen, messageBytesMax }, logLevel };
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

function resolveStore(
  given: ReadonlyMap<string, string | true>,
  faults: OptionFault[],
): StoreOptions | undefined {
  const input: Record<string, unknown> = { dataDir: storeOptionTable.dataDir.default };
  for (const [name, [flag]] of Object.entries(storeFlags)) {
    const value = given.get(flag);
    if (value === undefined) continue;
    const { kind } = storeOptionTable[name as keyof StoreOptionsInput];
    // What is no number goes on as it is: the engine's fault then shows what was typed.
    input[name] = kind === "number" && /^\d+$/.test(String(value)) ? Number(value) : value;
  }
  try {
    return resolveStoreOptions(input as unknown as StoreOptionsInput);
  } catch (error) {
    if (!(error instanceof KvixError) || error.reason !== "OPTION_INVALID") throw error;
    for (const [name, problem] of Object.entries(error.metadata)) {
      const flag = storeFlags[name as keyof StoreOptionsInput]?.[0] ?? name;
      faults.push({ option: flag, problem: String(problem) });
    }
    return undefined;
  }
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

function resolveMessageBytes(value: string | true | undefined, faults: OptionFault[]): number {
  if (value === undefined) return MESSAGE_BYTES_DEFAULT;
  const bytes = /^\d+$/.test(String(value)) ? Number(value) : Number.NaN;
  if (bytes >= MESSAGE_BYTES_MIN && bytes <= MESSAGE_BYTES_MAX) return bytes;
  const problem =
    `is ${JSON.stringify(value)}; it must be a whole number of bytes ` +
    `from ${MESSAGE_BYTES_MIN} to ${MESSAGE_BYTES_MAX}`;
  faults.push({ option: MESSAGE_BYTES, problem });
  return MESSAGE_BYTES_DEFAULT;
}
