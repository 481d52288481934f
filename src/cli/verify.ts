/**
 * `kvix verify DIR`: checks a store that nobody has open, and says of all that
 * it finds where it is, what it means and what to do. It changes nothing.
 */
import type { VerifyReport } from "../engine/store-check.js";
import { verifyStore } from "../engine/verify.js";
import { type DamagedKey, type Finding, findingCatalogue } from "../engine/verify-findings.js";
import { nodeHost } from "../host/node-host.js";
import { type ByteFormat, jsonBytes, previewBytes } from "./byte-text.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { addFormatFlags, type FormatFlags, readFormat } from "./key-flags.js";
import { openProgressBar } from "./progress-bar.js";
import { formatBytes } from "./quantity.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
It reads every byte: the manifest, every frame of every segment, and every hint
against its segment. A server that has the directory open refuses it (exit code
7). Nothing is written, no file's time changes. Damage ends it with exit code 6;
notes, such as the unfinished last write of a crash, do not.

Examples:
  kvix verify /var/lib/kvix
  kvix verify ./data --segment-dir /mnt/segments --json | jq .findings
${exitCodesHelp}`;

/** How many keys of a finding are shown; --json has up to a thousand. */
const KEYS_SHOWN = 10;
const KEY_LENGTH = 60;
const BAR_FORMAT = "verifying {bar} {percentage}% of {size}";

interface VerifyFlags extends FormatFlags {
  readonly segmentDir?: string;
  readonly json?: true;
  readonly progress?: boolean;
}

/** `kvix verify DIR`. */
export const declareVerify: DeclareVerb = (command, context) => {
  addFormatFlags(command)
    .argument("<DIR>", "the data directory")
    .option("--segment-dir <DIR>", "where the segments are, if not in the data directory")
    .option("--no-progress", "no progress bar")
    .option("--json", "print JSON")
    .addHelpText("after", help)
    .action((dir: string, flags: VerifyFlags) => verify(dir, flags, context));
};

async function verify(dataDir: string, flags: VerifyFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const format = readFormat(flags, faults);
  faults.throwIfAny();
  const { segmentDir, json } = flags;
  const where = segmentDir === undefined ? { dataDir } : { dataDir, segmentDir };
  const bar = await openProgressBar(context.err, BAR_FORMAT, flags.progress);
  let report: VerifyReport;
  try {
    report = await verifyStore(where, nodeHost(), ({ bytesDone, bytesTotal }) => {
      bar.update(bytesDone, bytesTotal, { size: formatBytes(bytesTotal) });
    });
  } finally {
    bar.end();
  }
  const damages = report.findings.filter((finding) => rowOf(finding).severity === "damage");
  if (damages.length > 0) context.exitCode = ExitCode.DATA_LOSS;
  if (json === true) {
    const findings = report.findings.map((finding) => findingJson(finding, format));
    return await context.out.json({ ok: damages.length === 0, ...report, findings });
  }
  for (const finding of report.findings) await context.out.write(findingText(finding, format));
  await context.out.line(summary(report, damages.length));
}

function rowOf({ kind }: Finding) {
  return findingCatalogue[kind];
}

function findingText(finding: Finding, format: ByteFormat): string {
  const { severity, meaning, action } = rowOf(finding);
  const lines = [`${severity.toUpperCase()} ${finding.kind}: ${meaning}`];
  lines.push(`  where:    ${placeText(finding)}`);
  const { firstVersion, lastVersion, keys = [], keysUnknown, detail } = finding;
  if (firstVersion !== undefined) lines.push(`  versions: ${firstVersion} to ${lastVersion}`);
  for (const each of keys.slice(0, KEYS_SHOWN)) lines.push(`  key:      ${keyText(each, format)}`);
  if (keys.length > KEYS_SHOWN) {
    lines.push(`            and ${keys.length - KEYS_SHOWN} more (--json has them)`);
  }
  if (keysUnknown === true) lines.push("  keys:     others may be affected; which is not known");
  if (detail !== undefined) lines.push(`  detail:   ${detail}`);
  lines.push(`  to do:    ${action}`);
  return `${lines.join("\n")}\n\n`;
}

function placeText({ file, offset, length }: Finding): string {
  if (offset === undefined) return file;
  return `${file}, ${length === undefined ? "" : `${length} bytes `}at ${offset}`;
}

function keyText({ key, version, isCertain }: DamagedKey, format: ByteFormat): string {
  const shown = previewBytes(key, format, KEY_LENGTH);
  return `${shown} (version ${version}${isCertain ? "" : ", likely"})`;
}

function findingJson(finding: Finding, format: ByteFormat): Readonly<Record<string, unknown>> {
  const { severity, meaning, action } = rowOf(finding);
  const { keys, ...place } = finding;
  return {
    severity,
    ...place,
    ...(keys && {
      keys: keys.map(({ key, version, isCertain }) => ({
        ...jsonBytes("key", key, format),
        version,
        isCertain,
      })),
    }),
    meaning,
    action,
  };
}

function summary(report: VerifyReport, damages: number): string {
  const { segments, bytes, records, findings, wasClean } = report;
  const read = `${segments} segments, ${formatBytes(bytes)}, ${records} records`;
  const state = wasClean ? "closed properly" : "not closed properly";
  const notes = findings.length - damages;
  if (damages === 0) return `sound: ${read}, ${state}, ${notes} notes`;
  return `DAMAGED: ${damages} damages and ${notes} notes in ${read}`;
}
