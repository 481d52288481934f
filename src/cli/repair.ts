/** `kvix repair`: rebuilds a lost or damaged manifest, and says what it took in and what it left out. */
import { KvixError } from "../base/kvix-error.js";
import { repairStore } from "../engine/repair.js";
import { nodeHost } from "../host/node-host.js";
import { ExitCode } from "./exit-code.js";

/** Where the store lies. */
export interface RepairOptions {
  readonly dataDir: string;
  readonly segmentDir?: string | undefined;
}

/** Repairs and reports on stdout. Resolves to the exit code. */
export async function repair(options: RepairOptions): Promise<number> {
  const print = (line: string): boolean => process.stdout.write(`${line}\n`);
  try {
    const report = await repairStore(options, nodeHost());
    if (!report.isRepaired) {
      print("The manifest is sound; nothing was changed.");
      return ExitCode.OK;
    }
    print(`The manifest was rebuilt from ${report.segments.length} segments:`);
    for (const name of report.segments) print(`  ${name}`);
    for (const name of report.leftOut) print(`  ${name}: left out, it holds nothing of this store`);
    print(`The newest version found is ${report.highestVersion}.`);
    return ExitCode.OK;
  } catch (error) {
    if (!(error instanceof KvixError)) throw error;
    const advice = error.row.operator === "" ? "" : `\n${error.row.operator}`;
    process.stderr.write(`kvix repair: ${error.message}${advice}\n`);
    return error.reason === "OPTION_INVALID" ? ExitCode.USAGE : ExitCode.FAILURE;
  }
}
