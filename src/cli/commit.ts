/** `kvix commit`: several changes together, if all conditions hold: all of them or none. */
import { isUtf8 } from "node:buffer";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { BATCH_BYTES_MAX } from "../base/limits.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { doneText, jsonCommit, unmetText } from "./commit-answer.js";
import { parseCommitFile } from "./commit-file.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import {
  addRequestIdFlag,
  advisingRepeat,
  type RequestIdFlag,
  readRequestId,
} from "./request-id.js";
import { FaultList, UsageError } from "./usage-error.js";
import { readNamedFile } from "./value-input.js";
import { STANDARD_STREAM } from "./value-output.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import { addDurabilityFlag, type DurabilityFlag, readDurability } from "./write-flags.js";

/** As hexadecimal the largest commit takes so much, and a little more. */
const FILE_BYTES_MAX = 2 * BATCH_BYTES_MAX;

const help = `
Reads conditions and mutations, each a JSON object, one a line or all in one array:

  {"op": "if", "key": "a", "version": 17}      or "absent": true, "present": true
  {"op": "set", "key": "a", "value": "1", "ttl": "90s"}
  {"op": "delete", "key": "b"}
  {"op": "touch", "key": "c", "ttl": "1h"}
  {"op": "increment", "key": "n", "delta": -5, "initial": 100}

Bytes that are no text are keyHex or keyBase64, valueHex or valueBase64. An expiry is
ttl, expireTime, persist (touch, increment) or keepTtl (set). Each mutation is applied
to what stood before. Without a mutation it tells whether the conditions hold.

Examples:
  kvix commit transfer.jsonl
  kvix commit orders.json --request-id "$(uuidgen)" --json
  kvix scan --prefix old: --json | jq -c '{op: "delete", key}' | kvix commit -
${exitCodesHelp}`;

type CommitFlags = ClientFlags & RequestIdFlag & DurabilityFlag;

/** `kvix commit [FILE]`. */
export const declareCommit: DeclareVerb = (command, context) => {
  command.argument("[FILE]", "conditions and mutations as JSON; - or none: stdin");
  addClientFlags(addDurabilityFlag(addRequestIdFlag(command)))
    .addHelpText("after", help)
    .action((file: string | undefined, flags: CommitFlags) => commit(file, flags, context));
};

async function commit(
  fileName: string | undefined,
  flags: CommitFlags,
  context: VerbContext,
): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const durability = readDurability(flags, faults);
  const requestId = readRequestId(flags, faults);
  faults.throwIfAny();
  const bytes = await readNamedFile("FILE", fileName ?? STANDARD_STREAM, FILE_BYTES_MAX, context);
  if (!isUtf8(bytes)) throw new UsageError([{ option: "FILE", problem: "is not UTF-8" }]);
  const file = parseCommitFile(Buffer.from(bytes).toString("utf8"));
  const request = {
    conditions: [...file.conditions],
    mutations: file.mutations.map(({ mutation }) => mutation),
    durability,
    requestId,
  };
  const answer = await advisingRepeat(requestId, () =>
    withServer(session, (call) => call(KvService.method.commit, request)),
  );
  if (!answer.applied) context.exitCode = ExitCode.UNMET;
  if (flags.json === true) return await context.out.json(jsonCommit(file, answer));
  if (!answer.applied) throw new CommandEnd(ExitCode.UNMET, unmetText(file, answer));
  if (answer.repeated) {
    await context.err.line("kvix commit: it was made before; this is the answer of that time");
  }
  await context.out.write(doneText(file, answer));
}
