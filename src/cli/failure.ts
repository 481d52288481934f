/**
 * What a command says when it fails: one line with the reason and what to do,
 * and an exit code. Only wrong usage may take more lines, one for each fault.
 * Never a stack: what is no KvixError and no refusal of the transport or the
 * system is a defect, told by its message.
 */
import { KvixError } from "../base/kvix-error.js";
import { errorCode } from "../host/file-system.js";
import { escapeText } from "./byte-text.js";
import { ExitCode, exitCodeOf } from "./exit-code.js";
import { UsageError } from "./usage-error.js";

/** An end that the verb itself has decided on, with a sentence of its own. */
export class CommandEnd extends Error {
  override readonly name = "CommandEnd";
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** What to print on stderr, and how to end. */
export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

/** The end of a verb ("kvix get") that threw `error`. */
export function describeFailure(verb: string, error: unknown): Failure {
  if (error instanceof UsageError)
    return { text: usageText(verb, error), exitCode: ExitCode.USAGE };
  const { message, exitCode } = explainFailure(error);
  return { text: `${verb}: ${escapeText(message)}\n`, exitCode };
}

function usageText(verb: string, { faults }: UsageError): string {
  const lines = faults.map(({ option, problem }) => escapeText(`${option} ${problem}`));
  const [first = ""] = lines;
  if (lines.length === 1) return `${verb}: ${first}\n`;
  return `${verb}: wrong options\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

/** What an error says to somebody at a command line, and the exit code that goes with it. */
export function explainFailure(error: unknown): { message: string; exitCode: number } {
  if (error instanceof CommandEnd) return error;
  if (error instanceof KvixError) {
    const advice = error.row.operator === "" ? "" : `. ${error.row.operator}`;
    return { message: `${error.message}${advice}`, exitCode: exitCodeOf(error) };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (errorCode(error) !== undefined) return { message, exitCode: ExitCode.FAILURE };
  const note = "This is a defect in kvix; please report it with the command that shows it.";
  return { message: `${message}. ${note}`, exitCode: ExitCode.FAILURE };
}
