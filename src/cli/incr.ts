/** `kvix incr`: adds to a number. */
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { addClientFlags, type ClientFlags, readSession, withServer } from "./client-session.js";
import { exitCodesHelp } from "./exit-code.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { INT64_RANGE, jsonInt64, parseInt64 } from "./quantity.js";
import { jsonExpiry } from "./record-text.js";
import {
  addRequestIdFlag,
  advisingRepeat,
  type RequestIdFlag,
  readRequestId,
} from "./request-id.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import {
  addDurabilityFlag,
  type DurabilityFlag,
  type ExpiryFlags,
  readDeadline,
  readDurability,
} from "./write-flags.js";

const help = `
The value is the decimal text of a whole number of 64 bits; what it is now is
printed. An absent key counts as --initial, else as 0. The expiry stays as it is,
unless --ttl, --expire-at or --persist say otherwise. With --json a number beyond
2^53 is text, so that no reader rounds it.

Examples:
  kvix incr visits
  kvix incr stock:7 -5
  kvix incr tickets 1 --initial 1000 --request-id "$(uuidgen)"
  kvix incr "calls:$(date +%H)" --ttl 1h
${exitCodesHelp}`;

type IncrFlags = ClientFlags &
  FormatFlags &
  ExpiryFlags &
  RequestIdFlag &
  DurabilityFlag & { readonly initial?: string; readonly persist?: true };

/** `kvix incr KEY [DELTA]`. */
export const declareIncr: DeclareVerb = (command, context) => {
  addFormatFlags(command)
    .argument("<KEY>", "the key")
    .argument("[DELTA]", "what is added; may be negative; default: 1")
    .option("--initial <N>", "what an absent key counts as; default: 0")
    .option("--ttl <TIME>", "expire after this long: 1500ms, 90s, 1h")
    .option("--expire-at <INSTANT>", "expire at this instant: 2027-01-31T12:00:00Z")
    .option("--persist", "never expire");
  addClientFlags(addDurabilityFlag(addRequestIdFlag(command)))
    .addHelpText("after", help)
    .action((key: string, delta: string | undefined, flags: IncrFlags) =>
      increment(key, delta, flags, context),
    );
};

async function increment(
  keyText: string,
  deltaText: string | undefined,
  flags: IncrFlags,
  { out, environment }: VerbContext,
): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, environment, faults);
  const key = readKey(keyText, readFormat(flags, faults), faults);
  const delta = readNumber("DELTA", deltaText ?? "1", faults);
  const initial = readNumber("--initial", flags.initial ?? "0", faults);
  const deadline = readDeadline(flags, { "--persist": flags.persist }, faults);
  const expiry = flags.persist === true ? ({ case: "persist", value: true } as const) : deadline;
  const durability = readDurability(flags, faults);
  const requestId = readRequestId(flags, faults);
  faults.throwIfAny();
  const request = { key, delta, initial, ...(expiry && { expiry }), durability, requestId };
  const answer = await advisingRepeat(requestId, () =>
    withServer(session, (call) => call(KvService.method.increment, request)),
  );
  const { value, version, expireTime, repeated, storeVersion } = answer;
  if (flags.json !== true) return await out.line(String(value));
  await out.json({
    value: jsonInt64(value),
    version: Number(version),
    ...jsonExpiry(expireTime),
    repeated,
    storeVersion: Number(storeVersion),
  });
}

function readNumber(option: string, text: string, faults: FaultList): bigint {
  const number = parseInt64(text);
  if (number === undefined) {
    faults.add(option, `is ${JSON.stringify(text)}; it must be ${INT64_RANGE}`);
  }
  return number ?? 0n;
}
