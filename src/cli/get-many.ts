/**
 * `kvix get` of several keys: one record a line, in the order of the command line.
 *
 * They are read at one point in time, as far as an answer has room; what it had none for
 * is asked for again, so that part is of a later one. The worst that became of a key is
 * how the command ends: damage, then a value too large for an answer, then a miss.
 */
import { type BatchGetEntry, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { BATCH_KEYS_MAX } from "../base/limits.js";
import { type ByteFormat, jsonBytes, showBytes } from "./byte-text.js";
import { type Call, type Session, withServer } from "./client-session.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { jsonFound, recordLine } from "./record-lines.js";
import type { FaultList } from "./usage-error.js";
import type { VerbContext } from "./verb.js";

/** How many keys a sentence names. */
const NAMED_MAX = 5;

/** Notes a fault if there are more keys than one request may have. */
export function requireFew(keys: readonly Uint8Array[], faults: FaultList): void {
  if (keys.length <= BATCH_KEYS_MAX) return;
  faults.add("KEY", `is given ${keys.length} times; at most ${BATCH_KEYS_MAX} are read at a time`);
}

/** Prints the records of `keys`. */
export async function getMany(
  session: Session,
  keys: readonly Uint8Array[],
  style: { readonly format: ByteFormat; readonly isJson: boolean },
  { out }: VerbContext,
): Promise<void> {
  const ends = new Map<number, Uint8Array[]>();
  await withServer(session, async (call) => {
    for await (const { key, entry } of entriesOf(call, keys)) {
      const end = endOf(entry);
      if (end !== ExitCode.OK) ends.set(end, [...(ends.get(end) ?? []), key]);
      const text = entryText(key, entry, style);
      if (text !== "") await out.write(text);
    }
  });
  for (const [code, what] of worstFirst) {
    const named = ends.get(code);
    if (named !== undefined) throw new CommandEnd(code, `${what}: ${namesOf(named, style.format)}`);
  }
}

const worstFirst: readonly (readonly [number, string])[] = [
  [ExitCode.DATA_LOSS, "damaged, get them one by one"],
  [ExitCode.REFUSED, "too large for an answer, get them one by one"],
  [ExitCode.MISS, "no such key"],
];

function endOf({ record, valueOmitted, unreadable }: BatchGetEntry): number {
  if (unreadable) return ExitCode.DATA_LOSS;
  if (valueOmitted) return ExitCode.REFUSED;
  return record === undefined ? ExitCode.MISS : ExitCode.OK;
}

function entryText(
  key: Uint8Array,
  entry: BatchGetEntry,
  { format, isJson }: { readonly format: ByteFormat; readonly isJson: boolean },
): string {
  const found = entry.record !== undefined;
  const style = { format, isJson, keysOnly: false };
  if (!isJson) return found ? `${recordLine(entry, style)}\n` : "";
  const fields = found ? jsonFound(entry, style) : jsonBytes("key", key, format);
  return `${JSON.stringify({ found, ...fields })}\n`;
}

/** The entry of each key, in order; every answer has the first that was asked for. */
async function* entriesOf(
  call: Call,
  keys: readonly Uint8Array[],
): AsyncGenerator<{ key: Uint8Array; entry: BatchGetEntry }> {
  for (let read = 0; read < keys.length; ) {
    const asked = keys.slice(read);
    const { entries } = await call(KvService.method.batchGet, { keys: asked });
    const unread = entries.findIndex(({ unread }) => unread);
    const answered = unread === -1 ? entries.length : unread;
    if (answered === 0) throw new KvixError("INTERNAL_BUG", "an answer without an entry");
    for (const [at, entry] of entries.slice(0, answered).entries()) {
      yield { key: asked[at] as Uint8Array, entry };
    }
    read += answered;
  }
}

function namesOf(keys: readonly Uint8Array[], format: ByteFormat): string {
  const named = keys.slice(0, NAMED_MAX).map((key) => showBytes(key, format));
  const more = keys.length - named.length;
  return `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
