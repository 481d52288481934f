/** `kvix touch`: gives a key another expiry. */
import { KvService, type TouchResponse } from "../../gen/kvix/v1/kvix_pb.js";
import type { ByteFormat } from "./byte-text.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { jsonAnswered, jsonExpiry, showExpiry } from "./record-text.js";
import { unmetMessage } from "./unmet.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import {
  addWriteFlags,
  type ConditionFlags,
  type DurabilityFlag,
  type ExpiryFlags,
  readCondition,
  readDeadline,
  readDurability,
} from "./write-flags.js";

const help = `
The whole record is written anew, so a touch costs what a set of the same value
costs.

Examples:
  kvix touch session:7 --ttl 90s
  kvix touch session:7 --expire-at 2027-01-31T12:00:00Z --if-present
  kvix touch session:7 --persist
${exitCodesHelp}`;

type TouchFlags = ClientFlags &
  FormatFlags &
  ExpiryFlags &
  ConditionFlags &
  DurabilityFlag & { readonly persist?: true };

/** `kvix touch KEY`. */
export const declareTouch: DeclareVerb = (command, context) => {
  addFormatFlags(command)
    .argument("<KEY>", "the key")
    .option("--ttl <TIME>", "expire after this long: 1500ms, 90s, 1h")
    .option("--expire-at <INSTANT>", "expire at this instant: 2027-01-31T12:00:00Z")
    .option("--persist", "never expire");
  addClientFlags(addWriteFlags(command))
    .addHelpText("after", help)
    .action((key: string, flags: TouchFlags) => touch(key, flags, context));
};

async function touch(keyText: string, flags: TouchFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  const key = readKey(keyText, format, faults);
  const { ttl, expireAt, persist } = flags;
  const deadline = readDeadline(flags, { "--persist": persist }, faults);
  const expiry = persist === true ? ({ case: "persist", value: true } as const) : deadline;
  const precondition = readCondition(flags, faults);
  const durability = readDurability(flags, faults);
  if (ttl === undefined && expireAt === undefined && persist === undefined) {
    faults.add("--ttl", "is missing, and so are --expire-at and --persist; give one of them");
  }
  faults.throwIfAny();
  const answer = await withServer(session, (call) =>
    call(KvService.method.touch, {
      key,
      ...(expiry && { expiry }),
      ...(precondition && { precondition }),
      durability,
    }),
  );
  if (!answer.applied) context.exitCode = ExitCode.UNMET;
  else if (!answer.found) context.exitCode = ExitCode.MISS;
  if (flags.json === true) return await context.out.json(jsonAnswer(answer, format));
  if (!answer.applied) throw new CommandEnd(ExitCode.UNMET, unmetMessage(answer.current));
  if (!answer.found) throw new CommandEnd(ExitCode.MISS, "no such key");
  await context.out.line(`touched version ${answer.version}${showExpiry(answer.expireTime)}`);
}

function jsonAnswer(answer: TouchResponse, format: ByteFormat): Readonly<Record<string, unknown>> {
  const { applied, found, version, expireTime, storeVersion } = answer;
  return {
    applied,
    found,
    ...(found && { version: Number(version), ...jsonExpiry(expireTime) }),
    ...jsonAnswered(answer, format),
    storeVersion: Number(storeVersion),
  };
}
