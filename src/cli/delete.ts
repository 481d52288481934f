/** `kvix delete`: removes a key, or a range of keys. */
import { type DeleteResponse, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import type { ByteFormat } from "./byte-text.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import {
  deleteRange,
  namesRange,
  type RangeDeleteFlags,
  readLimit,
  requireRange,
} from "./delete-range.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { addRangeFlags, readRange } from "./range-flags.js";
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

A range of keys, --prefix, --start and --end, or --all, is removed record by record,
and others write meanwhile; how many records that were is printed. --dry-run only
counts them.

Examples:
  kvix delete greeting
  kvix delete lock --if-version 17
  kvix delete job:1 --return-previous > job.json
  kvix delete --prefix session: --dry-run
  kvix delete --start log:2025 --end log:2026
${exitCodesHelp}`;

type DeleteFlags = ClientFlags &
  FormatFlags &
  RangeDeleteFlags &
  ConditionFlags &
  DurabilityFlag & { readonly returnPrevious?: true };

/** `kvix delete KEY`, or of a range. */
export const declareDelete: DeclareVerb = (command, context) => {
  addRangeFlags(addFormatFlags(command).argument("[KEY]", "the key"))
    .option("--all", "all keys")
    .option("--limit <N>", "of a range: at most so many records; default: all")
    .option("--dry-run", "of a range: only count")
    .option("--return-previous", "answer with the value that was removed");
  addClientFlags(addWriteFlags(command))
    .addHelpText("after", help)
    .action((key: string | undefined, flags: DeleteFlags) => {
      if (key === undefined && namesRange(flags)) return removeRange(flags, context);
      return remove(key, flags, context);
    });
};

async function removeRange(flags: DeleteFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const range = readRange(flags, readFormat(flags, faults), faults);
  requireRange(flags, range, faults);
  const { ifAbsent, ifPresent, ifVersion, returnPrevious } = flags;
  const others = {
    "--if-absent": ifAbsent,
    "--if-present": ifPresent,
    "--if-version": ifVersion,
    "--return-previous": returnPrevious,
  };
  for (const [name, value] of Object.entries(others)) {
    if (value !== undefined) faults.add(name, "goes with a key, not with a range");
  }
  const limit = readLimit(flags, faults);
  const durability = readDurability(flags, faults);
  faults.throwIfAny();
  const isDryRun = flags.dryRun === true;
  const asked = { ...range, all: flags.all === true, isDryRun, limit, durability };
  await deleteRange(session, asked, flags.json === true, context);
}

async function remove(
  keyText: string | undefined,
  flags: DeleteFlags,
  context: VerbContext,
): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  if (keyText === undefined) {
    faults.add("KEY", "is missing; give it, or a range: --prefix, --start, --end or --all");
  } else if (namesRange(flags)) {
    faults.add("KEY", "does not go together with a range: --prefix, --start, --end or --all");
  }
  for (const [name, value] of Object.entries({
    "--dry-run": flags.dryRun,
    "--limit": flags.limit,
  })) {
    if (value !== undefined) faults.add(name, "goes with a range, not with a key");
  }
  const key = keyText === undefined ? new Uint8Array(0) : readKey(keyText, format, faults);
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
