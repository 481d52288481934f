/**
 * Records one a line, as `list`, `scan` and a `get` of several keys print them: the key,
 * a tab, the value; or a JSON object. What is not printable is escaped, so a line is
 * always one record.
 */
import type { Record as StoreRecord } from "../../gen/kvix/v1/kvix_pb.js";
import { type ByteFormat, showBytes } from "./byte-text.js";
import { jsonRecord } from "./record-text.js";

/** A record as an answer with several of them has it. */
export interface FoundRecord {
  readonly record?: StoreRecord | undefined;
  readonly valueOmitted: boolean;
  readonly recordBytes: number;
  readonly unreadable: boolean;
}

/** How records are printed. */
export interface LineStyle {
  readonly format: ByteFormat;
  readonly isJson: boolean;
  readonly keysOnly: boolean;
}

/** A record as a line, without the line feed. */
export function recordLine(found: FoundRecord, style: LineStyle): string {
  if (style.isJson) return JSON.stringify(jsonFound(found, style));
  const key = showBytes(found.record?.key ?? new Uint8Array(0), style.format);
  return style.keysOnly ? key : `${key}\t${shownValue(found, style.format)}`;
}

/** The lines of records, each with its line feed. */
export function recordLines(found: readonly FoundRecord[], style: LineStyle): string {
  return found.map((each) => `${recordLine(each, style)}\n`).join("");
}

/** The value in one line, or in brackets why there is none. */
export function shownValue(found: FoundRecord, format: ByteFormat): string {
  const { record, valueOmitted, recordBytes, unreadable } = found;
  if (unreadable) return "(damaged: kvix get says which bytes)";
  if (valueOmitted) return `(record of ${recordBytes} bytes: get it)`;
  return showBytes(record?.value ?? new Uint8Array(0), format);
}

/** A record as a JSON object. */
export function jsonFound(
  { record, valueOmitted, recordBytes, unreadable }: FoundRecord,
  { format, keysOnly }: LineStyle,
): Readonly<Record<string, unknown>> {
  return {
    ...(record && jsonRecord(record, format, !keysOnly && !valueOmitted)),
    recordBytes,
    ...(valueOmitted && { valueOmitted }),
    ...(unreadable && { unreadable }),
  };
}
