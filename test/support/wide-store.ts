/**
 * A store of very many segments, written straight to a directory by the
 * format's own code: through the store each of them would cost syncs, and a
 * manifest of all before it. Nothing is synced. It was closed properly, and
 * every segment has its hint.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { CleanMarkSchema, SegmentSchema, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import { openStore } from "../../src/engine/open-store.js";
import { crc32 } from "../../src/format/checksum.js";
import { decodeManifest, encodeManifest } from "../../src/format/manifest.js";
import { nodeHost } from "../../src/host/node-host.js";
import { SegmentName } from "../../src/storage/segment.js";
import { frameOf, recordOf, text } from "../format/frames.js";
import { hintOf } from "../format/hints.js";

/** The key of the record that segment `index` has. */
export const keyAt = (index: number): string => `key-${index}`;

/** The version of that record. */
export const versionAt = (index: number): number => index + 1;

/** Makes the store in `dataDir`: segment `index` has one record, with the value of that index. */
export async function writeWideStore(
  dataDir: string,
  segments: number,
  valueAt: (index: number) => Uint8Array,
): Promise<void> {
  await (await openStore({ dataDir, liftFloors: true, diskReserveBytes: 0 }, nodeHost())).close();
  const directories = { data: dataDir, segments: `${dataDir}/segments` };
  const verdict = decodeManifest(readFileSync(`${dataDir}/MANIFEST`));
  if (verdict.kind !== "manifest") throw new Error("a new store has a manifest");
  const { manifest } = verdict;
  const { storeId } = manifest;
  const startMs = Date.now();
  const startNs = BigInt(startMs) * 1_000_000n;
  for (let index = 0; index < segments; index += 1) {
    const timestampNs = startNs + BigInt(index);
    const name = new SegmentName(directories, storeId, "segment", index, timestampNs);
    const key = text(keyAt(index));
    const version = versionAt(index);
    const frame = frameOf(recordOf(key, valueAt(index), version), 0, name.salt, startMs);
    const checksum = crc32(frame);
    writeFileSync(name.path, frame);
    const entry = { key, offset: 0, length: frame.length, version, expiresAtMs: 0, flags: 0 };
    const facts = {
      segmentLength: BigInt(frame.length),
      segmentChecksum: checksum,
      lowestVersion: BigInt(version),
      highestVersion: BigInt(version),
      newestTimestamp: startNs,
      damagedRanges: [],
      requests: [],
    };
    const binding = { storeId, segmentId: index, timestampNs };
    writeFileSync(name.hintPath, hintOf([entry], facts, binding, { entriesMax: 1 }));
    manifest.segments.push(
      create(SegmentSchema, {
        id: index,
        timestamp: timestampNs,
        state: SegmentState.SEALED,
        length: BigInt(frame.length),
        checksum,
        lowestVersion: BigInt(version),
        highestVersion: BigInt(version),
        prefix: "segment",
      }),
    );
  }
  manifest.segmentId = segments - 1;
  manifest.segmentTimestamp = startNs + BigInt(segments - 1);
  manifest.versionMark = BigInt(versionAt(segments));
  manifest.clean = create(CleanMarkSchema, {
    lastVersion: BigInt(versionAt(segments - 1)),
    newestTimestamp: startNs,
  });
  writeFileSync(`${dataDir}/MANIFEST`, encodeManifest(manifest));
}
