/** The manifest: its envelope, its rules, and damage of every kind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Manifest, ManifestSchema, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import { VERSION_MAX } from "../../src/base/limits.js";
import { crc32 } from "../../src/format/checksum.js";
import { decodeManifest, encodeManifest, FORMAT_VERSION } from "../../src/format/manifest.js";
import { concat, sampleStoreId, text, viewOf, withFlippedBit } from "./frames.js";

type ManifestInit = Omit<Exclude<MessageInitShape<typeof ManifestSchema>, Manifest>, "$typeName">;
type SegmentInit = NonNullable<ManifestInit["segments"]>[number];

const segment = (init: SegmentInit): SegmentInit => ({ prefix: "segment", ...init });
const sealed = segment({
  id: 3,
  timestamp: 100n,
  state: SegmentState.SEALED,
  length: 5_000n,
  checksum: 0xdeadbeef,
  lowestVersion: 1n,
  highestVersion: 90n,
});
const active = segment({ id: 4, timestamp: 200n, state: SegmentState.ACTIVE });
const removed = segment({ id: 4, timestamp: 50n, state: SegmentState.REMOVED });
const sound = {
  storeId: sampleStoreId,
  generation: 12n,
  segments: [removed, sealed, active],
  versionMark: 1_048_577n,
  lostRanges: [
    { first: 100n, last: 200n },
    { first: 300n, last: 300n },
  ],
  historyFloor: 90n,
  damagedRanges: [
    {
      segmentId: 3,
      segmentTimestamp: 100n,
      offset: 17n,
      length: 100n,
      versions: { first: 2n, last: 3n },
      keysUnknown: true,
    },
  ],
  clean: { syncedLength: 777n, lastVersion: 99n, newestTimestamp: 150n, checkpointChecksum: 1 },
  segmentTimestamp: 200n,
  segmentId: 4,
  segmentPrefix: "segment",
} satisfies ManifestInit;

/** The file around a payload, valid or not; its checksum is right. */
function fileOf(
  payload: Uint8Array,
  formatVersion = FORMAT_VERSION,
  magic = "KVIXMANI",
  length = payload.length,
): Uint8Array {
  const file = concat(text(magic), new Uint8Array(12), payload);
  const view = viewOf(file);
  view.setUint32(8, formatVersion, true);
  view.setUint32(12, length, true);
  view.setUint32(16, crc32(concat(file.subarray(0, 16), payload)), true);
  return file;
}

const manifestOf = (change: ManifestInit = {}): Manifest =>
  create(ManifestSchema, { ...sound, ...change });
const payloadOf = (manifest: Manifest): Uint8Array => toBinary(ManifestSchema, manifest);
const kindOf = (file: Uint8Array): string => decodeManifest(file).kind;

test("a manifest is written as the envelope says, and read back", () => {
  for (const manifest of [manifestOf(), manifestOf({ segments: [], damagedRanges: [] })]) {
    const file = encodeManifest(manifest);
    assert.deepEqual(file, fileOf(payloadOf(manifest)));
    assert.deepEqual(decodeManifest(file), { kind: "manifest", manifest });
    const moved = concat(new Uint8Array(3), file).subarray(3);
    assert.equal(kindOf(moved), "manifest");
  }
});

test("every flipped bit of a manifest is damage, in the format version too", () => {
  const file = encodeManifest(manifestOf());
  for (let bit = 0; bit < file.length * 8; bit++) {
    assert.equal(kindOf(withFlippedBit(file, bit)), "damaged", `bit ${bit}`);
  }
});

test("a manifest cut at any length, or with anything behind it, is damaged", () => {
  const file = encodeManifest(manifestOf());
  for (let length = 0; length < file.length; length++) {
    assert.equal(kindOf(file.subarray(0, length)), "damaged", `${length} bytes`);
  }
  assert.equal(kindOf(concat(file, Uint8Array.of(0))), "damaged");
  assert.equal(kindOf(concat(file, file)), "damaged");
});

test("V9 a sound manifest of a newer format is too new, whatever is inside", () => {
  for (const formatVersion of [FORMAT_VERSION + 1, 0xffff_ffff]) {
    for (const payload of [payloadOf(manifestOf()), Uint8Array.of(0xff), new Uint8Array(0)]) {
      assert.deepEqual(decodeManifest(fileOf(payload, formatVersion)), {
        kind: "too-new",
        formatVersion,
      });
    }
  }
  assert.equal(kindOf(fileOf(payloadOf(manifestOf()), 0)), "damaged");
});

test("another magic or length is damage, under a right checksum too", () => {
  const payload = payloadOf(manifestOf());
  assert.equal(kindOf(fileOf(payload)), "manifest");
  assert.equal(kindOf(fileOf(payload, FORMAT_VERSION, "KVIXMANJ")), "damaged");
  for (const length of [0, payload.length - 1, payload.length + 1]) {
    assert.equal(kindOf(fileOf(payload, FORMAT_VERSION, "KVIXMANI", length)), "damaged");
  }
});

test("bytes that are no Manifest are damaged, under a right checksum too", () => {
  for (const payload of [Uint8Array.of(0xff), Uint8Array.of(0x0a, 5, 1), new Uint8Array(0)]) {
    assert.equal(kindOf(fileOf(payload)), "damaged");
  }
});

const past = BigInt(VERSION_MAX) + 1n;
const withSegment = (change: SegmentInit): ManifestInit => ({
  segments: [{ ...sealed, ...change }],
});
const [damage] = sound.damagedRanges;
const broken: Record<string, ManifestInit> = {
  "a short store id": { storeId: sampleStoreId.subarray(1) },
  "a long store id": { storeId: concat(sampleStoreId, sampleStoreId) },
  "a version mark past the last version": { versionMark: past + 1n },
  "a history floor at the version mark": { historyFloor: sound.versionMark },
  "a segment id past the last one": { segmentId: 65_536 },
  "a negative segment timestamp": { segments: [], segmentTimestamp: -1n },
  "a prefix that leaves the directory": { segmentPrefix: "../x" },
  "no prefix": { segmentPrefix: "" },
  "a segment's id past the last one": withSegment({ id: 65_536 }),
  "a segment's prefix that leaves the directory": withSegment({ prefix: "/etc/x" }),
  "a segment's negative timestamp": withSegment({ timestamp: -1n }),
  "a segment newer than the newest timestamp": withSegment({ timestamp: 201n }),
  "a length that is no exact number": withSegment({ length: 2n ** 53n }),
  "versions out of order": withSegment({ lowestVersion: 91n }),
  "a version at the mark": withSegment({ highestVersion: sound.versionMark }),
  "a segment without a state": withSegment({ state: SegmentState.UNSPECIFIED }),
  "a segment in a state of the future": withSegment({ state: 6 as SegmentState }),
  "two active segments": { segments: [active, { ...active, id: 5 }] },
  "an active segment with a length": { segments: [{ ...active, length: 1n }] },
  "an active segment with a checksum": { segments: [{ ...active, checksum: 1 }] },
  "an active segment with a version": { segments: [{ ...active, highestVersion: 1n }] },
  "the same segment twice": { segments: [removed, removed] },
  "two live segments with one id": { segments: [sealed, { ...active, id: 3 }] },
  "a lost range backwards": { lostRanges: [{ first: 2n, last: 1n }] },
  "a lost range from version 0": { lostRanges: [{ first: 0n, last: 1n }] },
  "lost ranges out of order": { lostRanges: [...sound.lostRanges].reverse() },
  "lost ranges that overlap": {
    lostRanges: [
      { first: 1n, last: 5n },
      { first: 5n, last: 6n },
    ],
  },
  "a lost range at the mark": { lostRanges: [{ first: 1n, last: sound.versionMark }] },
  "a synced length that is no exact number": { clean: { ...sound.clean, syncedLength: 2n ** 53n } },
  "a last version at the mark": { clean: { ...sound.clean, lastVersion: sound.versionMark } },
  "a negative frame timestamp": { clean: { ...sound.clean, newestTimestamp: -1n } },
  "a damaged range of no bytes": { damagedRanges: [{ ...damage, length: 0n }] },
  "a damaged range past exact numbers": { damagedRanges: [{ ...damage, offset: 2n ** 53n }] },
  "a damaged range's segment id": { damagedRanges: [{ ...damage, segmentId: 65_536 }] },
  "a damaged range's versions backwards": {
    damagedRanges: [{ ...damage, versions: { first: 3n, last: 2n } }],
  },
  "a damaged range's version past the last": {
    damagedRanges: [{ ...damage, versions: { first: 3n, last: past } }],
  },
};

for (const [name, change] of Object.entries(broken)) {
  test(`a manifest with ${name} is neither read nor written`, () => {
    const manifest = manifestOf(change);
    assert.equal(kindOf(fileOf(payloadOf(manifest))), "damaged");
    assert.throws(() => encodeManifest(manifest), { reason: "INTERNAL_BUG" });
  });
}

test("the extremes that are allowed are allowed", () => {
  const lengthMax = BigInt(Number.MAX_SAFE_INTEGER);
  const bare = { segments: [], segmentTimestamp: 0n, damagedRanges: [], clean: undefined as never };
  const place = { segmentId: 65_535, segmentTimestamp: 0n };
  const newest = { first: past - 1n, last: past - 1n };
  const allowed: ManifestInit[] = [
    { versionMark: past, historyFloor: past - 1n },
    { versionMark: 0n, lostRanges: [], historyFloor: 0n, segments: [active], clean: {} as never },
    { segments: [{ ...sealed, id: 65_535, timestamp: 200n }], segmentId: 65_535 },
    { segments: [removed, { ...removed, timestamp: 51n }, active] },
    { segments: [{ ...sealed, state: SegmentState.PENDING }] },
    { segments: [{ ...sealed, state: SegmentState.COMPACTED }] },
    { ...bare, segments: [{ ...sealed, timestamp: 0n, length: lengthMax }] },
    { ...bare, versionMark: past, clean: { syncedLength: lengthMax, lastVersion: past - 1n } },
    { damagedRanges: [{ ...place, offset: 0n, length: 1n, versions: { first: 7n, last: 7n } }] },
    { damagedRanges: [{ ...place, offset: lengthMax - 1n, length: 1n }] },
    { damagedRanges: [{ ...place, offset: 0n, length: 1n, versions: newest }] },
  ];
  for (const change of allowed) {
    const manifest = manifestOf(change);
    assert.deepEqual(decodeManifest(encodeManifest(manifest)), { kind: "manifest", manifest });
  }
});
