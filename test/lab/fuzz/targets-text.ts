/** Decoders of what people and clients send as text, and of the details of a status. */
import { Metadata } from "@grpc/grpc-js";
import { errorCatalogue } from "../../../src/base/error-catalogue.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import { parseAddress } from "../../../src/cli/address.js";
import { escapeText, parseByteText, showBytes } from "../../../src/cli/byte-text.js";
import {
  formatBytesExactly,
  formatDurationExactly,
  parseBytesQuantity,
  parseDuration,
  parseInstant,
} from "../../../src/cli/quantity.js";
import { UsageError } from "../../../src/cli/usage-error.js";
import { fromCallStatus, toCallStatus } from "../../../src/rpc/status.js";
import { pageToken, placeOfToken } from "../../../src/service/page-token.js";
import { areSame, type FuzzTarget, requireThat } from "./fuzz-target.js";

const textsOf = (...texts: readonly string[]): Uint8Array[] =>
  texts.map((text) => Buffer.from(text));

const scope = [
  "List",
  Buffer.from("user:"),
  Buffer.alloc(0),
  Buffer.alloc(0),
  false,
  true,
] as const;

/** The token of a page. */
export const tokenTarget: FuzzTarget = {
  name: "page token",
  sentence: "a page token: FIELD_INVALID, or the one token of its place",
  lengthMax: 200,
  executions: 40_000,
  seeds: () =>
    ["a", "user:1", "\0\xff"].map((key) => Buffer.from(pageToken(scope, Buffer.from(key)))),
  execute(bytes) {
    const token = Buffer.from(bytes).toString("latin1");
    try {
      const place = placeOfToken(scope, token);
      requireThat(pageToken(scope, place) === token, "a place has two tokens");
    } catch (error) {
      const isStated = error instanceof KvixError && error.reason === "FIELD_INVALID";
      if (!isStated) throw error;
    }
    // Any place has a token, and gives itself back.
    if (bytes.length === 0) return undefined;
    const back = placeOfToken(scope, pageToken(scope, bytes));
    requireThat(back !== undefined && areSame(back, bytes), "a token leads elsewhere");
    return undefined;
  },
};

/** Sizes, durations, instants, addresses, and bytes written as text. */
export const quantityTarget: FuzzTarget = {
  name: "command text",
  sentence:
    "sizes, durations, instants, addresses and bytes on a command line: none, or whole numbers and bytes that are written back",
  lengthMax: 60,
  executions: 40_000,
  seeds: () =>
    textsOf(
      ...["64MiB", "4096 B", "1h30m", "90s", "2027-01-31T12:00:00.5+02:00", "[::1]:5849"],
      ...["localhost:80", "00ffAb", "aGVsbG8=", "k\u00fc\\\n"],
    ),
  execute(bytes) {
    const text = Buffer.from(bytes).toString("utf8");
    const size = parseBytesQuantity(text);
    if (size !== undefined) {
      requireThat(Number.isSafeInteger(size) && size >= 0, "a size that is no whole number");
      requireThat(parseBytesQuantity(formatBytesExactly(size)) === size, "a size changes");
    }
    const ms = parseDuration(text, "ms");
    if (ms !== undefined) {
      requireThat(Number.isSafeInteger(ms) && ms >= 0, "a duration that is no whole number");
      requireThat(parseDuration(formatDurationExactly(ms)) === ms, "a duration changes");
    }
    const instant = parseInstant(text);
    requireThat(instant === undefined || instant.nanos < 1e9, "an instant of more than a second");
    const address = parseAddress(text);
    requireThat(address === undefined || address.port <= 65_535, "a port that is none");
    checkByteText(text, bytes);
    return undefined;
  },
};

function checkByteText(text: string, bytes: Uint8Array): void {
  for (const format of ["text", "hex", "base64"] as const) {
    try {
      const parsed = parseByteText(text, format, "--value");
      const shown =
        format === "text" ? Buffer.from(parsed).toString("utf8") : showBytes(parsed, format);
      const isHex = format === "hex";
      const isSame = isHex ? shown === text.toLowerCase() : shown === text;
      // Base64 leaves the last bits of its last letter open, and so does no writer.
      requireThat(isSame || format === "base64", `${format} is shown otherwise`);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }
  const shown = showBytes(bytes, "text");
  requireThat(!/[\p{Cc}\p{Cf}]/u.test(shown), "bytes are shown with a control character");
  requireThat(escapeText(text).length >= text.length, "an escape loses text");
}

const DETAILS_KEY = "grpc-status-details-bin";

/** What a server says of an error, as a client reads it. */
export const statusTarget: FuzzTarget = {
  name: "status",
  sentence: "the details of a status, as a client reads them: a reason of the catalogue, or none",
  lengthMax: 600,
  executions: 20_000,
  seeds: () =>
    [
      new KvixError("KEY_EMPTY"),
      new KvixError("OVERLOADED", "busy", { metadata: { file: "x" } }),
    ].map((error) => toCallStatus(error).metadata.get(DETAILS_KEY)[0] as Buffer),
  execute(bytes) {
    const metadata = new Metadata();
    metadata.set(DETAILS_KEY, Buffer.from(bytes));
    const error = fromCallStatus({ code: 3, details: "KEY_EMPTY: x", metadata });
    requireThat(error === undefined || error.reason in errorCatalogue, "a reason that is none");
    if (error !== undefined) toCallStatus(error);
    return undefined;
  },
};
