/**
 * What the transport refuses, as a KvixError: the client's side of the catalogue. A
 * server tells of its own errors (status.ts); what is left is a status without
 * details, from grpc-js, from a proxy, or from a server that is none of kvix's.
 *
 *     UNAVAILABLE, never sent     UNREACHABLE         not-applied
 *     UNAVAILABLE                 CONNECTION_LOST     unknown
 *     DEADLINE_EXCEEDED           DEADLINE_PASSED     unknown, or not-applied if never sent
 *     CANCELLED                   CANCELLED           unknown
 *     RESOURCE_EXHAUSTED          MESSAGE_TOO_LARGE   unknown
 *     all else                    NOT_UNDERSTOOD      unknown
 *
 * Of a call that changes nothing the outcome is "none", whatever happened.
 *
 * Whether a request was sent is told by grpc-js's own words alone. They are read so
 * that a doubt is "unknown": only what names a failed connection counts as not sent.
 */
import type { Outcome, Reason } from "../base/error-catalogue.js";
import { KvixError } from "../base/kvix-error.js";

/** What grpc-js throws. */
interface TransportError extends Error {
  readonly code: number;
  readonly details: string;
}

const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;

/** grpc-js says so when no connection could be made; a request that was sent has none of it. */
const NEVER_SENT = /^(?:No connection established|Name resolution failed)/;
/** It says so of a call whose time was over while it waited for a connection. */
const NEVER_CONNECTED = /^Deadline exceeded.*Waiting for LB pick/;

/** Whether an error is grpc-js's own, and not the KvixError of a server. */
export function isTransportError(error: unknown): error is TransportError {
  return error instanceof Error && "code" in error && typeof error.code === "number";
}

/**
 * The KvixError for what a call failed with; KvixErrors pass. `isRead`: the call
 * changes nothing.
 */
export function asClientError(error: unknown, isRead: boolean): KvixError {
  if (error instanceof KvixError) return error;
  if (!isTransportError(error)) {
    return new KvixError("NOT_UNDERSTOOD", "", { cause: error, ...(isRead && NONE) });
  }
  const [reason, outcome] = reasonOf(error);
  return new KvixError(reason, error.details, {
    cause: error,
    metadata: { status: error.code },
    outcome: isRead ? "none" : outcome,
  });
}

const NONE = { outcome: "none" } as const;

function reasonOf({ code, details }: TransportError): [Reason, Outcome] {
  switch (code) {
    case UNAVAILABLE:
      return NEVER_SENT.test(details)
        ? ["UNREACHABLE", "not-applied"]
        : ["CONNECTION_LOST", "unknown"];
    case DEADLINE_EXCEEDED:
      return ["DEADLINE_PASSED", NEVER_CONNECTED.test(details) ? "not-applied" : "unknown"];
    case CANCELLED:
      return ["CANCELLED", "unknown"];
    case RESOURCE_EXHAUSTED:
      return ["MESSAGE_TOO_LARGE", "unknown"];
    default:
      return ["NOT_UNDERSTOOD", "unknown"];
  }
}
