/**
 * `kvix scan`: records in the order of their keys, all as they stood at one point in
 * time, as they come. Memory is one message, for the next is taken when this one is
 * printed.
 *
 * What ends it early, whatever it is, is told with the --after that goes on: behind the
 * last record that was printed, at a newer point in time.
 */
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { ByteFormat } from "./byte-text.js";
import {
  addClientFlags,
  type ClientFlags,
  NO_TIMEOUT,
  readSession,
  withServer,
} from "./client-session.js";
import { exitCodesHelp } from "./exit-code.js";
import { CommandEnd, explainFailure } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat } from "./key-flags.js";
import {
  addRangeFlags,
  type RangeFlags,
  rangeBehind,
  readBound,
  readRange,
  typedKey,
} from "./range-flags.js";
import { recordLines } from "./record-lines.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import { readCount } from "./write-flags.js";

const help = `
All records are of one point in time, whatever is written meanwhile. The lines are
those of \`kvix list\`. There is no timeout unless one is given; the server ends a
scan that takes longer than 5 minutes, or if too much is overwritten meanwhile: then
stderr says with which --after to go on, and the exit code is 5.

Examples:
  kvix scan > all.txt
  kvix scan --prefix user: --keys-only | wc -l
  kvix scan --json --after user:1200 | jq -c '{op: "set", key, value}'
  kvix scan --start 2026-01 --end 2026-02 --reverse --limit 10
${exitCodesHelp}`;

type ScanFlags = ClientFlags &
  FormatFlags &
  RangeFlags & {
    readonly after?: string;
    readonly reverse?: true;
    readonly keysOnly?: true;
    readonly limit?: string;
  };

/** `kvix scan`. */
export const declareScan: DeclareVerb = (command, context) => {
  addRangeFlags(addFormatFlags(command))
    .option("--after <KEY>", "only keys behind this one; with --reverse, before it")
    .option("--reverse", "from the last key to the first")
    .option("--keys-only", "print keys alone; the disk is not read")
    .option("--limit <N>", "at most so many records; default: all");
  addClientFlags(command, NO_TIMEOUT)
    .addHelpText("after", help)
    .action((flags: ScanFlags) => scan(flags, context));
};

async function scan(flags: ScanFlags, { out, environment }: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, environment, faults, NO_TIMEOUT);
  const format = readFormat(flags, faults);
  const asked = readRange(flags, format, faults);
  const after = readBound("--after", flags.after ?? "", format, faults);
  const reverse = flags.reverse === true;
  const keysOnly = flags.keysOnly === true;
  const most = Number.MAX_SAFE_INTEGER;
  const limit = flags.limit === undefined ? 0 : readCount("--limit", flags.limit, 1, most, faults);
  faults.throwIfAny();
  const range = after.length === 0 ? asked : rangeBehind(asked, after, reverse);
  if (range === undefined) return;
  const request = { ...range, reverse, keysOnly, limit: BigInt(limit) };
  const style = { format, isJson: flags.json === true, keysOnly };
  let last = after;
  await withServer(session, async (_call, stream) => {
    try {
      for await (const { records } of stream(KvService.method.scan, request)) {
        await out.write(recordLines(records, style));
        last = records.at(-1)?.record?.key ?? last;
      }
    } catch (error) {
      throw last.length === 0 ? error : goingOn(error, last, format);
    }
  });
}

/** The same end, with where to go on; a reader that went away, and a defect, stay what they are. */
function goingOn(error: unknown, last: Uint8Array, format: ByteFormat): unknown {
  if (!(error instanceof CommandEnd) && !(error instanceof KvixError)) return error;
  const { exitCode } = explainFailure(error);
  const { message } = error;
  const onwards = typedKey("--after", last, format);
  return new CommandEnd(exitCode, `${message.replace(/\.$/, "")}. Go on with ${onwards}`);
}
