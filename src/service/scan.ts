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
import { LISTED_OVERHEAD_BYTES } from "../engine/place.js";
import type { Store, StoredRecord } from "../engine/store.js";
import type { Scan, ScanPart } from "../engine/store-ranges.js";
import { varintBytes } from "../format/varint.js";
import { AnswerWriter } from "../rpc/answer-writer.js";
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
    store.scan({ prefix, start, end, reverse, keysOnly, limit, bytesMax, signal }),
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
 * mostly, nothing is made for each but its bytes.
 */
export function encodeScanAnswer({ records, version }: ScanPart): Uint8Array {
  let room = 0;
  for (const { record, recordBytes } of records) {
    if (typeof record === "string") {
      return encodeListAnswer({ records, after: undefined, version }, "", carriesAll);
    }
    room += recordBytes + LISTED_OVERHEAD_BYTES;
  }
  const writer = new AnswerWriter(room);
  for (const { record, recordBytes } of records) {
    const lengthBytes = varintBytes(recordBytes);
    writer.header(1, 1 + lengthBytes + recordBytes + 1 + lengthBytes);
    writer.header(1, recordBytes);
    writer.bytes((record as StoredRecord).payload);
    writer.uint(3, recordBytes);
  }
  writer.uint(STORE_VERSION, version);
  return writer.finish();
}

const carriesAll = (): boolean => true;
