/** Uploads to and downloads from an embedded store. */
import { KvixError } from "../base/kvix-error.js";
import type { Store, UploadResult as StoreUploadResult } from "../engine/store.js";
import { crc32 } from "../format/checksum.js";
import { newRecordFields, parseRecord } from "../format/record.js";
import { dateOf } from "../kv/data.js";
import { KvixRecord } from "../kv/records.js";
import {
  type Download,
  PiecewiseDownload,
  piecesOf,
  sourceOf,
  type UploadOptions,
  type UploadResult,
  type UploadSource,
} from "../kv/transfers.js";
import { conditionOf, expiryOf } from "../kv/writes.js";

/** Uploads a value piece by piece. */
export async function uploadTo(
  store: Store,
  key: Uint8Array,
  source: UploadSource,
  options: UploadOptions,
): Promise<UploadResult> {
  const { durability, signal } = options;
  const known = sourceOf(source, options.valueBytes);
  const valueBytes = known.kind === "whole" ? known.bytes.length : known.valueBytes;
  const condition = conditionOf(options);
  const start = await store.upload(key, valueBytes, expiryOf(options), {
    condition,
    durability,
    signal,
  });
  if (start.kind === "unmet") return resultOf(start.result);
  const { upload } = start;
  try {
    let checksum = 0;
    for await (const piece of known.kind === "whole" ? piecesOf(known.bytes) : known.pieces) {
      checksum = crc32(piece, checksum);
      await upload.write(piece);
    }
    return resultOf(await upload.finish(checksum));
  } catch (error) {
    // The source may have failed, and not the store.
    await upload.abort();
    throw error;
  }
}

/** Downloads a value piece by piece. */
export async function downloadFrom(
  store: Store,
  key: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Download | undefined> {
  const download = await store.download(key, { signal });
  if (download === undefined) return undefined;
  const { version, expiresAtMs, valueBytes, bare } = download;
  const fields = newRecordFields();
  if (!parseRecord(bare, 0, bare.length, fields)) throw new KvixError("RECORD_CORRUPT");
  const facts = {
    version,
    valueBytes,
    updateTime: new Date(fields.updatedAtMs),
    expireTime: dateOf(expiresAtMs),
  };
  return new PiecewiseDownload(facts, download.chunks, () => download.close());
}

function resultOf({ applied, version, expiresAtMs, current }: StoreUploadResult): UploadResult {
  const expireTime = dateOf(expiresAtMs);
  return { applied, version, expireTime, current: current && new KvixRecord(current) };
}
