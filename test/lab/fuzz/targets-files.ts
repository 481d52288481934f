/** Decoders of whole files: manifest, hint, checkpoint, the mark of a segment directory, and their names. */
import { equals } from "@bufbuild/protobuf";
import { ManifestSchema } from "../../../gen/kvix/v1/kvix_pb.js";
import {
  CHECKPOINT_HEAD_BYTES,
  CheckpointHeadAt,
  decodeCheckpointDescription,
  decodeCheckpointHead,
  encodeCheckpointFront,
} from "../../../src/format/checkpoint.js";
import { crc32 } from "../../../src/format/checksum.js";
import {
  HINT_HEAD_BYTES,
  HINT_TRAILER_BYTES,
  HintBlockAt,
  HintHeadAt,
  hintBlockBytes,
  hintBlockChecksum,
} from "../../../src/format/hint-layout.js";
import { decodeManifest, encodeManifest } from "../../../src/format/manifest.js";
import {
  hintFileName,
  parseSegmentFileName,
  segmentFileName,
} from "../../../src/format/segment-name.js";
import { decodeStoreMark } from "../../../src/storage/store-mark.js";
import { sampleStoreId } from "../../format/frames.js";
import { fewFile, hintOf, readHint } from "../../format/hints.js";
import { areSame, type FuzzTarget, requireThat } from "./fuzz-target.js";
import { goldenBytes } from "./golden-seeds.js";

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The manifest: what is accepted can be written, and reads the same again. */
export const manifestTarget: FuzzTarget = {
  name: "manifest",
  sentence:
    "the manifest's file: a verdict, and what is accepted can be written and reads the same again",
  lengthMax: 600,
  executions: 15_000,
  seeds: () => [goldenBytes("manifest.bin")],
  seal(bytes) {
    if (bytes.length < 20) return;
    const view = viewOf(bytes);
    view.setUint32(12, bytes.length - 20, true);
    view.setUint32(16, crc32(bytes.subarray(20), crc32(bytes.subarray(0, 16))), true);
  },
  execute(bytes) {
    const verdict = decodeManifest(bytes);
    if (verdict.kind !== "manifest") return undefined;
    const again = decodeManifest(encodeManifest(verdict.manifest));
    requireThat(again.kind === "manifest", "an accepted manifest is refused once it is written");
    requireThat(
      equals(ManifestSchema, again.manifest, verdict.manifest),
      "an accepted manifest reads otherwise once it is written",
    );
    return undefined;
  },
};

/** The hint, read as a loader reads it. */
export const hintTarget: FuzzTarget = {
  name: "hint",
  sentence:
    "a hint's file, head, blocks and summary: in doubt, or written again with the same entries",
  lengthMax: 1200,
  executions: 15_000,
  seeds: () => [goldenBytes("hint.bin"), fewFile],
  seal: sealHint,
  execute(bytes) {
    const hint = readHint(bytes);
    if (hint === undefined) return undefined;
    const { entries, summary, binding } = hint;
    const again = readHint(hintOf(entries, summary, binding));
    requireThat(again !== undefined, "an accepted hint is in doubt once it is written");
    requireThat(
      JSON.stringify(again.entries) === JSON.stringify(entries),
      "an accepted hint has other entries once it is written",
    );
    return undefined;
  },
};

function sealHint(bytes: Uint8Array): void {
  if (bytes.length < HINT_HEAD_BYTES + HINT_TRAILER_BYTES) return;
  const view = viewOf(bytes);
  const salt = crc32(bytes.subarray(0, HintHeadAt.CRC));
  view.setUint32(HintHeadAt.CRC, salt, true);
  const trailerAt = bytes.length - HINT_TRAILER_BYTES;
  const summaryBytes = view.getUint32(trailerAt, true);
  const entriesEnd = trailerAt - summaryBytes;
  if (entriesEnd < HINT_HEAD_BYTES) return;
  const counted = crc32(bytes.subarray(trailerAt, trailerAt + 4));
  view.setUint32(trailerAt + 4, crc32(bytes.subarray(entriesEnd, trailerAt), counted), true);
  for (let at = HINT_HEAD_BYTES; at + HintBlockAt.COLUMNS <= entriesEnd; ) {
    const count = view.getUint32(at + HintBlockAt.COUNT, true);
    const end = at + hintBlockBytes(count, view.getUint32(at + HintBlockAt.KEY_BYTES, true));
    if (end > entriesEnd) return;
    view.setUint32(at + HintBlockAt.SALT, salt, true);
    view.setUint32(at + HintBlockAt.CRC, hintBlockChecksum(bytes.subarray(at, end)), true);
    at = end;
  }
}

/** The front of a checkpoint. */
export const checkpointTarget: FuzzTarget = {
  name: "checkpoint",
  sentence:
    "a checkpoint's head and description: a verdict, and no length is believed that is not the file's",
  lengthMax: 600,
  executions: 60_000,
  seeds: () => [checkpointFront()],
  seal(bytes) {
    if (bytes.length < CHECKPOINT_HEAD_BYTES) return;
    const view = viewOf(bytes);
    const text = bytes.subarray(CHECKPOINT_HEAD_BYTES);
    view.setUint32(CheckpointHeadAt.DESCRIPTION_CRC, crc32(text), true);
    const head = bytes.subarray(0, CheckpointHeadAt.CRC);
    view.setUint32(CheckpointHeadAt.CRC, crc32(head), true);
  },
  execute(bytes) {
    const head = decodeCheckpointHead(bytes.subarray(0, CHECKPOINT_HEAD_BYTES), bytes.length);
    if (head.kind !== "head") return undefined;
    const { descriptionBytes, pageBytes } = head;
    requireThat(
      CHECKPOINT_HEAD_BYTES + descriptionBytes + pageBytes === bytes.length,
      "a checkpoint claims another length than it has",
    );
    decodeCheckpointDescription(bytes.subarray(CHECKPOINT_HEAD_BYTES), head);
    return undefined;
  },
};

function checkpointFront(): Uint8Array {
  const segment = {
    ...{ id: 7, timestampNs: "1700000000000000000", isSealed: true, lengthBytes: 400, checksum: 9 },
    ...{ liveBytes: 300, tombstoneBytes: 40, highestTombstone: 8 },
    ...{ lowestVersion: 1, highestVersion: 9, newestTimestampMs: 1_700_000_000_123 },
  };
  return encodeCheckpointFront(
    sampleStoreId,
    { segments: [segment], index: { seed: [1] }, requests: {} },
    0,
  );
}

/** The mark of a segment directory. */
export const markTarget: FuzzTarget = {
  name: "mark",
  sentence: "the file STORE: an id of 16 bytes, or none",
  lengthMax: 64,
  executions: 60_000,
  seeds: () => {
    const mark = new Uint8Array(28);
    mark.set(Buffer.from("KVIXSTOR"));
    mark.set(sampleStoreId, 8);
    viewOf(mark).setUint32(24, crc32(mark.subarray(0, 24)), true);
    return [mark];
  },
  seal(bytes) {
    if (bytes.length === 28) viewOf(bytes).setUint32(24, crc32(bytes.subarray(0, 24)), true);
  },
  execute(bytes) {
    const storeId = decodeStoreMark(bytes);
    if (storeId !== undefined) {
      requireThat(areSame(storeId, bytes.subarray(8, 24)), "a mark with another id than it has");
    }
    return undefined;
  },
};

/** The names of segments and hints. */
export const nameTarget: FuzzTarget = {
  name: "segment name",
  sentence: "a file name: none, or the one that is written again",
  lengthMax: 120,
  executions: 60_000,
  seeds: () =>
    [
      "segment_00007_1700000000000000000.seg",
      "s_00000_0.seg",
      "a_b-C_65535_9223372036854775807.hint",
    ].map((name) => Buffer.from(name)),
  execute(bytes) {
    const name = Buffer.from(bytes).toString("latin1");
    const parsed = parseSegmentFileName(name);
    if (parsed === undefined) return undefined;
    const { prefix, id, timestampNs, kind } = parsed;
    const write = kind === "segment" ? segmentFileName : hintFileName;
    requireThat(write(prefix, id, timestampNs) === name, "a name is written otherwise");
    requireThat(!name.includes("/"), "a name leads out of its directory");
    return undefined;
  },
};
