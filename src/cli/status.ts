/** `kvix status`: how the server is, what it allows, and why. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  AdminService,
  DurabilitySchema,
  type GetStatusResponse,
  GetStatusResponseSchema,
  ServerState,
  ServerStateSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { adminJson, enumName } from "./admin-json.js";
import { escapeText } from "./byte-text.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { compactionRows } from "./compaction-text.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { formatBytesExactly } from "./quantity.js";
import { showTime } from "./record-text.js";
import { formatPairs } from "./table.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
The exit code follows the state: 0 serving or degraded, 5 starting or draining, 7
full or latched.

Examples:
  kvix status
  kvix status --json | jq -r .state
${exitCodesHelp}`;

/** What each state means to a script that waits for a server that reads and writes. */
const codeOfState: Readonly<Record<ServerState, number>> = {
  [ServerState.UNSPECIFIED]: ExitCode.FAILURE,
  [ServerState.STARTING]: ExitCode.UNAVAILABLE,
  [ServerState.SERVING]: ExitCode.OK,
  [ServerState.DEGRADED]: ExitCode.OK,
  [ServerState.FULL]: ExitCode.REFUSED,
  [ServerState.LATCHED]: ExitCode.REFUSED,
  [ServerState.DRAINING]: ExitCode.UNAVAILABLE,
};

/** `kvix status`. */
export const declareStatus: DeclareVerb = (command, context) => {
  addClientFlags(command)
    .addHelpText("after", help)
    .action((flags: ClientFlags) => status(flags, context));
};

async function status(flags: ClientFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  faults.throwIfAny();
  const answer = await withServer(session, (call) => call(AdminService.method.getStatus, {}));
  context.exitCode = codeOfState[answer.state] ?? ExitCode.FAILURE;
  if (flags.json === true) {
    return await context.out.json(adminJson(GetStatusResponseSchema, answer));
  }
  await context.out.write(formatPairs([["server", session.endpoint], ...rowsOf(answer)]));
}

function rowsOf(answer: GetStatusResponse): [name: string, value: string][] {
  const { limits, uptime, startTime, flushInterval } = answer;
  const rows: [string, string][] = [["state", enumName(ServerStateSchema, answer.state)]];
  for (const { message } of answer.reasons) rows.push(["because", escapeText(message)]);
  rows.push(["kvix", escapeText(answer.kvixVersion)]);
  rows.push(["node", escapeText(`${answer.nodeVersion}, ${answer.platform}`)]);
  if (startTime !== undefined) rows.push(["since", showTime(startTime)]);
  if (uptime !== undefined) rows.push(["uptime", `${Math.floor(durationMs(uptime) / 1000)} s`]);
  rows.push(["version", String(answer.storeVersion)]);
  const flush =
    flushInterval === undefined ? "" : `, flushed every ${durationMs(flushInterval)} ms`;
  rows.push(["durability", enumName(DurabilitySchema, answer.durability) + flush]);
  if (limits !== undefined) {
    rows.push(["key", `1B to ${formatBytesExactly(limits.keyBytesMax)}`]);
    rows.push(["value", `0B to ${formatBytesExactly(limits.valueBytesMax)}`]);
    rows.push(["message", `at most ${formatBytesExactly(limits.messageBytesMax)}`]);
  }
  if (answer.compaction !== undefined) rows.push(...compactionRows(answer.compaction));
  rows.push(["features", escapeText(answer.features.join(", "))]);
  for (const damage of answer.damage) {
    const { file, offset, length, firstVersion, lastVersion, keysUnknown } = damage;
    const keys = keysUnknown ? "keys unknown" : "keys known";
    const what = `${file} at ${offset}, ${length} bytes, versions ${firstVersion} to ${lastVersion}`;
    rows.push(["damage", escapeText(`${what}, ${keys}`)]);
  }
  if (answer.damageCount > answer.damage.length) {
    rows.push(["damage", `${answer.damageCount} ranges in all`]);
  }
  return rows;
}
