/** `kvix get`: the value of a key. */
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { jsonRecord } from "./record-text.js";
import { FaultList } from "./usage-error.js";
import { writeValue } from "./value-output.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Into a file or a pipe go exactly the bytes of the value; on a terminal a line
feed follows, and what is no text is escaped.

Examples:
  kvix get greeting
  kvix get photo > photo.jpg
  kvix get --hex 00ff10 --file value.bin
  kvix get greeting --json
${exitCodesHelp}`;

type GetFlags = ClientFlags & FormatFlags & { readonly file?: string };

/** `kvix get KEY`. */
export const declareGet: DeclareVerb = (command, context) => {
  addClientFlags(addFormatFlags(command))
    .argument("<KEY>", "the key")
    .option("--file <FILE>", "write the value's bytes to this file; - is stdout")
    .addHelpText("after", help)
    .action((keyText: string, flags: GetFlags) => get(keyText, flags, context));
};

async function get(keyText: string, flags: GetFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  const key = readKey(keyText, format, faults);
  if (flags.json === true && flags.file !== undefined) {
    faults.add("--json", "does not go together with --file");
  }
  faults.throwIfAny();
  const { record, storeVersion } = await withServer(session, (call) =>
    call(KvService.method.get, { key }),
  );
  if (record === undefined) context.exitCode = ExitCode.MISS;
  if (flags.json === true) {
    const found = record === undefined ? {} : jsonRecord(record, format);
    const version = Number(storeVersion);
    await context.out.json({ found: record !== undefined, ...found, storeVersion: version });
    return;
  }
  if (record === undefined) throw new CommandEnd(ExitCode.MISS, "no such key");
  await writeValue(record.value, format, context, flags.file);
}
