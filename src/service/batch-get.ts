/**
 * BatchGet: the request checked, and BatchGetResponse as bytes. Records pass from the
 * disk to the wire without being decoded; an entry has the fields and numbers of a
 * ListedRecord, and says `unread` in field 5.
 */
import type { BatchGetRequest } from "../../gen/kvix/v1/kvix_pb.js";
import { BATCH_KEYS_MAX, PAGE_BYTES_MAX } from "../base/limits.js";
import { LISTED_OVERHEAD_BYTES } from "../engine/place.js";
import type { Store } from "../engine/store.js";
import type { BatchGetResult } from "../engine/store-ranges.js";
import { AnswerWriter } from "../rpc/answer-writer.js";
import type { CallContext } from "../rpc/calls.js";
import { STORE_VERSION } from "./kv-answers.js";
import { piecesOf, writeListed } from "./list-answers.js";
import { fieldInvalid, requireKey } from "./validation.js";

/** What an entry without a record takes: its tag and length, and `unread`. */
const EMPTY_ENTRY_BYTES = 4;
const UNREAD_BYTES = 2;
const carriesAll = (): boolean => true;

/** Answers a BatchGet with the bytes of its response. */
export async function batchGet(
  store: Store,
  request: BatchGetRequest,
  messageBytesMax: number,
  { signal }: CallContext,
): Promise<Uint8Array> {
  const { keys, keysOnly } = request;
  if (keys.length === 0 || keys.length > BATCH_KEYS_MAX) {
    throw fieldInvalid("keys", `1 to ${BATCH_KEYS_MAX} keys`);
  }
  for (const [index, key] of keys.entries()) requireKey(key, `keys[${index}]`);
  const bytesMax = Math.min(messageBytesMax, PAGE_BYTES_MAX);
  return encodeBatchGetAnswer(await store.batchGet(keys, { keysOnly, bytesMax, signal }));
}

/** BatchGetResponse. */
export function encodeBatchGetAnswer({ entries, version }: BatchGetResult): Uint8Array {
  const pieces = entries.map((entry) =>
    typeof entry === "string" ? entry : piecesOf(entry, carriesAll),
  );
  let room = 0;
  for (const piece of pieces) {
    room += typeof piece === "string" ? EMPTY_ENTRY_BYTES : piece.bytes + LISTED_OVERHEAD_BYTES;
  }
  const writer = new AnswerWriter(room);
  for (const piece of pieces) {
    if (typeof piece !== "string") {
      writeListed(writer, piece);
      continue;
    }
    const isUnread = piece === "unread";
    writer.header(1, isUnread ? UNREAD_BYTES : 0);
    writer.bool(5, isUnread);
  }
  writer.uint(STORE_VERSION, version);
  return writer.finish();
}
