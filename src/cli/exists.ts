/** `kvix exists`: whether a key is there, and what the index knows of it. */
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { jsonExpiry, showExpiry } from "./record-text.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Answered from memory; the disk is not read.

Examples:
  kvix exists greeting
  if kvix exists lock > /dev/null; then echo taken; fi
${exitCodesHelp}`;

type ExistsFlags = ClientFlags & FormatFlags;

/** `kvix exists KEY`. */
export const declareExists: DeclareVerb = (command, context) => {
  addClientFlags(addFormatFlags(command))
    .argument("<KEY>", "the key")
    .addHelpText("after", help)
    .action((key: string, flags: ExistsFlags) => exists(key, flags, context));
};

async function exists(keyText: string, flags: ExistsFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const key = readKey(keyText, readFormat(flags, faults), faults);
  faults.throwIfAny();
  const answer = await withServer(session, (call) => call(KvService.method.exists, { key }));
  const { expireTime, recordBytes, storeVersion } = answer;
  const version = Number(answer.version);
  if (!answer.exists) context.exitCode = ExitCode.MISS;
  if (flags.json === true) {
    const known = answer.exists ? { version, ...jsonExpiry(expireTime), recordBytes } : {};
    const newest = Number(storeVersion);
    return await context.out.json({ exists: answer.exists, ...known, storeVersion: newest });
  }
  if (!answer.exists) throw new CommandEnd(ExitCode.MISS, "no such key");
  await context.out.line(
    `exists version ${version} record ${recordBytes} bytes${showExpiry(expireTime)}`,
  );
}
