/**
 * The golden files of format version 1: fixed inputs, and the bytes that this
 * version of kvix must give for them for ever. `test/fixtures/v1` holds those
 * bytes; KVIX_WRITE_GOLDEN=1 writes them anew, which is right only for a file
 * that is not there yet.
 */
import { create } from "@bufbuild/protobuf";
import {
  DamagedRangeSchema,
  HintRequestSchema,
  type Manifest,
  ManifestSchema,
  SegmentState,
} from "../../gen/kvix/v1/kvix_pb.js";
import { FrameFlag } from "../../src/format/frame.js";
import { HintFlag } from "../../src/format/hint-layout.js";
import { encodeManifest } from "../../src/format/manifest.js";
import {
  batchOf,
  concat,
  frameOf,
  recordOf,
  sampleNowMs,
  sampleSalt,
  sampleStoreId,
  sampleTimestampNs,
  text,
  tombstoneOf,
} from "./frames.js";
import { type HintEntry, hintOf, sampleBinding } from "./hints.js";

const { TOMBSTONE, EXPIRED, BATCH, BARRIER } = FrameFlag;

/** A frame of the page: its flags without BARRIER, its time and its payload. */
interface GoldenFrame {
  readonly flags: number;
  readonly timestampMs: number;
  readonly payload: Uint8Array;
}

/** When the key with a lifetime of a minute was swept. */
const sweptAtMs = sampleNowMs + 60_500;

/** The kinds of frame, by the name of their file. */
export const goldenFrames: Readonly<Record<string, GoldenFrame>> = {
  "frame-value": {
    flags: 0,
    timestampMs: sampleNowMs,
    payload: recordOf(text("user:1"), text("Ada"), 1),
  },
  "frame-value-expiring": {
    flags: 0,
    timestampMs: sampleNowMs,
    payload: recordOf(text("session:9"), text("token"), 300, sampleNowMs, sampleNowMs + 60_000),
  },
  "frame-empty-value": {
    flags: 0,
    timestampMs: sampleNowMs,
    payload: recordOf(text("flag"), text(""), 2 ** 48 - 1),
  },
  "frame-tombstone": {
    flags: TOMBSTONE,
    timestampMs: sampleNowMs,
    payload: tombstoneOf(text("user:1"), 302),
  },
  "frame-expired-tombstone": {
    flags: TOMBSTONE | EXPIRED,
    timestampMs: sweptAtMs,
    payload: tombstoneOf(text("session:9"), 303, sweptAtMs),
  },
  "frame-batch": {
    flags: BATCH,
    timestampMs: sampleNowMs,
    payload: batchOf(
      text("order-17"),
      Uint8Array.of(0xab, 0xcd),
      Uint8Array.of(0x08, 0x01),
      concat(
        frameOf(recordOf(text("a"), text("1"), 304)),
        frameOf(tombstoneOf(text("b"), 305), TOMBSTONE),
      ),
    ),
  },
};

const goldenEntries: readonly HintEntry[] = [
  entry("user:1", 0, 46, 302, 0, HintFlag.TOMBSTONE),
  entry("session:9", 46, 61, 303, 0, HintFlag.TOMBSTONE | HintFlag.EXPIRED),
  entry("flag", 107, 44, 2 ** 48 - 1, 0, 0),
  entry("basket", 151, 60, 310, sampleNowMs + 60_000, 0),
  entry("rotten", 211, 70, 311, 0, HintFlag.DAMAGED),
];

function entry(
  key: string,
  offset: number,
  length: number,
  version: number,
  expiresAtMs: number,
  flags: number,
): HintEntry {
  return { key: text(key), offset, length, version, expiresAtMs, flags };
}

const damage = create(DamagedRangeSchema, {
  segmentId: sampleBinding.segmentId,
  segmentTimestamp: sampleTimestampNs,
  offset: 211n,
  length: 70n,
  versions: { first: 311n, last: 311n },
});

/** What the golden hint says. */
export const goldenHint = {
  entries: goldenEntries,
  facts: {
    segmentLength: 400n,
    segmentChecksum: 0x01020304,
    lowestVersion: 1n,
    highestVersion: 2n ** 48n - 1n,
    newestTimestamp: sampleTimestampNs + 123_000_000n,
    damagedRanges: [damage],
    requests: [
      create(HintRequestSchema, { requestId: text("order-17"), offset: 281n, length: 119n }),
    ],
  },
};

/** What the golden manifest says. */
export const goldenManifest: Manifest = create(ManifestSchema, {
  storeId: sampleStoreId,
  generation: 5n,
  segments: [
    {
      id: sampleBinding.segmentId,
      timestamp: sampleTimestampNs,
      state: SegmentState.SEALED,
      length: 400n,
      checksum: 0x01020304,
      lowestVersion: 1n,
      highestVersion: 311n,
      prefix: "segment",
    },
    {
      id: 8,
      timestamp: sampleTimestampNs + 1n,
      state: SegmentState.ACTIVE,
      prefix: "segment",
    },
  ],
  versionMark: 1_048_577n,
  lostRanges: [{ first: 312n, last: 400n }],
  historyFloor: 3n,
  clean: {
    syncedLength: 46n,
    syncedChecksum: 0x0a0b0c0d,
    lastVersion: 401n,
    newestTimestamp: sampleTimestampNs + 123_000_000n,
    checkpointChecksum: 0,
  },
  damagedRanges: [damage],
  segmentTimestamp: sampleTimestampNs + 1n,
  segmentId: 8,
  segmentPrefix: "segment",
});

/** Every golden file by its name in test/fixtures/v1, with the bytes that the code gives now. */
export function makeGoldenFiles(): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const [name, { flags, timestampMs, payload }] of Object.entries(goldenFrames)) {
    const frame = (barrier: number): Uint8Array =>
      frameOf(payload, flags | barrier, sampleSalt, timestampMs);
    files.set(`${name}.bin`, frame(0));
    files.set(`${name}-barrier.bin`, frame(BARRIER));
  }
  files.set("hint.bin", hintOf(goldenHint.entries, goldenHint.facts));
  files.set("manifest.bin", encodeManifest(goldenManifest));
  return files;
}
