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
import { type ServerOptionName, serverOptionTable } from "../service/server-options.js";
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
  cacheBytesMax: ["--max-cache-bytes", "SIZE"],
  inFlightBytesMax: ["--max-in-flight-bytes", "SIZE"],
  diskReserveBytes: ["--disk-reserve-bytes", "SIZE"],
  recovery: ["--recovery", "POLICY"],
  compaction: ["--compaction", "MODE"],
  compactionIntervalMs: ["--compaction-interval", "TIME"],
  compactionWindow: ["--compaction-window", "HOURS"],
  compactionDeadPercent: ["--compaction-dead-percent", "N"],
  compactionBytesPerSecondMax: ["--max-compaction-rate", "SIZE"],
  watchRetentionMs: ["--watch-retention", "TIME"],
  openFilesMax: ["--max-open-files", "N"],
  trustClock: ["--trust-clock", "BOOL"],
  liftFloors: ["--lift-floors", "BOOL"],
};

/** The same for the options of the server. */
const serverFlags: Readonly<
  Record<ServerOptionName, readonly [flag: string, placeholder: string]>
> = {
  messageBytesMax: ["--max-message-bytes", "SIZE"],
  admittedBytesMax: ["--max-admitted-bytes", "SIZE"],
  waitingCallsMax: ["--max-waiting-calls", "N"],
  admissionTimeoutMs: ["--admission-timeout", "TIME"],
  messageTimeoutMs: ["--message-timeout", "TIME"],
  connectionsMax: ["--max-connections", "N"],
  callsPerConnectionMax: ["--max-calls-per-connection", "N"],
  metadataBytesMax: ["--max-metadata-bytes", "SIZE"],
  streamWindowBytes: ["--stream-window-bytes", "SIZE"],
  connectionIdleMs: ["--max-connection-idle", "TIME"],
  connectionAgeMs: ["--max-connection-age", "TIME"],
  keepaliveMs: ["--keepalive", "TIME"],
  keepaliveTimeoutMs: ["--keepalive-timeout", "TIME"],
  drainMs: ["--drain-timeout", "TIME"],
  channelz: ["--channelz", "BOOL"],
  tlsCert: ["--tls-cert", "FILE"],
  tlsKey: ["--tls-key", "FILE"],
  tlsClientCa: ["--tls-client-ca", "FILE"],
};

const listenOption: ServeOption = {
  owner: "server",
  name: "listen",
  flag: "--listen",
  placeholder: "HOST:PORT",
  rule: {
    kind: "text",
    default: ENDPOINT_DEFAULT,
    sentence: "Where to listen: HOST:PORT; port 0 takes a free one.",
  },
};

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
  listenOption,
  ...Object.entries(serverFlags).map(([name, [flag, placeholder]]): ServeOption => {
    const rule = serverOptionTable[name as ServerOptionName];
    return { owner: "server", name, flag, placeholder, rule };
  }),
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
