/** `kvix sync`: waits until everything acknowledged so far is durable. */
import { AdminService } from "../../gen/kvix/v1/kvix_pb.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { exitCodesHelp } from "./exit-code.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Only writes that asked for durability "buffered" need it.

Example:
  kvix set a 1 --durability buffered && kvix set b 2 --durability buffered && kvix sync
${exitCodesHelp}`;

/** `kvix sync`. */
export const declareSync: DeclareVerb = (command, context) => {
  addClientFlags(command)
    .addHelpText("after", help)
    .action((flags: ClientFlags) => sync(flags, context));
};

async function sync(flags: ClientFlags, { out, environment }: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, environment, faults);
  faults.throwIfAny();
  const { durableVersion, storeVersion } = await withServer(session, (call) =>
    call(AdminService.method.sync, {}),
  );
  if (flags.json !== true) return await out.line(`durable up to version ${durableVersion}`);
  const json = { durableVersion: Number(durableVersion), storeVersion: Number(storeVersion) };
  await out.json(json);
}
