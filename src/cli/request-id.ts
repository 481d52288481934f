/**
 * --request-id: what makes a write safe to repeat. The server answers a repeat as it
 * answered the first request, and changes nothing.
 */
import type { Command } from "commander";
import { REQUEST_ID_BYTES_MAX, REQUEST_ID_BYTES_MIN } from "../base/limits.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import type { FaultList } from "./usage-error.js";

/** The flag. */
export interface RequestIdFlag {
  readonly requestId?: string;
}

/** Declares it. */
export function addRequestIdFlag(command: Command): Command {
  return command.option(
    "--request-id <ID>",
    `the request's own name, ${REQUEST_ID_BYTES_MIN} to ${REQUEST_ID_BYTES_MAX} bytes, such as a UUID: a repeat changes nothing`,
  );
}

/** The bytes of the id; empty: none was given, or a fault was noted. */
export function readRequestId({ requestId }: RequestIdFlag, faults: FaultList): Uint8Array {
  if (requestId === undefined) return new Uint8Array(0);
  const id = Buffer.from(requestId, "utf8");
  if (id.length < REQUEST_ID_BYTES_MIN || id.length > REQUEST_ID_BYTES_MAX) {
    const range = `${REQUEST_ID_BYTES_MIN} to ${REQUEST_ID_BYTES_MAX}`;
    faults.add("--request-id", `has ${id.length} bytes; it must have ${range}`);
  }
  return id;
}

/** Runs a write; where its outcome is unknown, the error says what an id is good for. */
export async function advisingRepeat<Result>(
  requestId: Uint8Array,
  write: () => Promise<Result>,
): Promise<Result> {
  try {
    return await write();
  } catch (error) {
    if (!(error instanceof CommandEnd) || error.exitCode !== ExitCode.UNKNOWN) throw error;
    const advice =
      requestId.length > 0
        ? "Run it again with the same --request-id: that does no harm."
        : "With a --request-id it could be run again.";
    throw new CommandEnd(error.exitCode, `${error.message} ${advice}`);
  }
}
