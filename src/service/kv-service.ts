/**
 * KvService: bytes in, bytes out. A handler checks the request, asks the store,
 * and answers; what a store refuses passes through as it is.
 *
 * KvTextService has the same handlers behind other descriptors; all that tells
 * the two apart is the `Carrier`.
 */
import type { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { PAGE_BYTES_MAX } from "../base/limits.js";
import type { StoredRecord } from "../engine/store.js";
import type { HandlersOf } from "../rpc/calls.js";
import { batchGet } from "./batch-get.js";
import { bytesCarrier, type Carrier } from "./carrier.js";
import { commitHandlers } from "./commit-service.js";
import { deleteRange } from "./delete-range.js";
import {
  encodeDeleteAnswer,
  encodeExistsAnswer,
  encodeGetAnswer,
  encodeTouchAnswer,
  fitsMessage,
} from "./kv-answers.js";
import type { KvServiceContext } from "./kv-context.js";
import { encodeListAnswer } from "./list-answers.js";
import { pageToken, placeOfToken } from "./page-token.js";
import { recordTooLarge } from "./record-size.js";
import { scan } from "./scan.js";
import { SetOperation } from "./set-operation.js";
import { transferHandlers } from "./transfers.js";
import {
  requireKey,
  requirePageSize,
  requireTouchExpiry,
  requireWriteOptions,
} from "./validation.js";
import { watch } from "./watch.js";

/** The handlers that answer calls of their own; Pipeline makes use of them (pipeline.ts). */
export type KvHandlers = Omit<HandlersOf<typeof KvService>, "pipeline">;

/** The handlers of KvService or, with another carrier, of KvTextService. */
export function kvHandlers(context: KvServiceContext, carrier: Carrier = bytesCarrier): KvHandlers {
  const { store, clock, messageBytesMax } = context;
  const limits = { messageBytesMax, carries: (value: Uint8Array) => carrier.carries(value) };
  const sets = new SetOperation(context, carrier);
  const checkedKey = (key: Uint8Array): Uint8Array => {
    carrier.check("key", requireKey(key));
    return key;
  };
  const sendable = (record: StoredRecord): StoredRecord => {
    if (!carrier.carries(record.value)) throw new KvixError("NOT_TEXT");
    if (fitsMessage(record.payload.byteLength, messageBytesMax)) return record;
    throw recordTooLarge(record.payload.byteLength, messageBytesMax);
  };
  return {
    // Not async: a read that is there at once is answered at once. A pipeline has many of them.
    get: (request) => {
      const answer = (record: StoredRecord | undefined): Uint8Array =>
        encodeGetAnswer(record && sendable(record), store.version);
      const read = store.get(checkedKey(request.key));
      return read instanceof Promise ? read.then(answer) : answer(read);
    },

    exists: (request) => encodeExistsAnswer(store.exists(checkedKey(request.key)), store.version),

    set: (request, { signal }) => {
      const { key, value, expiry, options } = sets.asked(request, signal);
      return store.set(key, value, expiry, options).then((result) => sets.encode(result));
    },

    delete: async (request, { signal }) => {
      const key = checkedKey(request.key);
      const options = { ...requireWriteOptions(request), signal };
      const result = await store.delete(key, options);
      return encodeDeleteAnswer(result, store.version, limits);
    },

    touch: async (request, { signal }) => {
      const key = checkedKey(request.key);
      const expiry = requireTouchExpiry(request.expiry, clock.wallMs());
      const { condition, durability } = requireWriteOptions(request);
      const options = { condition, durability, signal };
      const result = await store.touch(key, expiry, options);
      return encodeTouchAnswer(result, store.version, limits);
    },

    ...commitHandlers({ store, clock, messageBytesMax }),

    ...transferHandlers(context),

    list: async (request, { signal }) => {
      const { prefix, start, end, reverse, keysOnly } = request;
      for (const [field, bytes] of [
        ["prefix", prefix],
        ["start", start],
        ["end", end],
      ] as const) {
        carrier.check(field, bytes);
      }
      const scope = ["List", prefix, start, end, reverse, keysOnly];
      const page = await store.list({
        prefix,
        start,
        end,
        reverse,
        keysOnly,
        limit: requirePageSize(request.pageSize),
        bytesMax: Math.min(messageBytesMax, PAGE_BYTES_MAX),
        after: placeOfToken(scope, request.pageToken),
        signal,
      });
      return encodeListAnswer(page, pageToken(scope, page.after), limits.carries);
    },

    batchGet: (request, context) => batchGet(store, request, messageBytesMax, context),
    deleteRange: (request, context) => deleteRange(store, request, context),
    scan: (request, context) => scan(store, request, messageBytesMax, context),
    watch: (request, context) => watch(store, request, messageBytesMax, context),
  };
}
