/**
 * Changes one a line: the version, what happened, the key and, of a record that was
 * written or stands, its value; or a JSON object.
 *
 *     17  set      user:1  ada
 *     18  delete   user:2
 *     19  expire   session:7
 *     12  current  user:3  grace     with --include-current, before the changes
 *
 * with tabs between them.
 */
import { type WatchEvent, WatchEventKind } from "../../gen/kvix/v1/kvix_pb.js";
import { showBytes } from "./byte-text.js";
import { jsonFound, type LineStyle, shownValue } from "./record-lines.js";
import { jsonRecord } from "./record-text.js";

/** One word for what happened. */
type WatchWord = "set" | "delete" | "expire" | "current" | "unknown";

const words: Readonly<Record<WatchEventKind, WatchWord>> = {
  // A newer server may know of more.
  [WatchEventKind.UNSPECIFIED]: "unknown",
  [WatchEventKind.SET]: "set",
  [WatchEventKind.DELETE]: "delete",
  [WatchEventKind.EXPIRE]: "expire",
};

/** The line of an event, with its line feed. `isCurrent`: it is a record that stands. */
export function eventLine(event: WatchEvent, isCurrent: boolean, style: LineStyle): string {
  const word = isCurrent ? "current" : (words[event.kind] ?? "unknown");
  const isRecord = event.kind === WatchEventKind.SET;
  return style.isJson
    ? `${JSON.stringify({ kind: word, ...jsonEvent(event, isRecord, style) })}\n`
    : `${textEvent(event, word, isRecord, style)}\n`;
}

function jsonEvent(
  event: WatchEvent,
  isRecord: boolean,
  style: LineStyle,
): Readonly<Record<string, unknown>> {
  if (isRecord) return jsonFound(event, style);
  return event.record === undefined ? {} : jsonRecord(event.record, style.format, false);
}

function textEvent(
  event: WatchEvent,
  word: WatchWord,
  isRecord: boolean,
  { format, keysOnly }: LineStyle,
): string {
  const key = showBytes(event.record?.key ?? new Uint8Array(0), format);
  const told = `${event.record?.version ?? 0}\t${word}\t${key}`;
  return isRecord && !keysOnly ? `${told}\t${shownValue(event, format)}` : told;
}
