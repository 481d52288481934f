/**
 * Scan: a stream of ScanResponse. A part of the engine's scan is a message, which is
 * ListResponse without a token: records pass from the disk to the wire without being
 * decoded.
 *
 * Nothing of a part is kept when its message is made, so a client that does not read
 * costs one message and what the transport makes of it.
 */
import type { ScanRequest, ScanResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import type { ResumePoint } from "../base/kvix-error.js";
import { PAGE_BYTES_MAX } from "../base/limits.js";
import type { Store } from "../engine/store.js";
import type { Scan, ScanPart } from "../engine/store-ranges.js";
import type { CallContext, Report } from "../rpc/calls.js";
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
        return done === true ? { done, value: undefined } : { done: false, value: answerOf(value) };
      },
      return: async () => {
        await this.#scan.return?.();
        return { done: true, value: undefined };
      },
    };
  }
}

function answerOf({ records, version }: ScanPart): Uint8Array {
  return encodeListAnswer({ records, after: undefined, version }, "", () => true);
}
