/** The options of a client: one table of defaults and ranges; nothing is clamped or ignored. */
import type { ChannelOptions } from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import type { Host } from "../host/host.js";

/** How a connection is made safe. */
export interface TlsOptions {
  /** The authorities to trust, PEM; left out: those that Node trusts. */
  readonly ca?: Uint8Array | string | undefined;
  /** The client's own certificate chain and its key, PEM; both or neither. */
  readonly cert?: Uint8Array | string | undefined;
  readonly key?: Uint8Array | string | undefined;
  /** The name that the server's certificate must bear; left out: that of the address. */
  readonly serverName?: string | undefined;
}

/** What `connect` takes; only `address` is required. */
export interface ConnectOptions {
  /** "HOST:PORT"; of IPv6 "[HOST]:PORT". */
  readonly address: string;
  /** Left out: without TLS. */
  readonly tls?: TlsOptions | true | undefined;
  /** How long a call may take, tries and waits included, in milliseconds: 1 to 2^31 - 1; by default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** How often a call is tried at most, where the catalogue of errors allows it: 1 to 100; by default 5. */
  readonly attemptsMax?: number | undefined;
  /** Whether concurrent small calls go on one Pipeline, many in a message; by default true. */
  readonly batching?: boolean | undefined;
  /** How many bytes of calls may wait or be under way on it: 1 MiB to 4 GiB; by default 64 MiB. */
  readonly inFlightBytesMax?: number | undefined;
  /** The largest message that is taken or sent, in bytes: 1 to 101 MiB; by default 101 MiB. The server has a limit too. */
  readonly messageBytesMax?: number | undefined;
  /** Options of grpc-js, before those that this client sets itself. */
  readonly channelOptions?: ChannelOptions | undefined;
  /** The machine to run on; by default this one. */
  readonly host?: Pick<Host, "clock" | "entropy"> | undefined;
}

/** The options that are numbers and switches, complete and checked. */
export interface ResolvedOptions {
  readonly timeoutMs: number;
  readonly attemptsMax: number;
  readonly batching: boolean;
  readonly inFlightBytesMax: number;
  readonly messageBytesMax: number;
}

const MIB = 1_048_576;
/** What one of Node's timers can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const numbers = {
  timeoutMs: { usual: 30_000, min: 1, max: TIMER_MS_MAX },
  attemptsMax: { usual: 5, min: 1, max: 100 },
  inFlightBytesMax: { usual: 64 * MIB, min: MIB, max: 4096 * MIB },
  messageBytesMax: { usual: 101 * MIB, min: MIB, max: 101 * MIB },
} as const;

/** Fills in the defaults. Throws OPTION_INVALID for what is out of its range. */
export function resolveOptions(options: ConnectOptions): ResolvedOptions {
  if (!/^(?:\[[^\]]+\]|[^\s:[\]]+):\d{1,5}$/.test(options.address)) {
    throw optionInvalid("address", "HOST:PORT, or [IPV6]:PORT");
  }
  const number = (name: keyof typeof numbers): number => {
    const { usual, min, max } = numbers[name];
    return requireNumber(name, options[name] ?? usual, min, max);
  };
  return {
    timeoutMs: number("timeoutMs"),
    attemptsMax: number("attemptsMax"),
    batching: options.batching ?? true,
    inFlightBytesMax: number("inFlightBytesMax"),
    messageBytesMax: number("messageBytesMax"),
  };
}

/** The time that a call of its own gives itself, checked. */
export function requireTimeout(timeoutMs: number): number {
  return requireNumber("timeoutMs", timeoutMs, 1, TIMER_MS_MAX);
}

function requireNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw optionInvalid(name, `from ${min} to ${max}`);
}

function optionInvalid(option: string, range: string): KvixError {
  return new KvixError("OPTION_INVALID", `${option} must be ${range}`, {
    metadata: { option, range },
  });
}
