/**
 * `kvix list`: records in the order of their keys, page after page as they are
 * printed. Every page is one point in time, the whole list is not.
 */
import { KvService, type ListedRecord, type ListResponse } from "../../gen/kvix/v1/kvix_pb.js";
import { KEY_BYTES_MAX } from "../base/limits.js";
import { type ByteFormat, parseByteText, showBytes } from "./byte-text.js";
import {
  addClientFlags,
  type Call,
  type ClientFlags,
  readSession,
  withServer,
} from "./client-session.js";
import { exitCodesHelp } from "./exit-code.js";
import { addFormatFlags, type FormatFlags, readFormat } from "./key-flags.js";
import { jsonRecord } from "./record-text.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import { readCount } from "./write-flags.js";

/** How many records are asked for at a time. */
const PAGE_SIZE = 1000;

const help = `
One record a line: the key, a tab, the value. What is not printable is escaped
(\\n, \\t, \\xff, \\\\), so a line is always one record; with --json every line is a
JSON object. A value that does not fit a page is left out and marked; get it.

Examples:
  kvix list
  kvix list --prefix user: --keys-only | head
  kvix list --start 2026-01 --end 2026-02 --reverse --limit 10
  kvix list --json | jq -r .key
${exitCodesHelp}`;

type ListFlags = ClientFlags &
  FormatFlags & {
    readonly prefix?: string;
    readonly start?: string;
    readonly end?: string;
    readonly reverse?: true;
    readonly keysOnly?: true;
    readonly limit?: string;
  };

/** `kvix list`. */
export const declareList: DeclareVerb = (command, context) => {
  addFormatFlags(command)
    .option("--prefix <P>", "only keys that begin with this")
    .option("--start <KEY>", "only keys at or above this one")
    .option("--end <KEY>", "only keys below this one")
    .option("--reverse", "from the last key to the first")
    .option("--keys-only", "print keys alone; the disk is not read")
    .option("--limit <N>", "at most so many records; default: all");
  addClientFlags(command)
    .addHelpText("after", help)
    .action((flags: ListFlags) => list(flags, context));
};

interface ListAsked {
  readonly prefix: Uint8Array;
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  readonly reverse: boolean;
  readonly keysOnly: boolean;
}

async function list(flags: ListFlags, context: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, context.environment, faults);
  const format = readFormat(flags, faults);
  const bound = (option: string, text = ""): Uint8Array => readBound(option, text, format, faults);
  const asked = {
    prefix: bound("--prefix", flags.prefix),
    start: bound("--start", flags.start),
    end: bound("--end", flags.end),
    reverse: flags.reverse === true,
    keysOnly: flags.keysOnly === true,
  };
  if (flags.prefix !== undefined && (flags.start ?? flags.end) !== undefined) {
    faults.add("--prefix", "does not go together with --start or --end");
  }
  const { limit } = flags;
  const most = Number.MAX_SAFE_INTEGER;
  const count = limit === undefined ? most : readCount("--limit", limit, 1, most, faults);
  faults.throwIfAny();
  const show = flags.json === true ? jsonLine : asked.keysOnly ? keyLine : textLine;
  await withServer(session, async (call) => {
    for await (const { records } of pages(call, asked, count)) {
      await context.out.write(records.map((each) => `${show(each, format, asked)}\n`).join(""));
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

function readBound(
  option: string,
  text: string,
  format: ByteFormat,
  faults: FaultList,
): Uint8Array {
  const bytes = faults.collect(() => parseByteText(text, format, option)) ?? new Uint8Array(0);
  if (bytes.length > KEY_BYTES_MAX) {
    faults.add(option, `has ${bytes.length} bytes; a key has at most ${KEY_BYTES_MAX}`);
  }
  return bytes;
}

function keyLine({ record }: ListedRecord, format: ByteFormat): string {
  return showBytes(record?.key ?? new Uint8Array(0), format);
}

function textLine(listed: ListedRecord, format: ByteFormat): string {
  const { record, valueOmitted, recordBytes, unreadable } = listed;
  const key = keyLine(listed, format);
  if (unreadable) return `${key}\t(damaged: kvix get says which bytes)`;
  if (valueOmitted) return `${key}\t(record of ${recordBytes} bytes: get it)`;
  return `${key}\t${showBytes(record?.value ?? new Uint8Array(0), format)}`;
}

function jsonLine(listed: ListedRecord, format: ByteFormat, { keysOnly }: ListAsked): string {
  const { record, valueOmitted, recordBytes, unreadable } = listed;
  return JSON.stringify({
    ...(record && jsonRecord(record, format, !keysOnly && !valueOmitted)),
    recordBytes,
    ...(valueOmitted && { valueOmitted }),
    ...(unreadable && { unreadable }),
  });
}
