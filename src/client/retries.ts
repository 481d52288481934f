/**
 * What is tried again: what the catalogue of errors allows, and no more.
 *
 *     nothing was written, and the catalogue says after-delay       again
 *     the connection broke, and the call changes nothing            again
 *     the outcome is unknown, and the request has an id             again: a repeat of it
 *                                                                   changes nothing
 *     the outcome is unknown otherwise, or the time is over         the caller hears of it
 *
 * Waits double from 50 ms to 2 s, each drawn between half of it and all of it, so
 * that clients that failed together do not come back together; where the catalogue
 * says after-delay they begin at 250 ms, as the server asks for.
 */
import { KvixError } from "../base/kvix-error.js";
import type { Clock, Entropy } from "../host/host.js";
import { RETRY_DELAY_MS } from "../rpc/status.js";

/** How a call may be repeated. */
export type Repeatable =
  /** It changes nothing. */
  | "read"
  /** It bears a request id. */
  | "named"
  /** A repeat is another write. */
  | "write";

/** When to give up. */
export interface Limits {
  /** Monotonic milliseconds. */
  readonly dueMs: number;
  readonly attemptsMax: number;
  readonly signal: AbortSignal | undefined;
}

const WAIT_MS_MIN = 50;
const WAIT_MS_MAX = 2000;

/** Whether the call may be sent again after this error. */
export function mayRepeat(error: KvixError, repeatable: Repeatable): boolean {
  if (error.retry === "after-delay") return true;
  if (error.reason !== "CONNECTION_LOST" && error.reason !== "UNREACHABLE") return false;
  return repeatable !== "write";
}

/** Calls until it succeeds, may not be repeated, or its limits are reached. */
export async function withRetries<Result>(
  call: () => Promise<Result>,
  repeatable: Repeatable,
  limits: Limits,
  host: { readonly clock: Clock; readonly entropy: Entropy },
): Promise<Result> {
  /** Whether an attempt before this one may have been applied. */
  let isUnknown = false;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      // Whoever throws here has made KvixErrors of them.
      const refusal = error as KvixError;
      isUnknown ||= refusal.outcome === "unknown";
      const isLast = attempt >= limits.attemptsMax || !mayRepeat(refusal, repeatable);
      const pauseMs = isLast ? 0 : nextWaitMs(refusal, attempt, host.entropy);
      if (isLast || host.clock.monotonicMs() + pauseMs >= limits.dueMs) {
        throw isUnknown ? asUnknown(refusal) : refusal;
      }
      await host.clock.sleep(pauseMs, limits.signal);
      if (limits.signal?.aborted === true) throw isUnknown ? asUnknown(refusal) : refusal;
    }
  }
}

/** The last refusal says "not applied" of its own attempt; of an earlier one nobody knows. */
function asUnknown(error: KvixError): KvixError {
  if (error.outcome === "unknown" || error.outcome === "applied") return error;
  const { reason, metadata, message } = error;
  const told = new KvixError(reason, "", { metadata, cause: error, outcome: "unknown" });
  told.message = message;
  return told;
}

function nextWaitMs(error: KvixError, attempt: number, entropy: Entropy): number {
  const least = error.row.retry === "after-delay" ? RETRY_DELAY_MS : WAIT_MS_MIN;
  return waitMs(attempt, entropy, least);
}

/** How long to wait after so many failures in a row, in milliseconds. */
export function waitMs(failures: number, entropy: Entropy, leastMs = WAIT_MS_MIN): number {
  const most = Math.min(WAIT_MS_MAX, leastMs * 2 ** Math.min(failures - 1, 16));
  const [draw = 0] = entropy.bytes(1);
  return Math.ceil((most / 2) * (1 + draw / 255));
}
