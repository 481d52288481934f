/** Records and the largest message: what is written must be readable. */
import { KvixError } from "../base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../base/limits.js";
import { recordBytes } from "../format/record.js";
import { fitsMessage } from "./kv-answers.js";

/** What a Set may write, a Get can answer: refuses a record that would not fit an answer. */
export function requireReadable(key: Uint8Array, value: Uint8Array, messageBytesMax: number): void {
  const longest = longestRecord(key.byteLength, value.byteLength);
  if (fitsMessage(longest, messageBytesMax)) return;
  throw recordTooLarge(longest, messageBytesMax, "not-applied");
}

/** Whether `requireReadable` takes a key and a value of these lengths. */
export function isReadable(keyBytes: number, valueBytes: number, messageBytesMax: number): boolean {
  return fitsMessage(longestRecord(keyBytes, valueBytes), messageBytesMax);
}

/** The length of the record with the largest version and times. */
function longestRecord(keyBytes: number, valueBytes: number): number {
  return recordBytes(keyBytes, valueBytes, VERSION_MAX, EXPIRES_AT_MS_MAX, EXPIRES_AT_MS_MAX);
}

/** The error for a record that no message can hold. */
export function recordTooLarge(
  recordBytesNeeded: number,
  messageBytesMax: number,
  outcome: "none" | "not-applied" = "none",
): KvixError {
  const metadata = { recordBytes: recordBytesNeeded, messageBytesMax };
  return new KvixError("RECORD_TOO_LARGE", "", { metadata, outcome });
}
