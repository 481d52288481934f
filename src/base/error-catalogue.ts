/**
 * Every way in which kvix says no: one row per ErrorReason of the proto.
 *
 * The record is total over the enum, so a reason without a row does not
 * compile. Laws that a test holds: FAILED_PRECONDITION is never retried;
 * ABORTED is retried at a higher level only; an unknown outcome is never
 * retried blindly.
 */
import type { ErrorReason } from "../../gen/kvix/v1/kvix_pb.js";

/** The name of a reason: the proto's enum value without its prefix. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** gRPC's status codes, by number; base code knows no gRPC library. */
export const StatusCode = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** The name of a gRPC status code. */
export type StatusName = keyof typeof StatusCode;

/** What the caller may assume of the write that failed; "none": the call writes nothing. */
export type Outcome = "none" | "not-applied" | "applied" | "unknown";

/**
 * What the caller may do: nothing but tell its user; send the same request
 * again after a delay; or read anew and decide again.
 */
export type Retry = "never" | "after-delay" | "higher-level";

/** What is true of every error with the same reason. */
export interface ErrorRow {
  readonly status: StatusName;
  readonly outcome: Outcome;
  readonly retry: Retry;
  /** What it means; stable enough to read, not to match on. */
  readonly sentence: string;
  /** What the operator of the store does about it; empty where the caller is at fault. */
  readonly operator: string;
}

const row = (
  status: StatusName,
  outcome: Outcome,
  retry: Retry,
  sentence: string,
  operator = "",
): ErrorRow => ({ status, outcome, retry, sentence, operator });

/** The catalogue; docs/api.md is held against it by a test. */
export const errorCatalogue: Readonly<Record<Reason, ErrorRow>> = {
  KEY_EMPTY: row("INVALID_ARGUMENT", "not-applied", "never", "the key is empty"),
  KEY_TOO_LARGE: row(
    "INVALID_ARGUMENT",
    "not-applied",
    "never",
    "the key is longer than 65,535 bytes",
  ),
  VALUE_TOO_LARGE: row(
    "INVALID_ARGUMENT",
    "not-applied",
    "never",
    "the value is longer than 104,857,600 bytes",
  ),
  BATCH_TOO_LARGE: row(
    "INVALID_ARGUMENT",
    "not-applied",
    "never",
    "the batch has more mutations or bytes than one may have",
  ),
  FIELD_INVALID: row(
    "INVALID_ARGUMENT",
    "not-applied",
    "never",
    "a field is missing, malformed or out of range",
  ),
  OPTION_INVALID: row(
    "INVALID_ARGUMENT",
    "none",
    "never",
    "an option is unknown, malformed or out of range",
    "Correct the option that the message names.",
  ),
  NOT_TEXT: row(
    "FAILED_PRECONDITION",
    "none",
    "never",
    "the stored value is not UTF-8; read it through KvService",
  ),
  RECORD_TOO_LARGE: row(
    "FAILED_PRECONDITION",
    "none",
    "never",
    "the record is larger than a message may be",
    "Raise the message limit, or have the client download the record in chunks.",
  ),
  OVERLOADED: row(
    "RESOURCE_EXHAUSTED",
    "not-applied",
    "after-delay",
    "more calls wait than the store will queue",
    "Lower the load, or find out what slows the disk.",
  ),
  NO_SPACE: row(
    "RESOURCE_EXHAUSTED",
    "not-applied",
    "never",
    "the disk has less free space than the store keeps back",
    "Free or add disk space; deletes go on, and writes resume by themselves.",
  ),
  INDEX_FULL: row(
    "RESOURCE_EXHAUSTED",
    "not-applied",
    "never",
    "the index has reached its limit and takes no new key",
    "Raise --max-index-bytes, or delete keys; overwrites and deletes go on.",
  ),
  WRITE_FAILED: row(
    "INTERNAL",
    "not-applied",
    "after-delay",
    "the disk refused the write, and it was taken back",
    "Look at the system's log for the disk's own error.",
  ),
  SYNC_FAILED: row(
    "UNKNOWN",
    "unknown",
    "never",
    "the write reached the log, but whether it is durable is unknown",
    "The store is read-only now. Check the disk, then restart; the log decides what was kept.",
  ),
  STORE_READ_ONLY: row(
    "FAILED_PRECONDITION",
    "not-applied",
    "never",
    "the store takes no writes since a sync failed",
    "Check the disk, then restart.",
  ),
  STORE_STARTING: row(
    "UNAVAILABLE",
    "not-applied",
    "after-delay",
    "the store is still opening",
    "Wait; the log shows how far it is.",
  ),
  STORE_CLOSING: row(
    "UNAVAILABLE",
    "not-applied",
    "after-delay",
    "the store is closing or closed",
    "Nothing, if the stop was meant.",
  ),
  STORE_LOCKED: row(
    "FAILED_PRECONDITION",
    "none",
    "never",
    "another process has the directory open",
    "Stop the other process, or choose another directory.",
  ),
  LOCK_UNAVAILABLE: row(
    "FAILED_PRECONDITION",
    "none",
    "never",
    "this system offers no lock that a killed process gives back",
    "Install util-linux (its flock command), or use Linux or macOS.",
  ),
  FORMAT_TOO_NEW: row(
    "FAILED_PRECONDITION",
    "none",
    "never",
    "the directory was written by a newer kvix",
    "Run the newer kvix; nothing was changed.",
  ),
  STORE_MISMATCH: row(
    "FAILED_PRECONDITION",
    "none",
    "never",
    "the segment directory belongs to another store",
    "Name the segment directory that goes with the data directory.",
  ),
  MANIFEST_DAMAGED: row(
    "FAILED_PRECONDITION",
    "none",
    "never",
    "the directory holds a store's files but no sound manifest",
    "Restore the directory from a backup, or run the repair that the message names.",
  ),
  STORE_DAMAGED: row(
    "DATA_LOSS",
    "none",
    "never",
    "damage was found, and the store was told to refuse it",
    "Restore from a backup, or open with --recovery=degraded to serve what is left.",
  ),
  INDEX_LIMIT_TOO_SMALL: row(
    "RESOURCE_EXHAUSTED",
    "none",
    "never",
    "the index limit is too small for the keys in the store",
    "Raise --max-index-bytes to at least the figure in the message.",
  ),
  VERSIONS_EXHAUSTED: row(
    "FAILED_PRECONDITION",
    "not-applied",
    "never",
    "the store has used its last version number",
    "Copy the records into a new store.",
  ),
  SEGMENTS_EXHAUSTED: row(
    "FAILED_PRECONDITION",
    "not-applied",
    "never",
    "the store has 65,536 live segments",
    "Compact, or move to larger segments.",
  ),
  RECORD_CORRUPT: row(
    "DATA_LOSS",
    "none",
    "never",
    "the record's bytes on disk are damaged",
    "Restore the record from a backup or write it anew; check the disk.",
  ),
  PREVIOUS_CORRUPT: row(
    "DATA_LOSS",
    "applied",
    "never",
    "the write was applied, but what it is to be answered with is damaged or could not be read",
    "Check the disk.",
  ),
  READ_FAILED: row(
    "INTERNAL",
    "none",
    "after-delay",
    "the disk refused to read",
    "Look at the system's log for the disk's own error.",
  ),
  OPEN_FAILED: row(
    "INTERNAL",
    "none",
    "never",
    "the directory or a file in it could not be read or made",
    "Correct what the message names: path, owner, permissions, space.",
  ),
  CANCELLED: row(
    "CANCELLED",
    "not-applied",
    "never",
    "the caller gave up before the write was handed to the log",
  ),
  INTERNAL_BUG: row(
    "INTERNAL",
    "unknown",
    "never",
    "a defect in kvix",
    "Report it with the log lines that carry the same id.",
  ),
  REQUEST_TOO_SLOW: row(
    "DEADLINE_EXCEEDED",
    "not-applied",
    "after-delay",
    "the request did not arrive in the time that the server gives it",
    "Raise the message timeout if clients send large values over slow networks.",
  ),
  SNAPSHOT_ENDED: row(
    "ABORTED",
    "none",
    "higher-level",
    "the point in time that was read is given up; go on behind the last key at a newer one",
    "None, unless it comes often: then readers are slow, or much is overwritten meanwhile.",
  ),
  HISTORY_LOST: row(
    "OUT_OF_RANGE",
    "none",
    "higher-level",
    "the changes after that version are no longer all there; read anew and go on from there",
    "Raise --watch-retention if watchers are away for longer.",
  ),
  NOT_A_NUMBER: row(
    "FAILED_PRECONDITION",
    "not-applied",
    "never",
    "the stored value is not the decimal text of a 64-bit integer",
  ),
  NUMBER_OVERFLOW: row(
    "OUT_OF_RANGE",
    "not-applied",
    "never",
    "the sum does not fit a 64-bit integer",
  ),
  REQUEST_ID_REUSED: row(
    "INVALID_ARGUMENT",
    "not-applied",
    "never",
    "the request id belongs to another request",
  ),
  UPLOAD_MISMATCH: row(
    "INVALID_ARGUMENT",
    "not-applied",
    "never",
    "what was uploaded is not what was announced",
  ),
  REQUEST_IDS_FULL: row(
    "RESOURCE_EXHAUSTED",
    "not-applied",
    "after-delay",
    "as many request ids are remembered as the store can",
    "Send fewer requests with an id, or keep less history: --watch-retention.",
  ),
  UNREACHABLE: row(
    "UNAVAILABLE",
    "not-applied",
    "after-delay",
    "there is no connection to the server, and nothing was sent",
    "Start the server, or name the one that is meant.",
  ),
  CONNECTION_LOST: row(
    "UNAVAILABLE",
    "unknown",
    "never",
    "the connection broke before the answer came",
    "Find out what ends connections: the network, a proxy, or the server itself.",
  ),
  DEADLINE_PASSED: row(
    "DEADLINE_EXCEEDED",
    "unknown",
    "never",
    "the time that the caller gave the call is over",
  ),
  MESSAGE_TOO_LARGE: row(
    "RESOURCE_EXHAUSTED",
    "unknown",
    "never",
    "a message is larger than the transport takes",
    "Raise the message limit on both sides, or upload and download such values.",
  ),
  NOT_UNDERSTOOD: row(
    "UNKNOWN",
    "unknown",
    "never",
    "what was answered is none of kvix's answers",
    "Is it kvix that listens there, and of this version?",
  ),
};
