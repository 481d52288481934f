/** `kvix segments`: the files that the store consists of. */
import {
  AdminService,
  type SegmentInfo,
  SegmentInfoSchema,
  SegmentStateSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { adminJson, enumName } from "./admin-json.js";
import { escapeText } from "./byte-text.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { exitCodesHelp } from "./exit-code.js";
import { formatBytes } from "./quantity.js";
import { formatTable } from "./table.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Oldest first. "live" is what a compaction would keep. With --json one object a line.

Examples:
  kvix segments
  kvix segments --json | jq 'select(.damaged)'
${exitCodesHelp}`;

/** `kvix segments`. */
export const declareSegments: DeclareVerb = (command, context) => {
  addClientFlags(command)
    .addHelpText("after", help)
    .action((flags: ClientFlags) => segments(flags, context));
};

async function segments(flags: ClientFlags, { out, environment }: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, environment, faults);
  faults.throwIfAny();
  // At most 65,536 of them: what a table needs to know before its first line.
  const found = await withServer(session, async (call) => {
    const all: SegmentInfo[] = [];
    let pageToken = "";
    do {
      const page = await call(AdminService.method.listSegments, { pageToken });
      all.push(...page.segments);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return all;
  });
  if (flags.json === true) {
    for (const segment of found) await out.json(adminJson(SegmentInfoSchema, segment));
    return;
  }
  const head = ["file", "state", "size", "live", "versions", "damaged"];
  await out.write(formatTable(head, found.map(rowOf), new Set([2, 3])));
}

function rowOf(segment: SegmentInfo): string[] {
  const { file, state, sizeBytes, liveBytes, lowestVersion, highestVersion, damaged } = segment;
  return [
    escapeText(file),
    enumName(SegmentStateSchema, state),
    formatBytes(Number(sizeBytes)),
    formatBytes(Number(liveBytes)),
    highestVersion === 0n ? "" : `${lowestVersion} to ${highestVersion}`,
    damaged ? "yes" : "",
  ];
}
