/**
 * CommitResponse and IncrementResponse as bytes. The records that stood in the way
 * of a commit pass from the disk to the wire without being decoded.
 */

import type {
  CommitResult,
  IncrementResult,
  MutationResult,
  UnmetCondition,
} from "../engine/store.js";
import { UNMET_MARK_BYTES } from "../engine/unmet-reader.js";
import { varintBytes } from "../format/varint.js";
import { AnswerWriter } from "../rpc/answer-writer.js";
import { STORE_VERSION } from "./kv-answers.js";
import { bareRecord } from "./list-answers.js";

/** What a MutationResult takes of an answer at most, with what lies around it. */
export const MUTATION_RESULT_BYTES_MAX = 48;

/** IncrementResponse. */
export function encodeIncrementAnswer(result: IncrementResult, storeVersion: number): Uint8Array {
  const writer = new AnswerWriter(0);
  writer.int64(1, result.value);
  writer.uint(2, result.version);
  writer.timestamp(3, result.expiresAtMs);
  writer.bool(4, result.repeated);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

/** CommitResponse. */
export function encodeCommitAnswer(result: CommitResult, storeVersion: number): Uint8Array {
  const unmet = result.unmet.map(piecesOf);
  let room = result.results.length * MUTATION_RESULT_BYTES_MAX;
  for (const { bytes } of unmet) room += bytes + UNMET_MARK_BYTES;
  const writer = new AnswerWriter(room);
  writer.bool(1, result.applied);
  for (const member of result.results) writer.message(2, [encodeMember(member)]);
  for (const { bytes, index, record, isOmitted, recordBytes } of unmet) {
    writer.header(3, bytes);
    writer.uint(1, index);
    if (record !== undefined) writer.message(2, [record]);
    writer.bool(3, isOmitted);
    writer.uint(4, recordBytes);
  }
  writer.bool(4, result.repeated);
  writer.uint(STORE_VERSION, storeVersion);
  return writer.finish();
}

function encodeMember({ version, expiresAtMs, found, value }: MutationResult): Uint8Array {
  const writer = new AnswerWriter(0);
  writer.uint(1, version);
  writer.timestamp(2, expiresAtMs);
  writer.bool(3, found);
  writer.int64(4, value);
  return writer.finish();
}

/** An UnmetCondition before it is written. */
interface Pieces {
  /** The bytes of its message. */
  readonly bytes: number;
  readonly index: number;
  readonly record: Uint8Array | undefined;
  readonly isOmitted: boolean;
  readonly recordBytes: number;
}

function piecesOf({ index, current }: UnmetCondition): Pieces {
  const isOmitted = typeof current?.record === "string";
  const recordBytes = current?.recordBytes ?? 0;
  const record = recordOf(current);
  const bytes =
    (index === 0 ? 0 : 1 + varintBytes(index)) +
    (record === undefined ? 0 : 1 + varintBytes(record.byteLength) + record.byteLength) +
    (isOmitted ? 2 : 0) +
    (recordBytes === 0 ? 0 : 1 + varintBytes(recordBytes));
  return { bytes, index, record, isOmitted, recordBytes };
}

/** The Record that goes along: whole, or without its value, or, if not even its key fits, none. */
function recordOf(current: UnmetCondition["current"]): Uint8Array | undefined {
  if (current === undefined) return undefined;
  if (typeof current.record !== "string") return current.record.payload;
  return current.key.byteLength === 0 ? undefined : bareRecord(current, true);
}
