/**
 * What becomes of a throw that nobody foresaw: the client learns an id, the log
 * learns the id and where it happened. The error's own message goes to neither:
 * it may quote a key or a value (V12).
 */
import { KvixError } from "../base/kvix-error.js";
import { errorCode } from "../host/file-system.js";
import type { Host } from "../host/host.js";

/** What a report needs of the machine. */
export type BugHost = Pick<Host, "entropy" | "log">;

const BUG_ID_BYTES = 8;

/** The error itself if it is a KvixError, else an INTERNAL_BUG that the log has the stack of. */
export function asKvixError(error: unknown, host: BugHost): KvixError {
  if (error instanceof KvixError && error.reason !== "INTERNAL_BUG") return error;
  const id = Buffer.from(host.entropy.bytes(BUG_ID_BYTES)).toString("hex");
  host.log.error(
    { bugId: id, name: nameOf(error), code: errorCode(error), frames: framesOf(error) },
    "a defect in kvix",
  );
  const outcome = error instanceof KvixError ? error.outcome : "unknown";
  return new KvixError("INTERNAL_BUG", `its id in the log is ${id}`, {
    metadata: { bugId: id },
    outcome,
  });
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

/** The lines of the stack that name code; those before them are the message. */
function framesOf(error: unknown): string[] {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  return stack.split("\n").filter((line) => /^\s+at /.test(line));
}
