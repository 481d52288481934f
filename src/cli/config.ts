/**
 * `kvix config check`: every option of `kvix serve` as it would be in force
 * here, with the place that it comes from, and all that is wrong at once.
 */
import type { Command } from "commander";
import { escapeText } from "./byte-text.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { configKeyOf } from "./serve-option-table.js";
import {
  addServeFlags,
  type EffectiveOption,
  readServeFlags,
  readServeRequest,
  type ServeRequest,
  showValue,
} from "./serve-options.js";
import { formatTable } from "./table.js";
import { UsageError } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
A flag counts more than a variable, a variable more than the file, the file more
than the default.

Examples:
  kvix config check --config /etc/kvix.toml
  KVIX_DURABILITY=buffered kvix config check --json
${exitCodesHelp}`;

/** `kvix config`. */
export const declareConfig: DeclareVerb = (command, context) => {
  const check = command
    .command("check")
    .description("Print every option of serve that is in force, and where it comes from.")
    .option("--json", "print JSON")
    .addHelpText("after", help);
  addServeFlags(check);
  check.action(async (_options: unknown, asked: Command) => {
    const request = await readServeRequest(readServeFlags(asked), context.environment);
    await report(request, context, asked.getOptionValue("json") === true);
    if (request.faults.length > 0) context.exitCode = ExitCode.USAGE;
  });
};

async function report(
  { effective, faults }: ServeRequest,
  { out }: VerbContext,
  asJson: boolean,
): Promise<void> {
  if (asJson) {
    const options = effective.map(({ option, value, source }) => ({
      option: configKeyOf(option),
      value: isNoLimit(value) ? null : value,
      source,
    }));
    await out.json({ ok: faults.length === 0, options, faults });
    return;
  }
  await out.write(formatTable(["option", "value", "source"], effective.map(rowOf)));
  if (faults.length > 0) throw new UsageError(faults);
}

function rowOf({ option, value, source }: EffectiveOption): string[] {
  return [configKeyOf(option), escapeText(showValue(option.rule, value)), escapeText(source)];
}

function isNoLimit(value: unknown): boolean {
  return value === Number.MAX_SAFE_INTEGER;
}
