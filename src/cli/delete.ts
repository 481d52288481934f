/** `kvix delete`: removes a key. */
import { type DeleteResponse, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import type { ByteFormat } from "./byte-text.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { jsonAnswered } from "./record-text.js";
import { unmetMessage } from "./unmet.js";
import { FaultList } from "./usage-error.js";
import { writeValue } from "./value-output.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import {
  addWriteFlags,
  type ConditionFlags,
  type DurabilityFlag,
  readCondition,
  readDurability,
} from "./write-flags.js";

const help = `
A key that is absent or expired is no error of the store: nothing is written, and
the exit code says so.

Examples:
  kvix delete greeting
  kvix delete lock --if-version 17
  kvix delete job:1 --return-previous > job.json
${exitCodesHelp}`;

type DeleteFlags = ClientFlags &
  FormatFlags &
  ConditionFlags &
  DurabilityFlag & { readonly returnPrevious?: true };

/** `kvix delete KEY`. */
export const declareDelete: DeclareVerb = (command, context) => {
  addFormatFlags(command)
    .argument("<KEY>", "the key")
    .option("--return-previous", "answer with the value that was removed");
  addClientFlags(addWriteFlags(command))
    .addHelpText("after", help)
    .action((key: string, flags: DeleteFlags) => remove(key, flags, context));
};

async function remove(keyText: string, flags: DeleteFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  const key = readKey(keyText, format, faults);
  const precondition = readCondition(flags, faults);
  const durability = readDurability(flags, faults);
  faults.throwIfAny();
  const returnPrevious = flags.returnPrevious === true;
  const answer = await withServer(session, (call) =>
    call(KvService.method.delete, {
      key,
      ...(precondition && { precondition }),
      returnPrevious,
      durability,
    }),
  );
  if (!answer.applied) context.exitCode = ExitCode.UNMET;
  else if (!answer.deleted) context.exitCode = ExitCode.MISS;
  if (flags.json === true) return await context.out.json(jsonAnswer(answer, format));
  if (!answer.applied) throw new CommandEnd(ExitCode.UNMET, unmetMessage(answer.current));
  if (!answer.deleted) throw new CommandEnd(ExitCode.MISS, "no such key");
  const line = `deleted version ${answer.version}`;
  if (!returnPrevious) return await context.out.line(line);
  await context.err.line(`kvix delete: ${line}`);
  if (answer.previous !== undefined && !answer.valueOmitted) {
    await writeValue(answer.previous.value, format, context);
  }
}

function jsonAnswer(answer: DeleteResponse, format: ByteFormat): Readonly<Record<string, unknown>> {
  const { applied, deleted, version, storeVersion } = answer;
  return {
    applied,
    deleted,
    ...(deleted && { version: Number(version) }),
    ...jsonAnswered(answer, format),
    storeVersion: Number(storeVersion),
  };
}
