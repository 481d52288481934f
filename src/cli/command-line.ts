/**
 * The command line of kvix: its verbs, their help, and what they do.
 *
 * A verb ends in an exit code. Wrong usage is told on stderr, all of it at once.
 */
import { Command, CommanderError } from "commander";
import { KvixError } from "../base/kvix-error.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { type RepairOptions, repair } from "./repair.js";
import type { OpenStore } from "./serve.js";
import { serve } from "./serve.js";
import { addServeFlags, resolveServeOptions, type ServeOptions } from "./serve-options.js";
import { buildVersion } from "./version.js";

const repairHelp = `
Only the manifest knows which files are no longer part of a store. Without it
every segment is taken in again, so prefer a backup if you have one. Nothing is
removed; a damaged manifest is kept as MANIFEST.damaged.

Example:
  kvix repair --data-dir /var/lib/kvix
`;

/** Runs the command line (without node and script) and resolves to the exit code. */
export async function runCommandLine(
  args: readonly string[],
  openStore: OpenStore,
): Promise<number> {
  let exitCode: number = ExitCode.OK;
  const program = new Command("kvix")
    .description("A durable key-value store for services.")
    .helpCommand(false)
    .exitOverride()
    .addHelpText("after", exitCodesHelp);
  program
    .command("version")
    .description("Print the version.")
    .action(() => {
      process.stdout.write(`kvix ${buildVersion}\n`);
    });
  program
    .command("repair")
    .description("Rebuild the lost or damaged manifest of a store that nobody has open.")
    .requiredOption("--data-dir <dir>", "the directory that held the manifest")
    .option(
      "--segment-dir <dir>",
      "the directory of the segments, if it is not in the data directory",
    )
    .addHelpText("after", repairHelp)
    .action(async (options: RepairOptions) => {
      exitCode = await repair(options);
    });
  addServeFlags(
    program
      .command("serve")
      .description("Serve a store over gRPC until SIGTERM or SIGINT.")
      .allowUnknownOption()
      .allowExcessArguments()
      .addHelpText("after", exitCodesHelp)
      .action(async (_options: unknown, command: Command) => {
        const options = serveOptionsOf(command);
        exitCode = options === undefined ? ExitCode.USAGE : await serve(options, openStore);
      }),
  );
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has told what is wrong, or has shown the help that was asked for.
    return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
  }
}

/** The options, or undefined after telling on stderr what is wrong with them. */
function serveOptionsOf(command: Command): ServeOptions | undefined {
  const given = new Map<string, string | true>();
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName());
    if (value === true || typeof value === "string") given.set(option.long ?? "", value);
  }
  try {
    return resolveServeOptions(given, straysOf(command.args));
  } catch (error) {
    if (!(error instanceof KvixError) || error.reason !== "OPTION_INVALID") throw error;
    const lines = Object.entries(error.metadata).map(([flag, problem]) => `  ${flag} ${problem}\n`);
    process.stderr.write(`kvix serve: wrong options\n${lines.join("")}`);
    return undefined;
  }
}

/** The arguments that are no option of the verb; what follows an unknown flag is taken for its value. */
function straysOf(args: readonly string[]): string[] {
  return args.filter((arg, index) => arg.startsWith("-") || !args[index - 1]?.startsWith("-"));
}
