/**
 * Upload and Download of a Store that has neither files nor pieces: the bytes are kept
 * until all are there, then they are a Set; a record is cut up when it is asked for.
 */
import { KvixError } from "../../src/base/kvix-error.js";
import type {
  Download,
  Expiry,
  StoredRecord,
  Upload,
  UploadResult,
  UploadStart,
  WriteOptions,
} from "../../src/engine/store.js";
import { crc32 } from "../../src/format/checksum.js";

const PIECE_BYTES = 256 * 1024;

type UploadOptions = Omit<WriteOptions, "returnPrevious">;

/** What an upload is in the end. */
export type SetLike = (
  key: Uint8Array,
  value: Uint8Array,
  expiry: Expiry,
  options: UploadOptions,
) => Promise<UploadResult>;

/** Begins an upload; `current` is the record that stands, if the condition does not hold of it. */
export async function memoryUpload(
  plan: { readonly key: Uint8Array; readonly valueBytes: number; readonly expiry: Expiry },
  options: UploadOptions,
  unmet: UploadResult | undefined,
  set: SetLike,
): Promise<UploadStart> {
  if (options.signal?.aborted === true) throw new KvixError("CANCELLED");
  if (unmet !== undefined) return { kind: "unmet", result: unmet };
  return { kind: "begun", upload: new MemoryUpload(plan, options, set) };
}

class MemoryUpload implements Upload {
  readonly #plan: Parameters<typeof memoryUpload>[0];
  readonly #options: UploadOptions;
  readonly #set: SetLike;
  #value = Buffer.alloc(0);
  #endedBecause: KvixError | undefined;

  constructor(plan: Parameters<typeof memoryUpload>[0], options: UploadOptions, set: SetLike) {
    this.#plan = plan;
    this.#options = options;
    this.#set = set;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#requireReceiving();
    this.#value = Buffer.concat([this.#value, chunk]);
    if (this.#value.length > this.#plan.valueBytes) throw this.#mismatch("value_bytes");
  }

  async finish(checksum: number): Promise<UploadResult> {
    this.#requireReceiving();
    if (this.#value.length < this.#plan.valueBytes) throw this.#mismatch("value_bytes");
    const own = this.#value.length === 0 ? 0 : crc32(this.#value);
    if (own !== checksum) throw this.#mismatch("crc32");
    return await this.#set(this.#plan.key, this.#value, this.#plan.expiry, this.#options);
  }

  async abort(): Promise<void> {
    this.#endedBecause ??= new KvixError("CANCELLED");
  }

  #requireReceiving(): void {
    const { signal } = this.#options;
    if (signal?.aborted === true) this.#endedBecause ??= new KvixError("CANCELLED");
    if (this.#endedBecause !== undefined) throw this.#endedBecause;
  }

  #mismatch(field: string): KvixError {
    const range = field === "crc32" ? "the CRC-32 of the value that came" : "as many bytes as come";
    this.#endedBecause = new KvixError("UPLOAD_MISMATCH", "", { metadata: { field, range } });
    return this.#endedBecause;
  }
}

/** A record in pieces. */
export function memoryDownload({ payload, value, ...facts }: StoredRecord): Download {
  const valueEnd = value.byteOffset - payload.byteOffset + value.byteLength;
  const lengthBytes = [7, 14, 21].filter((bits) => value.byteLength >= 2 ** bits).length + 1;
  const fieldStart = valueEnd - value.byteLength - 1 - lengthBytes;
  return {
    bare:
      value.byteLength === 0
        ? payload
        : Buffer.concat([payload.subarray(0, fieldStart), payload.subarray(valueEnd)]),
    version: facts.version,
    expiresAtMs: facts.expiresAtMs,
    valueBytes: value.byteLength,
    checksum: value.byteLength === 0 ? 0 : crc32(value),
    chunks: (async function* () {
      for (let at = 0; at < value.byteLength; at += PIECE_BYTES) {
        yield value.subarray(at, at + PIECE_BYTES);
      }
    })(),
    close: () => undefined,
  };
}
