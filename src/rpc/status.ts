/**
 * The one translator between KvixError and gRPC status, in both directions.
 *
 *     grpc-status               the catalogue's status
 *     grpc-message              "REASON: sentence: detail"; for people
 *     grpc-status-details-bin   google.rpc.Status with
 *         ErrorInfo    reason, domain "kvix", metadata and in it `outcome`: always
 *         BadRequest   the field and what it must be: for a wrong field, key or value
 *         RetryInfo    how long to wait: when the same request may be sent again
 *         ResumeInfo   where to go on: of a stream that can be gone on with
 *
 * Clients match on ErrorInfo.reason. All of it together stays below the 8 KiB
 * that some stacks allow in trailers: long texts are cut, here and only here.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Metadata } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { type ResumeInfo, ResumeInfoSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { errorCatalogue, type Outcome, type Reason, StatusCode } from "../base/error-catalogue.js";
import { type ErrorMetadata, KvixError, type ResumePoint } from "../base/kvix-error.js";

/** The domain of every ErrorInfo of kvix. */
export const ERROR_DOMAIN = "kvix";

/** How long a caller waits before it sends the same request again. */
export const RETRY_DELAY_MS = 250;

/** The longest message, and the longest text in ErrorInfo or BadRequest, in UTF-16 units. */
export const MESSAGE_LENGTH_MAX = 1024;
export const METADATA_LENGTH_MAX = 128;

/**
 * The longest key that a ResumeInfo bears, in bytes. With a longer one the detail is
 * left out, for a part of the key would be another place: its client goes on behind the
 * last key that it was sent.
 */
export const RESUME_KEY_BYTES_MAX = 1024;

const METADATA_ENTRIES_MAX = 16;
const DETAILS_KEY = "grpc-status-details-bin";
const OUTCOME_KEY = "outcome";
const OUTCOMES: readonly string[] = ["none", "not-applied", "applied", "unknown"];

/** The field that a reason is about when its metadata names none. */
const FIELD_OF_REASON: Readonly<Partial<Record<Reason, string>>> = {
  KEY_EMPTY: "key",
  KEY_TOO_LARGE: "key",
  VALUE_TOO_LARGE: "value",
};

/** A failed call in grpc-js's terms; fits a handler's callback and a client's ServiceError. */
export interface CallStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/**
 * A status that somebody else's protocol asks for (health says NOT_FOUND for a
 * service it does not know). It carries no details of kvix's.
 */
export class ForeignStatus extends Error {
  override readonly name = "ForeignStatus";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** The status that tells a client of `error`. */
export function toCallStatus(error: KvixError | ForeignStatus): CallStatus {
  if (error instanceof ForeignStatus) {
    return { code: error.code, details: error.message, metadata: new Metadata() };
  }
  const status = statusOf(error);
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(toBinary(StatusSchema, status)));
  return { code: status.code, details: status.message, metadata };
}

/** The encoded google.rpc.Status of an error that is told inside a message. */
export function encodeStatus(error: KvixError): Uint8Array {
  return toBinary(StatusSchema, statusOf(error));
}

/**
 * The error that a kvix server told of, or undefined if the status is none of
 * kvix's: a transport's own, or with a reason that this build does not know.
 * Metadata comes back as strings.
 */
export function fromCallStatus(status: CallStatus): KvixError | undefined {
  return errorOf(detailsIn(status.metadata), status.details);
}

/** The error that a message tells of, or undefined, as for `fromCallStatus`. */
export function fromStatus(status: Status): KvixError | undefined {
  return errorOf(detailsIn(status), status.message);
}

function statusOf(error: KvixError): Status {
  const code = StatusCode[error.row.status];
  const message = bounded(error.message, MESSAGE_LENGTH_MAX);
  return create(StatusSchema, { code, message, details: detailsOf(error) });
}

function errorOf({ info, resume }: Details, message: string): KvixError | undefined {
  if (info?.domain !== ERROR_DOMAIN || !Object.hasOwn(errorCatalogue, info.reason)) {
    return undefined;
  }
  const reason = info.reason as Reason;
  const { [OUTCOME_KEY]: outcome = "", ...metadata } = info.metadata;
  return new KvixError(reason, detailIn(message, reason), {
    metadata,
    resume,
    ...(OUTCOMES.includes(outcome) && { outcome: outcome as Outcome }),
  });
}

function detailsOf(error: KvixError): Any[] {
  const info = create(ErrorInfoSchema, {
    reason: error.reason,
    domain: ERROR_DOMAIN,
    metadata: { ...onTheWire(error.metadata), [OUTCOME_KEY]: error.outcome },
  });
  const details = [anyPack(ErrorInfoSchema, info)];
  const field = fieldOf(error);
  if (field !== undefined) {
    const description = bounded(violationOf(error), METADATA_LENGTH_MAX);
    const badRequest = create(BadRequestSchema, { fieldViolations: [{ field, description }] });
    details.push(anyPack(BadRequestSchema, badRequest));
  }
  if (error.retry === "after-delay") {
    const retryInfo = create(RetryInfoSchema, { retryDelay: durationFromMs(RETRY_DELAY_MS) });
    details.push(anyPack(RetryInfoSchema, retryInfo));
  }
  const resume = error.resume && resumeInfo(error.resume);
  if (resume !== undefined) details.push(anyPack(ResumeInfoSchema, resume));
  return details;
}

function resumeInfo({ afterKey, afterVersion, historyFloor }: ResumePoint): ResumeInfo | undefined {
  if (afterKey !== undefined && afterKey.length > RESUME_KEY_BYTES_MAX) return undefined;
  return create(ResumeInfoSchema, {
    afterKey: afterKey ?? new Uint8Array(0),
    afterVersion: BigInt(afterVersion ?? 0),
    historyFloor: BigInt(historyFloor ?? 0),
  });
}

/** The request's field that is to blame, where one is. */
function fieldOf(error: KvixError): string | undefined {
  if (error.row.status !== "INVALID_ARGUMENT") return undefined;
  const named = error.metadata["field"];
  return typeof named === "string" ? named : FIELD_OF_REASON[error.reason];
}

/** What the field must be: the error's own range, or what the reason says. */
function violationOf(error: KvixError): string {
  const range = error.metadata["range"];
  return range === undefined ? error.row.sentence : `must be ${range}`;
}

function onTheWire(metadata: ErrorMetadata): Record<string, string> {
  const entries = Object.entries(metadata).slice(0, METADATA_ENTRIES_MAX);
  return Object.fromEntries(
    entries.map(([key, value]) => [key, bounded(String(value), METADATA_LENGTH_MAX)]),
  );
}

/** At most `lengthMax` of the text, and well-formed: half a surrogate pair has no UTF-8. */
function bounded(text: string, lengthMax: number): string {
  return Buffer.from(text.slice(0, lengthMax), "utf8").toString("utf8");
}

/** What a status tells beside its code and message. */
interface Details {
  info?: ErrorInfo;
  resume?: ResumePoint;
}

function detailsIn(carrier: Metadata | Status): Details {
  const found: Details = {};
  try {
    for (const detail of carrier instanceof Metadata
      ? detailsOnTheWire(carrier)
      : carrier.details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (info !== undefined) found.info ??= info;
      const resume = anyUnpack(detail, ResumeInfoSchema);
      if (resume !== undefined) {
        const { afterKey, afterVersion, historyFloor } = resume;
        found.resume = {
          afterKey,
          afterVersion: Number(afterVersion),
          historyFloor: Number(historyFloor),
        };
      }
    }
  } catch {
    // Bytes that are no google.rpc.Status tell nothing; the bare status stands.
  }
  return found;
}

function detailsOnTheWire(metadata: Metadata): readonly Any[] {
  const [bytes] = metadata.get(DETAILS_KEY);
  return Buffer.isBuffer(bytes) ? fromBinary(StatusSchema, bytes).details : [];
}

/** What a message says after its reason and sentence. */
function detailIn(message: string, reason: Reason): string {
  const opening = `${reason}: ${errorCatalogue[reason].sentence}`;
  if (message === opening) return "";
  return message.startsWith(`${opening}: `) ? message.slice(opening.length + 2) : message;
}
