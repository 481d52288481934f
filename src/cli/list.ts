/**
 * `kvix list`: records in the order of their keys, page after page as they are
 * printed. Every page is one point in time, the whole list is not; it takes as long as
 * it takes. `kvix scan` is one point in time, and ends if it takes too long.
 */
import { KvService, type ListResponse } from "../../gen/kvix/v1/kvix_pb.js";
import {
  addClientFlags,
  type Call,
  type ClientFlags,
  readSession,
  withServer,
} from "./client-session.js";
import { exitCodesHelp } from "./exit-code.js";
import { addFormatFlags, type FormatFlags, readFormat } from "./key-flags.js";
import { addRangeFlags, type KeyRange, type RangeFlags, readRange } from "./range-flags.js";
import { recordLines } from "./record-lines.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import { readCount } from "./write-flags.js";

/** How many records are asked for at a time. */
const PAGE_SIZE = 1000;

const help = `
One record a line: the key, a tab, the value. What is not printable is escaped
(\\n, \\t, \\xff, \\\\), so a line is always one record; with --json every line is a
JSON object. A value that does not fit a page is left out and marked; get it. What
is written meanwhile may show; \`kvix scan\` is one point in time.

Examples:
  kvix list
  kvix list --prefix user: --keys-only | head
  kvix list --start 2026-01 --end 2026-02 --reverse --limit 10
  kvix list --json | jq -r .key
${exitCodesHelp}`;

type ListFlags = ClientFlags &
  FormatFlags &
  RangeFlags & {
    readonly reverse?: true;
    readonly keysOnly?: true;
    readonly limit?: string;
  };

/** `kvix list`. */
export const declareList: DeclareVerb = (command, context) => {
  addRangeFlags(addFormatFlags(command))
    .option("--reverse", "from the last key to the first")
    .option("--keys-only", "print keys alone; the disk is not read")
    .option("--limit <N>", "at most so many records; default: all");
  addClientFlags(command)
    .addHelpText("after", help)
    .action((flags: ListFlags) => list(flags, context));
};

interface ListAsked extends KeyRange {
  readonly reverse: boolean;
  readonly keysOnly: boolean;
}

async function list(flags: ListFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  const range = readRange(flags, format, faults);
  const keysOnly = flags.keysOnly === true;
  const asked = { ...range, reverse: flags.reverse === true, keysOnly };
  const { limit } = flags;
  const most = Number.MAX_SAFE_INTEGER;
  const count = limit === undefined ? most : readCount("--limit", limit, 1, most, faults);
  faults.throwIfAny();
  const style = { format, isJson: flags.json === true, keysOnly };
  await withServer(session, async (call) => {
    for await (const { records } of pages(call, asked, count)) {
      await context.out.write(recordLines(records, style));
    }
  });
}

/** Pages until the end of the range, or until `limit` records. */
async function* pages(call: Call, asked: ListAsked, limit: number): AsyncGenerator<ListResponse> {
  let left = limit;
  let pageToken = "";
  do {
    const pageSize = Math.min(PAGE_SIZE, left);
    const page = await call(KvService.method.list, { ...asked, pageSize, pageToken });
    yield page;
    left -= page.records.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && left > 0);
}
