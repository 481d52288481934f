/** `kvix repair`: rebuilds a lost or damaged manifest, and says what it took in and what it left out. */
import type { RepairReport } from "../engine/repair.js";
import { exitCodesHelp } from "./exit-code.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Only the manifest knows which files are no longer part of a store. Without it
every segment is taken in again, so prefer a backup if you have one. Nothing is
removed; a damaged manifest is kept as MANIFEST.damaged.

Example:
  kvix repair --data-dir /var/lib/kvix
${exitCodesHelp}`;

interface RepairFlags {
  readonly dataDir: string;
  readonly segmentDir?: string;
  readonly json?: true;
}

/** `kvix repair`. */
export const declareRepair: DeclareVerb = (command, context) => {
  command
    .requiredOption("--data-dir <DIR>", "the directory that held the manifest")
    .option("--segment-dir <DIR>", "where the segments are, if not in the data directory")
    .option("--json", "print JSON")
    .addHelpText("after", help)
    .action(async (flags: RepairFlags) => {
      const { repairStore } = await import("../engine/repair.js");
      const { nodeHost } = await import("../host/node-host.js");
      const { dataDir, segmentDir } = flags;
      const where = segmentDir === undefined ? { dataDir } : { dataDir, segmentDir };
      await tell(await repairStore(where, nodeHost()), flags, context);
    });
};

async function tell(report: RepairReport, { json }: RepairFlags, { out }: VerbContext) {
  if (json === true) return await out.json(report);
  if (!report.isRepaired) return await out.line("The manifest is sound; nothing was changed.");
  await out.line(`The manifest was rebuilt from ${report.segments.length} segments:`);
  for (const name of report.segments) await out.line(`  ${name}`);
  for (const name of report.leftOut) {
    await out.line(`  ${name}: left out, it holds nothing of this store`);
  }
  await out.line(`The newest version found is ${report.highestVersion}.`);
}
