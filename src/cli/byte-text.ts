/**
 * Bytes as text, both ways: keys and values on a command line, in a table and
 * in JSON.
 *
 *     text    UTF-8. Shown, what is not printable becomes \n, \x00, \u{202e}
 *             or, where it is no UTF-8, \xff; a backslash becomes \\
 *     hex     two digits a byte, either case
 *     base64  RFC 4648 with padding
 *
 * What is shown never moves a cursor, colours a terminal or breaks a line.
 */
import { isUtf8 } from "node:buffer";
import { UsageError } from "./usage-error.js";

/** How bytes are written. */
export type ByteFormat = "text" | "hex" | "base64";

const REPLACEMENT = "\ufffd";
// Controls, line and paragraph separators, marks of direction, and what has no glyph at all.
const UNPRINTABLE = /[\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;
const NAMED_ESCAPES: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\\": "\\\\",
};

/** The bytes that `text` means; throws a UsageError that names `option`. */
export function parseByteText(text: string, format: ByteFormat, option: string): Uint8Array {
  switch (format) {
    case "text":
      if (!text.includes(REPLACEMENT)) return Buffer.from(text, "utf8");
      throw fault(option, "is not UTF-8 (or holds U+FFFD); give it with --hex or --base64");
    case "hex":
      if (/^(?:[0-9A-Fa-f]{2})*$/.test(text)) return Buffer.from(text, "hex");
      throw fault(option, "is not hexadecimal: two digits for each byte");
    case "base64":
      if (isBase64(text)) return Buffer.from(text, "base64");
      throw fault(option, "is not base64 with its padding");
  }
}

/** The bytes in one line of printable text. */
export function showBytes(bytes: Uint8Array, format: ByteFormat): string {
  if (format !== "text") return asBuffer(bytes).toString(format);
  return isUtf8(bytes) ? escapeText(asBuffer(bytes).toString("utf8")) : escapeBytes(bytes);
}

/** At most about `lengthMax` characters of the bytes, and whether more follows. */
export function previewBytes(bytes: Uint8Array, format: ByteFormat, lengthMax: number): string {
  // No byte gives more than six characters, and one character never takes more than four bytes.
  const head = bytes.length > lengthMax * 4 ? bytes.subarray(0, lengthMax * 4) : bytes;
  const shown = showBytes(head, format);
  const isAll = head.length === bytes.length && shown.length <= lengthMax;
  return isAll ? shown : `${shown.slice(0, lengthMax - 1)}\u2026`;
}

/**
 * The bytes as a field of a JSON object: `name` where they are UTF-8, else
 * `nameBase64`; with a format asked for, `nameHex` or `nameBase64`.
 */
export function jsonBytes(
  name: string,
  bytes: Uint8Array,
  format: ByteFormat,
): Readonly<Record<string, string>> {
  const buffer = asBuffer(bytes);
  if (format === "hex") return { [`${name}Hex`]: buffer.toString("hex") };
  if (format === "base64" || !isUtf8(bytes)) {
    return { [`${name}Base64`]: buffer.toString("base64") };
  }
  return { [name]: buffer.toString("utf8") };
}

/** Whether a terminal shows the bytes as what they are: UTF-8, no controls but tab and line feed. */
export function isPrintable(bytes: Uint8Array): boolean {
  if (!isUtf8(bytes)) return false;
  const text = asBuffer(bytes)
    .toString("utf8")
    .replaceAll(/[\n\t\\]/g, "");
  return text.search(UNPRINTABLE) === -1;
}

/** Text on one line, whatever it holds. */
export function escapeText(text: string): string {
  return text.replaceAll(UNPRINTABLE, (char) => {
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x80) return NAMED_ESCAPES[char] ?? `\\x${code.toString(16).padStart(2, "0")}`;
    return `\\u{${code.toString(16)}}`;
  });
}

/** Bytes that are no UTF-8: what is, as text; every other byte by its number. */
function escapeBytes(bytes: Uint8Array): string {
  let shown = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    const piece = bytes.subarray(at, at + Math.max(length, 1));
    shown +=
      length === 0
        ? `\\x${(piece[0] ?? 0).toString(16).padStart(2, "0")}`
        : escapeText(asBuffer(piece).toString("utf8"));
    at += piece.length;
  }
  return shown;
}

/** The length of the UTF-8 sequence at `at`; 0: none starts there. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const isWhole = at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length));
  return isWhole ? length : 0;
}

function isBase64(text: string): boolean {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function fault(option: string, problem: string): UsageError {
  return new UsageError([{ option, problem }]);
}
