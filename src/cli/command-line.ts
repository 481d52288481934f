/**
 * The command line of kvix: finds the verb, has it declare its flags, runs it,
 * and turns what comes of it into an exit code.
 *
 * Answers go to stdout, everything else to stderr. A failure is one line; wrong
 * usage is told all at once; a reader that goes away (`kvix list | head`) ends
 * the command quietly.
 */
import { Command, CommanderError } from "commander";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { describeFailure } from "./failure.js";
import { ClosedPipe, type Output, type Terminal } from "./output.js";
import type { VerbContext } from "./verb.js";
import { verbs } from "./verb-catalogue.js";

const examples = `
Examples:
  kvix serve --data-dir ./data
  kvix set greeting hello --ttl 1h
  kvix get greeting
  kvix list --prefix user: --keys-only
  kvix help set
`;

/** Runs the command line (without node and script) and resolves to the exit code. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const context: VerbContext = { ...terminal, exitCode: ExitCode.OK };
  const told: Promise<void>[] = [];
  // If the reader is closed there is nobody left to tell; the exit code still says it.
  const tell = (output: Output) => (text: string) => {
    told.push(output.write(text).catch(() => undefined));
  };
  const program = new Command("kvix").configureOutput({
    writeOut: tell(terminal.out),
    writeErr: tell(terminal.err),
  });
  const verb = await declareProgram(program, args, context);
  try {
    await program.parseAsync([...args], { from: "user" });
    return context.exitCode;
  } catch (error) {
    if (error instanceof ClosedPipe) return context.exitCode;
    if (error instanceof CommanderError) {
      // Commander has told what is wrong, or has shown the help that was asked for.
      return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
    }
    const { text, exitCode } = describeFailure(verb, error);
    tell(terminal.err)(text);
    return exitCode;
  } finally {
    await Promise.all(told);
  }
}

/** Declares all verbs by name, and the one that was asked for in full; answers with its name. */
async function declareProgram(
  program: Command,
  args: readonly string[],
  context: VerbContext,
): Promise<string> {
  program
    .description("A durable key-value store for services.")
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText("after", examples)
    .addHelpText("after", exitCodesHelp);
  const asked = args[0] === "help" ? args[1] : args[0];
  for (const { name, summary, load } of verbs) {
    const command = program.command(name).description(summary);
    if (name === asked) (await load())(command, context);
  }
  return verbs.some(({ name }) => name === asked) ? `kvix ${asked}` : "kvix";
}
