/** Builds and reads whole hints for the tests of this floor. */
import assert from "node:assert/strict";
import type { HintSummary } from "../../gen/kvix/v1/kvix_pb.js";
import { HINT_HEAD_BYTES, type HintBinding } from "../../src/format/hint-layout.js";
import {
  decodeHintBlock,
  decodeHintHead,
  decodeHintSummary,
  HintCheck,
} from "../../src/format/hint-reader.js";
import {
  type HintSegmentFacts,
  HintWriter,
  type HintWriterOptions,
} from "../../src/format/hint-writer.js";
import { concat, sampleSegmentId, sampleStoreId, sampleTimestampNs, text } from "./frames.js";

/** One entry, as a test speaks of it. */
export interface HintEntry {
  readonly key: Uint8Array;
  readonly offset: number;
  readonly length: number;
  readonly version: number;
  readonly expiresAtMs: number;
  readonly flags: number;
}

export const sampleBinding: HintBinding = {
  storeId: sampleStoreId,
  segmentId: sampleSegmentId,
  timestampNs: sampleTimestampNs,
};

export const sampleFacts: HintSegmentFacts = {
  segmentLength: 2n ** 32n + 200n,
  segmentChecksum: 0xcafef00d,
  lowestVersion: 1n,
  highestVersion: 2n ** 48n - 1n,
  newestTimestamp: sampleTimestampNs + 1n,
  damagedRanges: [],
  requests: [],
};

/** The file of a hint with these entries. */
export function hintOf(
  entries: readonly HintEntry[],
  facts: HintSegmentFacts = sampleFacts,
  binding: HintBinding = sampleBinding,
  options?: HintWriterOptions,
): Uint8Array {
  const writer = new HintWriter(binding, options);
  const pieces: Uint8Array[] = [];
  for (const { key, offset, length, version, expiresAtMs, flags } of entries) {
    const source = concat(Uint8Array.of(1, 2), key, Uint8Array.of(3));
    const end = 2 + key.length;
    const piece = writer.add(source, 2, end, offset, length, version, expiresAtMs, flags);
    if (piece !== undefined) pieces.push(piece);
  }
  return concat(...pieces, ...writer.finish(facts));
}

/** A hint that was read to its end. */
export interface ReadHint {
  readonly binding: HintBinding;
  readonly summary: HintSummary;
  readonly entries: HintEntry[];
  readonly blockCounts: number[];
}

/** Reads a whole hint as a loader does; undefined if anything about it is in doubt. */
export function readHint(file: Uint8Array): ReadHint | undefined {
  const end = decodeHintSummary(file, file.length);
  if (end.kind !== "summary") return undefined;
  const head = decodeHintHead(file);
  if (head.kind !== "head") return undefined;
  const check = new HintCheck(head, end.summary);
  const entries: HintEntry[] = [];
  const blockCounts: number[] = [];
  let at = HINT_HEAD_BYTES;
  while (at < end.entriesEnd) {
    const block = decodeHintBlock(file, at, end.entriesEnd);
    if (block.kind !== "block" || !check.accepts(block)) return undefined;
    let keyAt = 0;
    for (let index = 0; index < block.count; index++) {
      const keyEnd = keyAt + (block.keyLengths[index] ?? 0);
      entries.push({
        key: block.keys.slice(keyAt, keyEnd),
        offset: block.offsets[index] ?? Number.NaN,
        length: block.lengths[index] ?? Number.NaN,
        version: wide(block.versionsHigh[index], block.versionsLow[index]),
        expiresAtMs: wide(block.expiriesHigh[index], block.expiriesLow[index]),
        flags: block.flags[index] ?? Number.NaN,
      });
      keyAt = keyEnd;
    }
    blockCounts.push(block.count);
    at = block.next;
  }
  const { storeId, segmentId, timestampNs } = head;
  const binding = { storeId, segmentId, timestampNs };
  return check.isComplete() ? { binding, summary: end.summary, entries, blockCounts } : undefined;
}

const wide = (high = Number.NaN, low = Number.NaN): number => high * 2 ** 32 + low;

/** An entry for a key of this name. */
export const entryOf = (name: string, change: Partial<HintEntry> = {}): HintEntry => ({
  key: text(name),
  offset: 100,
  length: 60,
  version: 7,
  expiresAtMs: 0,
  flags: 0,
  ...change,
});

/** Seven entries in three blocks: of three, three and one. */
export const few = ["a", "bb", "ccc", "dddd", "e", "ff", "g"].map((name, index) =>
  entryOf(name, { version: index + 1, flags: index % 2, offset: index * 60 }),
);

/** The file of those. */
export const fewFile = hintOf(few, sampleFacts, sampleBinding, { entriesMax: 3 });

/** Where the blocks of a sound hint end. */
export function entriesEndOf(file: Uint8Array): number {
  const end = decodeHintSummary(file, file.length);
  assert.ok(end.kind === "summary");
  return end.entriesEnd;
}
