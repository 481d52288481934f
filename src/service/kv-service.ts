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
import { commitHandlers } from "./commit-service.js";
import { deleteRange } from "./delete-range.js";
import {
  encodeDeleteAnswer,
  encodeExistsAnswer,
  encodeGetAnswer,
  encodeSetAnswer,
  encodeTouchAnswer,
  fitsMessage,
} from "./kv-answers.js";
import type { KvServiceContext } from "./kv-context.js";
import { encodeListAnswer } from "./list-answers.js";
import { pageToken, placeOfToken } from "./page-token.js";
import { recordTooLarge, requireReadable } from "./record-size.js";
import { scan } from "./scan.js";
import {
  requireExpiry,
  requireKey,
  requirePageSize,
  requireTouchExpiry,
  requireValue,
  requireWriteOptions,
} from "./validation.js";
import { watch } from "./watch.js";

/** What the messages of a service can carry. */
export interface Carrier {
  /** Throws FIELD_INVALID if a request may not bear these bytes in this field. */
  check(field: "key" | "value" | "prefix" | "start" | "end", bytes: Uint8Array): void;
  /** Whether an answer can bear this key or value. */
  carries(bytes: Uint8Array): boolean;
}

/** KvService carries any bytes. */
export const bytesCarrier: Carrier = { check: () => undefined, carries: () => true };

/** The handlers of KvService or, with another carrier, of KvTextService. */
export function kvHandlers(
  { store, clock, messageBytesMax }: KvServiceContext,
  carrier: Carrier = bytesCarrier,
): HandlersOf<typeof KvService> {
  const limits = { messageBytesMax, carries: (value: Uint8Array) => carrier.carries(value) };
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
    get: async (request) => {
      const record = await store.get(checkedKey(request.key));
      return encodeGetAnswer(record && sendable(record), store.version);
    },

    exists: (request) => encodeExistsAnswer(store.exists(checkedKey(request.key)), store.version),

    set: async (request, context) => {
      const key = checkedKey(request.key);
      const value = requireValue(request.value);
      carrier.check("value", value);
      const expiry = requireExpiry(request.expiry, clock.wallMs());
      const options = { ...requireWriteOptions(request), signal: context.signal };
      requireReadable(key, value, messageBytesMax);
      const result = await store.set(key, value, expiry, options);
      return encodeSetAnswer(result, store.version, limits);
    },

    delete: async (request, context) => {
      const key = checkedKey(request.key);
      const options = { ...requireWriteOptions(request), signal: context.signal };
      const result = await store.delete(key, options);
      return encodeDeleteAnswer(result, store.version, limits);
    },

    touch: async (request, context) => {
      const key = checkedKey(request.key);
      const expiry = requireTouchExpiry(request.expiry, clock.wallMs());
      const { condition, durability } = requireWriteOptions(request);
      const options = { condition, durability, signal: context.signal };
      const result = await store.touch(key, expiry, options);
      return encodeTouchAnswer(result, store.version, limits);
    },

    ...commitHandlers({ store, clock, messageBytesMax }),

    list: async (request, context) => {
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
        signal: context.signal,
      });
      return encodeListAnswer(page, pageToken(scope, page.after), limits.carries);
    },

    batchGet: (request, context) => batchGet(store, request, messageBytesMax, context),
    deleteRange: (request, context) => deleteRange(store, request, context),
    scan: (request, context) => scan(store, request, messageBytesMax, context),
    watch: (request, context) => watch(store, request, messageBytesMax, context),
  };
}
