/**
 * Sizes, durations and instants as people write them.
 *
 *     64MiB, 1GiB, 512KiB, 4096, 4096B       bytes: powers of 1024
 *     100ms, 90s, 15m, 5h, 7d, 1h30m         durations
 *     2027-01-31T12:00:00Z, ...+02:00        instants (RFC 3339)
 *
 * Whole numbers only; nothing is rounded, nothing is guessed. What cannot be
 * read is undefined, and the caller says what it must be.
 */

const BYTE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** The units that a size may have, for messages. */
export const byteUnitNames = Object.keys(BYTE_UNITS).join(", ");
/** The units that a duration may have, for messages. */
export const durationUnitNames = Object.keys(DURATION_UNITS).join(", ");

/** Bytes; a bare number is bytes. */
export function parseBytesQuantity(text: string): number | undefined {
  const match = /^(\d+)\s?([A-Za-z]*)$/.exec(text);
  const factor = BYTE_UNITS[match?.[2] || "B"];
  return match === null || factor === undefined ? undefined : safe(Number(match[1]) * factor);
}

/** Milliseconds; several units add up. `bareUnit` is what a number without one means. */
export function parseDuration(text: string, bareUnit?: "ms"): number | undefined {
  if (bareUnit !== undefined && /^\d+$/.test(text)) return safe(Number(text));
  if (!/^(?:\d+(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, count, unit = ""] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    ms += Number(count) * (DURATION_UNITS[unit] ?? Number.NaN);
  }
  return safe(ms);
}

/** An instant in the proto's terms. */
export interface Instant {
  readonly seconds: bigint;
  readonly nanos: number;
}

const INSTANT =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})$/i;

/** An instant with its offset from UTC, to the nanosecond. A day that no month has is none. */
export function parseInstant(text: string): Instant | undefined {
  const match = INSTANT.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second = "00", fraction = "", zone = "Z"] = match;
  const local = `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
  const localMs = Date.parse(local);
  // A date that rolls over into the next month comes back as another one.
  if (Number.isNaN(localMs) || !new Date(localMs).toISOString().startsWith(local.slice(0, 19))) {
    return undefined;
  }
  const offset = zone.toUpperCase() === "Z" ? 0 : offsetMinutes(zone);
  if (offset === undefined) return undefined;
  const seconds = BigInt(localMs / 1000 - offset * 60);
  return { seconds, nanos: Number(fraction.padEnd(9, "0")) };
}

function offsetMinutes(zone: string): number | undefined {
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4, 6));
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
}

function safe(value: number): number | undefined {
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A size in the largest unit that divides it: "64MiB". `parseBytesQuantity` reads it back. */
export function formatBytesExactly(bytes: number): string {
  const unit = Object.entries(BYTE_UNITS)
    .reverse()
    .find(([, size]) => bytes >= size && bytes % size === 0);
  return unit === undefined ? `${bytes}B` : `${bytes / unit[1]}${unit[0]}`;
}

/** A duration in the largest unit that divides it: "90s". `parseDuration` reads it back. */
export function formatDurationExactly(ms: number): string {
  const unit = Object.entries(DURATION_UNITS)
    .reverse()
    .find(([, size]) => ms >= size && ms % size === 0);
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`;
}

/** A size for reading, rounded: "1.4 GiB". */
export function formatBytes(bytes: number): string {
  const [name, size] = Object.entries(BYTE_UNITS)
    .reverse()
    .find(([, each]) => bytes >= each) ?? ["B", 1];
  if (size === 1) return `${bytes} B`;
  return `${(bytes / size).toFixed(1)} ${name}`;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** What a number of 64 bits must be, for messages. */
export const INT64_RANGE = `a whole number from ${INT64_MIN} to ${INT64_MAX}`;

/** A number of 64 bits. */
export function parseInt64(text: string): bigint | undefined {
  if (!/^-?\d{1,19}$/.test(text)) return undefined;
  const number = BigInt(text);
  return number >= INT64_MIN && number <= INT64_MAX ? number : undefined;
}

/** A number of 64 bits in JSON: text where a reader of doubles would round it. */
export function jsonInt64(number: bigint): number | string {
  const rounded = Number(number);
  return Number.isSafeInteger(rounded) ? rounded : String(number);
}
