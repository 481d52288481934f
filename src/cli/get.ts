/** `kvix get`: the value of a key, or the records of several. */
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { ByteFormat } from "./byte-text.js";
import {
  addClientFlags,
  type ClientFlags,
  readSession,
  type Session,
  withServer,
} from "./client-session.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { getMany, requireFew } from "./get-many.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { jsonRecord } from "./record-text.js";
import { download } from "./transfers.js";
import { FaultList } from "./usage-error.js";
import { writeValue } from "./value-output.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Into a file or a pipe go exactly the bytes of the value; on a terminal a line
feed follows, and what is no text is escaped. A value that is too large for a message
is downloaded, and printed when all of it is there and sound.

Several keys are read at one point in time, as far as an answer has room (4 MiB):
one record a line, as \`kvix list\` prints it, in the order of the command line. Those
that are absent are left out and named on stderr, and the exit code is 3.

Examples:
  kvix get greeting
  kvix get photo > photo.jpg
  kvix get --hex 00ff10 --file value.bin
  kvix get greeting --json
  kvix get user:1 user:2 user:3
${exitCodesHelp}`;

type GetFlags = ClientFlags & FormatFlags & { readonly file?: string };

/** `kvix get KEY...`. */
export const declareGet: DeclareVerb = (command, context) => {
  addClientFlags(addFormatFlags(command))
    .argument("<KEY...>", "the key, or several")
    .option("--file <FILE>", "write the value's bytes to this file; - is stdout")
    .addHelpText("after", help)
    .action((keyTexts: string[], flags: GetFlags) => get(keyTexts, flags, context));
};

async function get(
  keyTexts: readonly string[],
  flags: GetFlags,
  context: VerbContext,
): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  const keys = keyTexts.map((text) => readKey(text, format, faults));
  requireFew(keys, faults);
  const { file } = flags;
  const isJson = flags.json === true;
  if (isJson && file !== undefined) faults.add("--json", "does not go together with --file");
  if (keys.length > 1 && file !== undefined) {
    faults.add("--file", "takes the value of one key, not of several");
  }
  faults.throwIfAny();
  const [key, ...others] = keys;
  if (key === undefined) return;
  if (others.length > 0) return await getMany(session, keys, { format, isJson }, context);
  await getOne(session, key, { format, isJson, file }, context);
}

async function getOne(
  session: Session,
  key: Uint8Array,
  way: { readonly format: ByteFormat; readonly isJson: boolean; readonly file: string | undefined },
  context: VerbContext,
): Promise<void> {
  const { record, storeVersion } = await withServer(session, async (call, stream) => {
    try {
      return await call(KvService.method.get, { key });
    } catch (error) {
      const isLarge = error instanceof KvixError && error.reason === "RECORD_TOO_LARGE";
      if (!isLarge) throw error;
      return await download(stream, key);
    }
  });
  if (record === undefined) context.exitCode = ExitCode.MISS;
  if (way.isJson) {
    const found = record === undefined ? {} : jsonRecord(record, way.format);
    const version = Number(storeVersion);
    await context.out.json({ found: record !== undefined, ...found, storeVersion: version });
    return;
  }
  if (record === undefined) throw new CommandEnd(ExitCode.MISS, "no such key");
  await writeValue(record.value, way.format, context, way.file);
}
