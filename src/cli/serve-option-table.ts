/**
 * Every option of `kvix serve`, in one table. It gives the flags and their
 * help, the variables, the keys of the config file, `kvix config check` and
 * the table in docs/operations.md.
 *
 *     --segment-bytes-max   KVIX_SEGMENT_BYTES_MAX   segment-bytes-max = "1GiB"
 *
 * What an option of the store or the server may be stands with the store and
 * the server; here is only what they are called outside.
 */
import { type StoreOption, type StoreOptionsInput, storeOptionTable } from "../engine/options.js";
import { MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN } from "../service/server.js";
import { ENDPOINT_DEFAULT } from "./address.js";

/** Whose option it is: who checks its value. */
export type OptionOwner = "store" | "server" | "command";

/** One option of `kvix serve`. */
export interface ServeOption {
  readonly owner: OptionOwner;
  /** What its owner calls it: "segmentBytesMax". */
  readonly name: string;
  /** "--segment-bytes-max"; the variable and the key follow from it. */
  readonly flag: string;
  /** What stands for its value in the help. */
  readonly placeholder: string;
  readonly rule: StoreOption;
}

/** The flag of each option of the store, and what stands for its value in the help. */
const storeFlags: Readonly<
  Record<keyof StoreOptionsInput, readonly [flag: string, placeholder: string]>
> = {
  dataDir: ["--data-dir", "DIR"],
  segmentDir: ["--segment-dir", "DIR"],
  segmentPrefix: ["--segment-prefix", "P"],
  segmentBytesMax: ["--segment-bytes-max", "SIZE"],
  durability: ["--durability", "MODE"],
  flushIntervalMs: ["--flush-interval", "TIME"],
  indexBytesMax: ["--max-index-bytes", "SIZE"],
  inFlightBytesMax: ["--max-in-flight-bytes", "SIZE"],
  diskReserveBytes: ["--disk-reserve-bytes", "SIZE"],
  recovery: ["--recovery", "POLICY"],
  trustClock: ["--trust-clock", "BOOL"],
  liftFloors: ["--lift-floors", "BOOL"],
};

const serverOptions: readonly ServeOption[] = [
  {
    owner: "server",
    name: "listen",
    flag: "--listen",
    placeholder: "HOST:PORT",
    rule: {
      kind: "text",
      default: ENDPOINT_DEFAULT,
      sentence: "Where to listen: HOST:PORT; port 0 takes a free one.",
    },
  },
  {
    owner: "server",
    name: "messageBytesMax",
    flag: "--max-message-bytes",
    placeholder: "SIZE",
    rule: {
      kind: "number",
      default: MESSAGE_BYTES_DEFAULT,
      min: MESSAGE_BYTES_MIN,
      max: MESSAGE_BYTES_MAX,
      unit: "bytes",
      sentence: "The largest message. Above the default, clients need the same limit.",
    },
  },
];

const commandOptions: readonly ServeOption[] = [
  {
    owner: "command",
    name: "logLevel",
    flag: "--log-level",
    placeholder: "LEVEL",
    rule: {
      kind: "choice",
      default: "info",
      choices: ["debug", "info", "warn", "error", "silent"],
      sentence: "How much the log tells.",
    },
  },
  {
    owner: "command",
    name: "logFormat",
    flag: "--log-format",
    placeholder: "FORMAT",
    rule: {
      kind: "choice",
      default: "auto",
      choices: ["auto", "pretty", "json"],
      sentence: "How the log is written; auto: pretty on a terminal, else JSON lines.",
    },
  },
];

/** Every option of `kvix serve`, in the order of the help. */
export const serveOptionTable: readonly ServeOption[] = [
  ...Object.entries(storeFlags).map(([name, [flag, placeholder]]): ServeOption => {
    const rule = storeOptionTable[name as keyof StoreOptionsInput];
    return { owner: "store", name, flag, placeholder, rule };
  }),
  ...serverOptions,
  ...commandOptions,
];

/** The key of an option in the config file: "segment-bytes-max". */
export function configKeyOf({ flag }: Pick<ServeOption, "flag">): string {
  return flag.slice(2);
}

/** The variable of an option: "KVIX_SEGMENT_BYTES_MAX". */
export function variableOf({ flag }: Pick<ServeOption, "flag">): string {
  return `KVIX_${configKeyOf({ flag }).replaceAll("-", "_").toUpperCase()}`;
}
