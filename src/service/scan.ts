/**
 * Scan: a stream of ScanResponse. A part of the engine's scan is a message, and its records
 * pass from the disk to the wire without being decoded.
 *
 * Nothing of a part is kept when its message is made, so a client that does not read
 * costs one message and what the transport makes of it.
 */
import type { ScanRequest, ScanResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import type { ResumePoint } from "../base/kvix-error.js";
import { PAGE_BYTES_MAX } from "../base/limits.js";
import type { Store } from "../engine/store.js";
import type { RecordSpacing, Scan, ScanPart } from "../engine/store-ranges.js";
import { VARINT_BYTES_MAX, varintBytes } from "../format/varint.js";
import { writeHeader, writeUint } from "../rpc/answer-writer.js";
import type { CallContext, Report } from "../rpc/calls.js";
import { STORE_VERSION } from "./kv-answers.js";
import { encodeListAnswer } from "./list-answers.js";

/** Begins a scan of `store`; throws FIELD_INVALID at once, all else comes with its answers. */
export function scan(
  store: Store,
  request: ScanRequest,
  messageBytesMax: number,
  { signal }: CallContext,
): Report<typeof ScanResponseSchema> {
  const { prefix, start, end, reverse, keysOnly } = request;
  const limit = limitOf(request.limit);
  const bytesMax = Math.min(messageBytesMax, PAGE_BYTES_MAX);
  return new ScanAnswers(
    store.scan({
      prefix,
      start,
      end,
      reverse,
      keysOnly,
      limit,
      bytesMax,
      spacing: scanSpacing,
      signal,
    }),
  );
}

/** No store has 2^53 records: a limit beyond is none. */
function limitOf(limit: bigint): number | undefined {
  return limit === 0n || limit > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(limit);
}

/** The messages of a scan. */
class ScanAnswers implements Report<typeof ScanResponseSchema> {
  readonly #scan: Scan;

  constructor(scan: Scan) {
    this.#scan = scan;
  }

  get resume(): ResumePoint {
    return { afterKey: this.#scan.after };
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    // No generator: that would keep the part while its message waits to be taken.
    return {
      next: async () => {
        const { done, value } = await this.#scan.next();
        return done === true
          ? { done, value: undefined }
          : { done: false, value: encodeScanAnswer(value) };
      },
      return: async () => {
        await this.#scan.return?.();
        return { done: true, value: undefined };
      },
    };
  }
}

/**
 * ScanResponse, which is ListResponse without a token. Where all records are whole, as
 * mostly, the message is made around their bytes, where these are.
 */
export function encodeScanAnswer(part: ScanPart): Uint8Array {
  const { packed, version } = part;
  if (packed === undefined) {
    return encodeListAnswer({ records: part.records, after: undefined, version }, "", carriesAll);
  }
  const { bytes, recordBytes } = packed;
  let end = 0;
  for (const length of recordBytes) {
    const lengthBytes = varintBytes(length);
    end = writeHeader(bytes, end, 1, 1 + lengthBytes + length + 1 + lengthBytes);
    end = writeHeader(bytes, end, 1, length) + length;
    end = writeUint(bytes, end, 3, length);
  }
  end = writeUint(bytes, end, STORE_VERSION, version);
  return bytes.subarray(0, end);
}

/** What ListedRecord has around its Record, and ScanResponse behind its records. */
export const scanSpacing: RecordSpacing = {
  before: (recordBytes) => {
    const lengthBytes = varintBytes(recordBytes);
    return 2 + varintBytes(2 + recordBytes + 2 * lengthBytes) + lengthBytes;
  },
  after: (recordBytes) => 1 + varintBytes(recordBytes),
  behind: 1 + VARINT_BYTES_MAX,
};

const carriesAll = (): boolean => true;
