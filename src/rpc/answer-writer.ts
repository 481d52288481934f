/**
 * Writes an answer around a record that is encoded already.
 *
 *     tag | scalar ...  tag | length | the record's bytes as they lie on disk  tag | scalar ...
 *
 * Fields are written in ascending order and defaults are left out, which makes
 * the bytes those of the generated encoder; a test holds the two together.
 * Every field of an answer has a number below 16, so a tag is one byte.
 */
import { varintBytes, writeVarint } from "../format/varint.js";

/** What the fields of any answer take beside the record's own bytes, at most. */
export const ANSWER_OVERHEAD_BYTES_MAX = 64;

const WIRE_VARINT = 0;
const WIRE_LENGTH_DELIMITED = 2;
const NANOS_PER_MS = 1_000_000;

/** One answer in the making. */
export class AnswerWriter {
  readonly #bytes: Uint8Array;
  #end = 0;

  /**
   * `recordBytes`: the length of the record that will be written, or of all of
   * them with what lies around each; 0 without one.
   */
  constructor(recordBytes: number) {
    this.#bytes = Buffer.allocUnsafe(ANSWER_OVERHEAD_BYTES_MAX + recordBytes);
  }

  bool(field: number, value: boolean): void {
    if (value) this.uint(field, 1);
  }

  /** A whole number below 2^49. */
  uint(field: number, value: number): void {
    if (value !== 0) this.#end = writeUint(this.#bytes, this.#end, field, value);
  }

  /** A whole number of 64 bits, signed. */
  int64(field: number, value: bigint): void {
    if (value === 0n) return;
    this.#tag(field, WIRE_VARINT);
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes[this.#end++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#end++] = Number(rest);
  }

  /** A Timestamp of Unix milliseconds; 0 is none. */
  timestamp(field: number, ms: number): void {
    if (ms === 0) return;
    const seconds = Math.floor(ms / 1000);
    const nanos = (ms % 1000) * NANOS_PER_MS;
    const secondsBytes = seconds === 0 ? 0 : 1 + varintBytes(seconds);
    const nanosBytes = nanos === 0 ? 0 : 1 + varintBytes(nanos);
    this.header(field, secondsBytes + nanosBytes);
    this.uint(1, seconds);
    this.uint(2, nanos);
  }

  /** A message whose bytes are `parts` one after the other. */
  message(field: number, parts: readonly Uint8Array[]): void {
    this.header(
      field,
      parts.reduce((sum, part) => sum + part.byteLength, 0),
    );
    for (const part of parts) this.bytes(part);
  }

  /** Tag and length of a message whose fields, `lengthBytes` in all, are written next. */
  header(field: number, lengthBytes: number): void {
    this.#end = writeHeader(this.#bytes, this.#end, field, lengthBytes);
  }

  /** Bytes of a field whose tag and length are written. */
  bytes(content: Uint8Array): void {
    this.#bytes.set(content, this.#end);
    this.#end += content.byteLength;
  }

  /** The bytes written. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  #tag(field: number, wireType: number): void {
    this.#bytes[this.#end++] = (field << 3) | wireType;
  }
}

/** Writes tag and length of a field of bytes at `at`; answers where its bytes begin. */
export function writeHeader(
  bytes: Uint8Array,
  at: number,
  field: number,
  lengthBytes: number,
): number {
  bytes[at] = (field << 3) | WIRE_LENGTH_DELIMITED;
  return writeVarint(bytes, at + 1, lengthBytes);
}

/** Writes a whole number below 2^49, other than 0, at `at`; answers where it ends. */
export function writeUint(bytes: Uint8Array, at: number, field: number, value: number): number {
  bytes[at] = (field << 3) | WIRE_VARINT;
  return writeVarint(bytes, at + 1, value);
}
