/** `kvix set`: stores a value. */
import {
  KvService,
  type SetResponse,
  type Record as StoreRecord,
  type UploadResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { VALUE_BYTES_MAX } from "../base/limits.js";
import { type ByteFormat, parseByteText } from "./byte-text.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { jsonAnswered, jsonExpiry, showExpiry } from "./record-text.js";
import { MESSAGE_VALUE_BYTES, upload } from "./transfers.js";
import { unmetMessage } from "./unmet.js";
import { FaultList } from "./usage-error.js";
import { readNamedFile } from "./value-input.js";
import { STANDARD_STREAM, writeValue } from "./value-output.js";
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
The value is an argument, or comes byte by byte from stdin (-) or a file. Without
--ttl, --expire-at or --keep-ttl the record never expires. With --return-previous
stdout gets the value that was replaced; without it a value that is too large for a
message is uploaded.

Examples:
  kvix set greeting hello
  kvix set session:7 '{"user": 1}' --ttl 90s
  tar c . | kvix set backup -
  kvix set photo --file photo.jpg --if-absent
  kvix set counter 2 --if-version 17
${exitCodesHelp}`;

type SetFlags = ClientFlags &
  FormatFlags &
  ExpiryFlags &
  ConditionFlags &
  DurabilityFlag & {
    readonly file?: string;
    readonly keepTtl?: true;
    readonly returnPrevious?: true;
  };

/** `kvix set KEY [VALUE]`. */
export const declareSet: DeclareVerb = (command, context) => {
  addFormatFlags(command)
    .argument("<KEY>", "the key")
    .argument("[VALUE]", "the value; - reads it from stdin")
    .option("--file <FILE>", "take the value's bytes from this file; - is stdin")
    .option("--ttl <TIME>", "expire after this long: 1500ms, 90s, 1h")
    .option("--expire-at <INSTANT>", "expire at this instant: 2027-01-31T12:00:00Z")
    .option("--keep-ttl", "keep the expiry of the record that is replaced")
    .option("--return-previous", "answer with the value that was replaced");
  addClientFlags(addWriteFlags(command))
    .addHelpText("after", help)
    .action((key: string, value: string | undefined, flags: SetFlags) =>
      set(key, value, flags, context),
    );
};

async function set(
  keyText: string,
  valueText: string | undefined,
  flags: SetFlags,
  context: VerbContext,
): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  const key = readKey(keyText, format, faults);
  const { keepTtl } = flags;
  const deadline = readDeadline(flags, { "--keep-ttl": keepTtl }, faults);
  const expiry = keepTtl === true ? ({ case: "keepTtl", value: true } as const) : deadline;
  const precondition = readCondition(flags, faults);
  const durability = readDurability(flags, faults);
  const given = readValueArgument(valueText, flags, format, faults);
  faults.throwIfAny();
  const value = given ?? (await readValueFile(flags.file, context));
  const returnPrevious = flags.returnPrevious === true;
  const header = {
    key,
    ...(expiry && { expiry }),
    ...(precondition && { precondition }),
    durability,
  };
  // What was replaced comes with a Set alone.
  const isLarge = value.length > MESSAGE_VALUE_BYTES && !returnPrevious;
  const answer = await withServer(session, async (call, _stream, intake) =>
    isLarge
      ? await upload(intake, header, value)
      : await call(KvService.method.set, { ...header, value, returnPrevious }),
  );
  if (!answer.applied) context.exitCode = ExitCode.UNMET;
  if (flags.json === true) return await context.out.json(jsonAnswer(answer, format));
  if (!answer.applied) throw new CommandEnd(ExitCode.UNMET, unmetMessage(answer.current));
  const line = `set version ${answer.version}${showExpiry(answer.expireTime)}`;
  if (!returnPrevious) return await context.out.line(line);
  await context.err.line(`kvix set: ${line}${previousNote(answer)}`);
  const previous = previousOf(answer);
  if (previous !== undefined && !answer.valueOmitted) {
    await writeValue(previous.value, format, context);
  }
}

type Answer = SetResponse | UploadResponse;

function previousNote(answer: Answer): string {
  const { valueOmitted, recordBytes } = answer;
  const previous = previousOf(answer);
  if (previous === undefined) return "; there was no record before";
  if (!valueOmitted) return "";
  return `; the previous record has ${recordBytes} bytes, too many for a message`;
}

/** What was replaced: a Set may say so. */
function previousOf(answer: Answer): StoreRecord | undefined {
  return "previous" in answer ? answer.previous : undefined;
}

function jsonAnswer(answer: Answer, format: ByteFormat): Readonly<Record<string, unknown>> {
  const { applied, version, expireTime, storeVersion } = answer;
  return {
    applied,
    ...(applied && { version: Number(version), ...jsonExpiry(expireTime) }),
    ...jsonAnswered(answer, format),
    storeVersion: Number(storeVersion),
  };
}

/** The value that stands on the command line; undefined: it is to be read. */
function readValueArgument(
  text: string | undefined,
  { file }: SetFlags,
  format: ByteFormat,
  faults: FaultList,
): Uint8Array | undefined {
  if (file !== undefined) {
    if (text !== undefined) faults.add("VALUE", "does not go together with --file");
    return undefined;
  }
  if (text === STANDARD_STREAM) return undefined;
  if (text !== undefined) return faults.collect(() => parseByteText(text, format, "VALUE"));
  faults.add("VALUE", "is missing; give it as an argument, with --file, or - to read stdin");
  return undefined;
}

/** The value's bytes from --file, or from stdin. */
async function readValueFile(file: string | undefined, context: VerbContext): Promise<Uint8Array> {
  const isStandard = file === undefined || file === STANDARD_STREAM;
  const option = isStandard ? "VALUE" : "--file";
  return await readNamedFile(option, file ?? STANDARD_STREAM, VALUE_BYTES_MAX, context);
}
