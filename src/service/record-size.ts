/** Records and the largest message: what is written must be readable. */
import { KvixError } from "../base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../base/limits.js";
import { recordBytes } from "../format/record.js";
import { fitsMessage } from "./kv-answers.js";

/** What a Set may write, a Get can answer: refuses a record that would not fit an answer. */
export function requireReadable(key: Uint8Array, value: Uint8Array, messageBytesMax: number): void {
  const longest = recordBytes(
    key.byteLength,
    value.byteLength,
    VERSION_MAX,
    EXPIRES_AT_MS_MAX,
    EXPIRES_AT_MS_MAX,
  );
  if (fitsMessage(longest, messageBytesMax)) return;
  throw recordTooLarge(longest, messageBytesMax, "not-applied");
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
