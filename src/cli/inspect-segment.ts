/** `kvix inspect` of a segment: one line for each frame, and for each member of a batch. */
import { dirname, join } from "node:path";
import {
  describeFlags,
  type WalkedFrame,
  type WalkedRecord,
  type WalkItem,
  walkSegment,
} from "../engine/segment-walk.js";
import { FrameFlag } from "../format/frame.js";
import { HINT_HEAD_BYTES } from "../format/hint-layout.js";
import { decodeHintHead } from "../format/hint-reader.js";
import { hintFileName, type SegmentFileName } from "../format/segment-name.js";
import { errorCode } from "../host/file-system.js";
import { loadManifest } from "../storage/manifest-file.js";
import { Segment, SegmentName } from "../storage/segment.js";
import { readStoreMark } from "../storage/store-mark.js";
import { type ByteFormat, jsonBytes, previewBytes } from "./byte-text.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { directoryOf, type Inspection } from "./inspection.js";
import { formatBytes } from "./quantity.js";
import { formatRow } from "./table.js";

const HEAD = ["offset", "length", "kind", "version", "accepted", "expires", "value", "key"];
const WIDTHS = [10, 10, 18, 12, 24, 24, 10, 0];
const RIGHT = new Set([0, 1, 3, 6]);
/** How much of a key or a value a table shows, in characters. */
const PREVIEW_LENGTH = 60;

/** What the last line says. */
interface Totals {
  frames: number;
  values: number;
  tombstones: number;
  batches: number;
  lowestVersion: number;
  highestVersion: number;
  damagedRanges: number;
  damagedBytes: number;
  tailBytes: number;
}

/** Shows a segment. */
export async function inspectSegment(
  inspection: Inspection,
  named: SegmentFileName,
): Promise<void> {
  const { file, context, asJson } = inspection;
  const storeId = inspection.storeId ?? (await findStoreId(inspection, named));
  const directory = directoryOf(inspection);
  const directories = { data: dirname(directory), segments: directory };
  const { prefix, id, timestampNs } = named;
  const name = new SegmentName(directories, storeId, prefix, id, timestampNs);
  const segment = new Segment(name, file, true);
  const length = await file.size();
  const totals = newTotals();
  if (!asJson) await context.out.line(formatRow(HEAD, WIDTHS, RIGHT));
  let left = inspection.limit;
  for await (const items of walkSegment(segment, length, inspection.withValues)) {
    const shown = items.slice(0, left);
    for (const item of shown) count(totals, item);
    await context.out.write(shown.map((item) => render(item, inspection)).join(""));
    left -= shown.length;
    if (left <= 0) break;
  }
  if (asJson) await context.out.json({ type: "summary", fileBytes: length, ...totals });
  else await context.out.write(summary(totals, length));
  if (totals.damagedRanges > 0) context.exitCode = ExitCode.DATA_LOSS;
}

/** The store that a segment belongs to, from what lies around it. */
async function findStoreId(
  inspection: Inspection,
  { prefix, id, timestampNs }: SegmentFileName,
): Promise<Uint8Array> {
  const { files } = inspection.host;
  const directory = directoryOf(inspection);
  const parent = dirname(directory);
  const mark = await readStoreMark(files, { data: parent, segments: directory });
  if (mark !== undefined) return mark;
  for (const data of [parent, directory]) {
    const verdict = await loadManifest(files, { data, segments: directory });
    if (verdict?.kind === "manifest") return verdict.manifest.storeId;
  }
  const fromHint = await storeIdOfHint(
    inspection,
    join(directory, hintFileName(prefix, id, timestampNs)),
  );
  if (fromHint !== undefined) return fromHint;
  throw new CommandEnd(
    ExitCode.REFUSED,
    "the id of the store is needed to check the frames, and no STORE, MANIFEST or hint beside " +
      "the segment has it. Give it with --store-id; `kvix inspect STORE` or MANIFEST shows it.",
  );
}

async function storeIdOfHint({ host }: Inspection, path: string): Promise<Uint8Array | undefined> {
  try {
    const file = await host.files.open(path, "read");
    try {
      const front = new Uint8Array(HINT_HEAD_BYTES);
      const head = decodeHintHead(front.subarray(0, await file.read(front, 0)));
      return head.kind === "head" ? head.storeId : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}

function newTotals(): Totals {
  return {
    frames: 0,
    values: 0,
    tombstones: 0,
    batches: 0,
    lowestVersion: 0,
    highestVersion: 0,
    damagedRanges: 0,
    damagedBytes: 0,
    tailBytes: 0,
  };
}

function count(totals: Totals, item: WalkItem): void {
  if (item.kind === "tail") {
    totals.tailBytes += item.length;
    return;
  }
  if (item.kind !== "frame") {
    totals.damagedRanges += 1;
    totals.damagedBytes += item.length;
    return;
  }
  totals.frames += 1;
  if ((item.flags & FrameFlag.BATCH) !== 0) totals.batches += 1;
  for (const { version, flags } of item.records) {
    if ((flags & FrameFlag.TOMBSTONE) === 0) totals.values += 1;
    else totals.tombstones += 1;
    if (totals.lowestVersion === 0 || version < totals.lowestVersion) {
      totals.lowestVersion = version;
    }
    if (version > totals.highestVersion) totals.highestVersion = version;
  }
}

function summary(totals: Totals, fileBytes: number): string {
  const { frames, values, tombstones, batches, damagedRanges, damagedBytes, tailBytes } = totals;
  const lines = [
    `${frames} frames in ${formatBytes(fileBytes)}: ${values} values, ${tombstones} tombstones, ${batches} batches`,
  ];
  if (frames > 0) lines.push(`versions ${totals.lowestVersion} to ${totals.highestVersion}`);
  if (damagedRanges > 0) lines.push(`${damagedRanges} damaged ranges, ${damagedBytes} bytes`);
  if (tailBytes > 0) {
    lines.push(`${tailBytes} bytes at the end are no frame: a torn tail, or a write under way`);
  }
  return `\n${lines.join("\n")}\n`;
}

function render(item: WalkItem, { asJson, format, withValues }: Inspection): string {
  if (item.kind !== "frame") {
    if (asJson) return `${JSON.stringify({ type: "damage", ...item })}\n`;
    const what = { damage: "DAMAGED", tail: "NO FRAME", unknown: "UNKNOWN", "given-up": "UNREAD" };
    return `${formatRow([String(item.offset), String(item.length), what[item.kind]], WIDTHS, RIGHT)}\n`;
  }
  return asJson ? frameJson(item, format) : frameRows(item, format, withValues);
}

function frameRows(frame: WalkedFrame, format: ByteFormat, withValues: boolean): string {
  const { offset, length, flags, timestampMs, records } = frame;
  const isBatch = (flags & FrameFlag.BATCH) !== 0;
  const accepted = new Date(timestampMs).toISOString();
  const row = (cells: readonly string[]): string => `${formatRow(cells, WIDTHS, RIGHT)}\n`;
  const recordRow = (record: WalkedRecord, kind: string): string => {
    const { version, expiresAtMs, valueBytes, key, value } = record;
    const expires = expiresAtMs === 0 ? "" : new Date(expiresAtMs).toISOString();
    const shown = previewBytes(key, format, PREVIEW_LENGTH);
    const text =
      withValues && value !== undefined
        ? `${shown} = ${previewBytes(value, format, PREVIEW_LENGTH)}`
        : shown;
    const place = [String(record.offset), String(record.length), kind, String(version)];
    return row([...place, accepted, expires, String(valueBytes), text]);
  };
  const [only] = records;
  if (!isBatch && only !== undefined) return recordRow(only, describeFlags(flags));
  const head = [String(offset), String(length), describeFlags(flags), "", accepted];
  return (
    row(head) + records.map((each) => recordRow(each, `- ${describeFlags(each.flags)}`)).join("")
  );
}

function frameJson(frame: WalkedFrame, format: ByteFormat): string {
  const { offset, length, flags, timestampMs, records } = frame;
  const isBatch = (flags & FrameFlag.BATCH) !== 0;
  const place = { type: "frame", offset, length, ...jsonFlags(flags) };
  const accepted = { acceptedTime: new Date(timestampMs).toISOString() };
  const members = records.map((record) => {
    const own = isBatch ? { offset: record.offset, length: record.length } : {};
    const kind = isBatch ? jsonFlags(record.flags) : {};
    return { ...own, ...kind, ...jsonRecordOf(record, format) };
  });
  const content = isBatch ? { members } : members[0];
  return `${JSON.stringify({ ...place, ...accepted, ...content })}\n`;
}

function jsonFlags(flags: number): { readonly kind: string; readonly barrier?: true } {
  const isBarrier = (flags & FrameFlag.BARRIER) !== 0;
  const kind = describeFlags(flags & ~FrameFlag.BARRIER);
  return { kind, ...(isBarrier && { barrier: true as const }) };
}

function jsonRecordOf(record: WalkedRecord, format: ByteFormat): Readonly<Record<string, unknown>> {
  const { key, value, valueBytes, version, expiresAtMs, flags } = record;
  const isTombstone = (flags & FrameFlag.TOMBSTONE) !== 0;
  return {
    ...jsonBytes("key", key, format),
    version,
    valueBytes,
    ...(value && !isTombstone && jsonBytes("value", value, format)),
    ...(expiresAtMs > 0 && { expireTime: new Date(expiresAtMs).toISOString() }),
  };
}
