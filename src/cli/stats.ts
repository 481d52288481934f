/** `kvix stats`: the figures of the store and its server. */
import {
  AdminService,
  type StatsResponse,
  StatsResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { adminJson } from "./admin-json.js";
import { escapeText } from "./byte-text.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { compactionRows } from "./compaction-text.js";
import { exitCodesHelp } from "./exit-code.js";
import { formatBytes } from "./quantity.js";
import { formatPairs, formatTable } from "./table.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Counts begin with the process. --json has every figure.

Examples:
  kvix stats
  kvix stats --json | jq .keys
${exitCodesHelp}`;

/** `kvix stats`. */
export const declareStats: DeclareVerb = (command, context) => {
  addClientFlags(command)
    .addHelpText("after", help)
    .action((flags: ClientFlags) => stats(flags, context));
};

async function stats(flags: ClientFlags, { out, environment }: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, environment, faults);
  faults.throwIfAny();
  const answer = await withServer(session, (call) => call(AdminService.method.stats, {}));
  if (flags.json === true) return await out.json(adminJson(StatsResponseSchema, answer));
  await out.write(formatPairs(rowsOf(answer)));
  if (answer.rpcs.length === 0) return;
  const rpcs = answer.rpcs.map(({ method, calls, errors }) => [
    escapeText(method),
    String(calls),
    String(errors),
  ]);
  await out.write(`\n${formatTable(["rpc", "calls", "errors"], rpcs, new Set([1, 2]))}`);
}

function rowsOf(answer: StatsResponse): [name: string, value: string][] {
  const bytes = (count: bigint): string => formatBytes(Number(count));
  const rows: [string, string][] = [
    ["keys", String(answer.keys)],
    ["version", `${answer.storeVersion}, durable up to ${answer.durableVersion}`],
    ["live", bytes(answer.liveBytes)],
    ["dead", bytes(answer.deadBytes)],
    ["segments", `${answer.segments}, ${answer.hintsMissing} without a hint`],
    ["index", bytes(answer.indexBytes)],
    ["process", bytes(answer.residentBytes)],
    ["disk free", bytes(answer.freeBytes)],
    ["in flight", `${bytes(answer.inFlightBytes)}, ${answer.waitingCalls} calls waiting`],
    ["appended", `${bytes(answer.appendedBytes)} in ${answer.groups} groups`],
    ["syncs", String(answer.syncs)],
    ["expired", `${answer.expiredKeys} keys swept`],
  ];
  if (answer.compaction !== undefined) rows.push(...compactionRows(answer.compaction));
  if (answer.sweepPausedBecause !== "") {
    rows.push(["sweep", `paused: ${escapeText(answer.sweepPausedBecause)}`]);
  }
  return rows;
}
