/** What is wrong with the headers of a call before it begins. */
import type { IncomingHttpHeaders } from "node:http2";
import { KvixError } from "../base/kvix-error.js";

/** The longest that one of Node's timers waits. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Node holds a client to the bound only once it has acknowledged the server's
 * settings, so the first calls of a connection are held to it here.
 */
export function requireMetadata(headers: IncomingHttpHeaders, bytesMax: number): void {
  let bytes = 0;
  for (const name in headers) bytes += name.length + String(headers[name]).length;
  if (bytes <= bytesMax) return;
  const metadata = { field: "metadata", range: `at most ${bytesMax} bytes`, bytes };
  throw new KvixError("FIELD_INVALID", `metadata must be at most ${bytesMax} bytes`, { metadata });
}

/**
 * A timeout that a timer cannot wait is none. grpc-js 1.14 would cut it to 32 bits
 * and, for half of them, answer DEADLINE_EXCEEDED at once.
 */
export function dropEndlessTimeout(headers: IncomingHttpHeaders): void {
  const match = /^(\d{1,8})([HMS])$/.exec(String(headers["grpc-timeout"]));
  if (match === null) return;
  const unitMs = { H: 3_600_000, M: 60_000, S: 1000 }[match[2] as "H" | "M" | "S"];
  if (Number(match[1]) * unitMs > TIMER_MS_MAX) delete headers["grpc-timeout"];
}
