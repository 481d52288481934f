/** `kvix inspect` of a hint: its head and summary, and one line for each entry. */
import {
  HINT_BLOCK_BYTES_MAX,
  HINT_HEAD_BYTES,
  HINT_SUMMARY_BYTES_MAX,
  HINT_TRAILER_BYTES,
  HintFlag,
} from "../format/hint-layout.js";
import {
  decodeHintBlock,
  decodeHintHead,
  decodeHintSummary,
  type HintBlock,
  HintCheck,
  type HintEnd,
  type HintHead,
} from "../format/hint-reader.js";
import type { File } from "../host/file-system.js";
import { ByteWindow } from "../storage/byte-window.js";
import { jsonBytes, previewBytes } from "./byte-text.js";
import { ExitCode } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { hex32, type Inspection } from "./inspection.js";
import { formatPairs, formatRow } from "./table.js";

const HEAD = ["offset", "length", "kind", "version", "expires", "key"];
const WIDTHS = [10, 10, 18, 12, 24, 0];
const RIGHT = new Set([0, 1, 3]);
const PREVIEW_LENGTH = 60;
const NS_PER_MS = 1_000_000n;

/** Shows a hint. A damaged one is shown up to the damage: it is an accelerator and is rebuilt. */
export async function inspectHint(inspection: Inspection): Promise<void> {
  const { file, context, asJson } = inspection;
  const fileBytes = await file.size();
  const front = new Uint8Array(HINT_HEAD_BYTES);
  const head = decodeHintHead(front.subarray(0, await file.read(front, 0)));
  if (head.kind === "damaged") throw damaged(head.why);
  const end = await readEnd(file, fileBytes);
  if (asJson) await context.out.json({ type: "hint", fileBytes, ...describeJson(head, end) });
  else {
    await context.out.write(formatPairs(describe(head, end)));
    await context.out.line(`\n${formatRow(HEAD, WIDTHS, RIGHT)}`);
  }
  const check = new HintCheck(head, end.summary);
  const window = new ByteWindow(file, end.entriesEnd);
  let left = inspection.limit;
  for (let position = HINT_HEAD_BYTES; position < end.entriesEnd && left > 0; ) {
    await window.moveTo(position, HINT_BLOCK_BYTES_MAX);
    const block = decodeHintBlock(window.bytes, position - window.start, window.bytes.length);
    if (block.kind === "damaged") throw damaged(block.why);
    if (!check.accepts(block)) throw damaged("a block of another hint");
    const shown = Math.min(block.count, left);
    await context.out.write(renderBlock(block, shown, inspection));
    left -= shown;
    position = window.start + block.next;
  }
  if (left > 0 && !check.isComplete()) throw damaged("blocks are missing");
}

async function readEnd(file: File, fileBytes: number): Promise<HintEnd> {
  let tailBytes = HINT_TRAILER_BYTES;
  for (;;) {
    const tail = new Uint8Array(Math.min(tailBytes, fileBytes));
    await file.read(tail, fileBytes - tail.length);
    const end = decodeHintSummary(tail, fileBytes);
    if (end.kind === "summary") return end;
    if (end.kind === "damaged") throw damaged(end.why);
    // The decoder bounds what it asks for; a file that ends sooner asks for no more.
    if (end.tailBytes <= tailBytes || end.tailBytes > HINT_SUMMARY_BYTES_MAX + tailBytes) {
      throw damaged("too short a file");
    }
    tailBytes = end.tailBytes;
  }
}

function damaged(why: string): CommandEnd {
  return new CommandEnd(
    ExitCode.DATA_LOSS,
    `the hint is damaged: ${why}. No data is lost: it is rebuilt when the store is next opened.`,
  );
}

function describe(head: HintHead, { summary }: HintEnd): [name: string, value: string][] {
  return [
    ["store", Buffer.from(head.storeId).toString("hex")],
    ["segment", `${head.segmentId}, timestamp ${head.timestampNs}`],
    ["segment length", `${summary.segmentLength} bytes`],
    ["segment checksum", hex32(summary.segmentChecksum)],
    ["versions", `${summary.lowestVersion} to ${summary.highestVersion}`],
    ["entries", `${summary.entries}, ${summary.tombstones} of them tombstones`],
    ["newest frame", new Date(Number(summary.newestTimestamp / NS_PER_MS)).toISOString()],
    ["damaged ranges", String(summary.damagedRanges.length)],
    ["request ids", String(summary.requests.length)],
  ];
}

function describeJson(head: HintHead, { summary }: HintEnd): Readonly<Record<string, unknown>> {
  return {
    storeId: Buffer.from(head.storeId).toString("hex"),
    segmentId: head.segmentId,
    segmentTimestamp: String(head.timestampNs),
    segmentLength: Number(summary.segmentLength),
    segmentChecksum: hex32(summary.segmentChecksum),
    lowestVersion: Number(summary.lowestVersion),
    highestVersion: Number(summary.highestVersion),
    entries: Number(summary.entries),
    tombstones: Number(summary.tombstones),
    damagedRanges: summary.damagedRanges.length,
    requests: summary.requests.length,
  };
}

function renderBlock(block: HintBlock, shown: number, { asJson, format }: Inspection): string {
  const lines: string[] = [];
  let keyStart = 0;
  for (let index = 0; index < shown; index += 1) {
    const keyEnd = keyStart + (block.keyLengths[index] as number);
    const key = block.keys.subarray(keyStart, keyEnd);
    const offset = block.offsets[index] as number;
    const length = block.lengths[index] as number;
    const version = join48(block.versionsHigh[index] as number, block.versionsLow[index] as number);
    const expiresAtMs = join48(
      block.expiriesHigh[index] as number,
      block.expiriesLow[index] as number,
    );
    const expires = expiresAtMs === 0 ? "" : new Date(expiresAtMs).toISOString();
    const kind = describeHintFlags(block.flags[index] as number);
    if (asJson) {
      const time = expires === "" ? {} : { expireTime: expires };
      const fields = { offset, length, kind, version, ...time };
      lines.push(JSON.stringify({ type: "entry", ...fields, ...jsonBytes("key", key, format) }));
    } else {
      const text = previewBytes(key, format, PREVIEW_LENGTH);
      const cells = [String(offset), String(length), kind, String(version), expires, text];
      lines.push(formatRow(cells, WIDTHS, RIGHT));
    }
    keyStart = keyEnd;
  }
  return lines.map((line) => `${line}\n`).join("");
}

function join48(high: number, low: number): number {
  return high * 2 ** 32 + low;
}

function describeHintFlags(flags: number): string {
  const isDamaged = (flags & HintFlag.DAMAGED) !== 0;
  const what =
    (flags & HintFlag.EXPIRED) !== 0
      ? "expired"
      : (flags & HintFlag.TOMBSTONE) !== 0
        ? "tombstone"
        : "value";
  return isDamaged ? `${what}, damaged` : what;
}
