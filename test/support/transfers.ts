/** Uploads and downloads from one end to the other. */
import { strict as assert } from "node:assert";
import type {
  Download,
  Expiry,
  Store,
  Upload,
  UploadResult,
  WriteOptions,
} from "../../src/engine/store.js";
import { crc32 } from "../../src/format/checksum.js";

/** What an upload may ask for, and how its bytes come. */
export interface TransferOptions extends Omit<WriteOptions, "returnPrevious"> {
  readonly expiry?: Expiry | undefined;
  /** By default all at once. */
  readonly pieceBytes?: number | undefined;
}

/** The checksum that goes with a value. */
export const checksumOf = (value: Uint8Array): number => (value.length === 0 ? 0 : crc32(value));

/** Begins an upload, for who knows that its condition holds. */
export async function begin(
  store: Store,
  key: Uint8Array,
  valueBytes: number,
  { expiry = { kind: "never" }, ...options }: TransferOptions = {},
): Promise<Upload> {
  const start = await store.upload(key, valueBytes, expiry, options);
  assert.equal(start.kind, "begun");
  return start.upload;
}

/** Gives an upload its bytes. */
export async function send(
  upload: Upload,
  value: Uint8Array,
  pieceBytes = Math.max(value.length, 1),
): Promise<void> {
  for (let at = 0; at < value.length; at += pieceBytes) {
    await upload.write(value.subarray(at, at + pieceBytes));
  }
}

/** A whole upload. */
export async function uploadTo(
  store: Store,
  key: Uint8Array,
  value: Uint8Array,
  options: TransferOptions = {},
): Promise<UploadResult> {
  const { expiry = { kind: "never" }, pieceBytes, ...rest } = options;
  const start = await store.upload(key, value.length, expiry, rest);
  if (start.kind === "unmet") return start.result;
  await send(start.upload, value, pieceBytes);
  return await start.upload.finish(checksumOf(value));
}

/** The value of a download, to its end, held against its length and checksum. */
export async function downloaded(download: Download): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of download.chunks) pieces.push(piece);
  const value = Buffer.concat(pieces);
  assert.equal(value.length, download.valueBytes);
  assert.equal(download.checksum, checksumOf(value));
  return value;
}
