/**
 * What the process tells its parent. Scripts depend on the numbers; a test
 * holds docs/operations.md to this table.
 */
import type { KvixError } from "../base/kvix-error.js";

/** One way for a command to end. */
export interface ExitRow {
  readonly code: number;
  /** What it means; the end of every help text lists them. */
  readonly sentence: string;
}

/** Every exit code of kvix. */
export const exitCodeTable = {
  OK: { code: 0, sentence: "done, or stopped as asked" },
  FAILURE: {
    code: 1,
    sentence: "the store could not be opened, served or closed, or another failure",
  },
  USAGE: { code: 2, sentence: "a command, an option or a value that is none" },
  MISS: { code: 3, sentence: "the key is absent or expired" },
  UNMET: { code: 4, sentence: "the precondition does not hold; nothing was written" },
  UNAVAILABLE: { code: 5, sentence: "no answer for now: try again later" },
  DATA_LOSS: { code: 6, sentence: "bytes on disk are damaged" },
  REFUSED: { code: 7, sentence: "refused until somebody changes something" },
  UNKNOWN: { code: 8, sentence: "the write may or may not have happened" },
} as const satisfies Readonly<Record<string, ExitRow>>;

/** The name of a way to end. */
export type ExitName = keyof typeof exitCodeTable;

/** The codes by name. */
export const ExitCode = Object.fromEntries(
  Object.entries(exitCodeTable).map(([name, row]) => [name, row.code]),
) as { readonly [Name in ExitName]: (typeof exitCodeTable)[Name]["code"] };

/** The end of every help text. */
export const exitCodesHelp = `
Exit codes:
${Object.values(exitCodeTable)
  .map(({ code, sentence }) => `  ${code}  ${sentence}`)
  .join("\n")}`;

/** The exit code of an error of the catalogue. */
export function exitCodeOf(error: KvixError): number {
  if (error.outcome === "unknown" && error.reason !== "INTERNAL_BUG") return ExitCode.UNKNOWN;
  switch (error.row.status) {
    case "INVALID_ARGUMENT":
      return ExitCode.USAGE;
    case "DATA_LOSS":
      return ExitCode.DATA_LOSS;
    case "UNAVAILABLE":
    case "DEADLINE_EXCEEDED":
    case "ABORTED":
      return ExitCode.UNAVAILABLE;
    case "FAILED_PRECONDITION":
    case "OUT_OF_RANGE":
      return ExitCode.REFUSED;
    case "RESOURCE_EXHAUSTED":
      return error.retry === "after-delay" ? ExitCode.UNAVAILABLE : ExitCode.REFUSED;
    default:
      return ExitCode.FAILURE;
  }
}
