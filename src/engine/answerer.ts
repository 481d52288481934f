/** Answers: what an operation resolves to, with the record it was asked to carry. */
import { KvixError } from "../base/kvix-error.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { RecordReader } from "./record-reader.js";
import type { StoredRecord } from "./store.js";
import type { Answer, RecordPlace, WriteOp, WriteResult } from "./write-op.js";

/** Resolves operations whose answer may be given now. */
export class Answerer {
  readonly #segments: SegmentSet;
  readonly #reader: RecordReader;

  constructor(segments: SegmentSet, reader: RecordReader) {
    this.#segments = segments;
    this.#reader = reader;
  }

  /** Resolves or rejects `op`. The record it carries, if any, is published by now. */
  answer(op: WriteOp): void {
    const { answer } = op;
    if (answer === undefined) throw new Error("an operation is answered before it is accepted");
    const place = "place" in answer ? answer.place : undefined;
    if (place === undefined) {
      op.resolve(resultOf(answer, undefined));
      return;
    }
    this.#read(place).then(
      (record) => op.resolve(resultOf(answer, record)),
      (error: unknown) => op.reject(afterWrite(error, op)),
    );
  }

  async #read(place: RecordPlace): Promise<StoredRecord> {
    if (place.kind === "pending") {
      const { segment, offset, length, version } = place.entry;
      if (segment === undefined) throw new Error("a record is read before it is written");
      return this.#reader.read(segment, offset, length, undefined, version);
    }
    const segment = this.#segments.at(place.segment);
    return this.#reader.read(segment, place.offset, place.length, undefined, place.version);
  }
}

function resultOf(answer: Answer, record: StoredRecord | undefined): WriteResult {
  switch (answer.kind) {
    case "set": {
      const { applied, version, expiresAtMs } = answer;
      return { applied, version, expiresAtMs, ...carried(applied, record) };
    }
    case "delete": {
      const { applied, deleted, version } = answer;
      return { applied, deleted, version, ...carried(applied, record) };
    }
    case "touch": {
      const { applied, found, version, expiresAtMs } = answer;
      return { applied, found, version, expiresAtMs, current: record };
    }
    case "batch":
      return answer.result;
    case "done":
      return undefined;
  }
}

function carried(applied: boolean, record: StoredRecord | undefined) {
  return applied
    ? { previous: record, current: undefined }
    : { previous: undefined, current: record };
}

/** A write that was applied is said to be, though the record it replaced cannot be read. */
function afterWrite(error: unknown, op: WriteOp): unknown {
  if (op.frameBytes === 0 || !(error instanceof KvixError)) return error;
  return new KvixError("PREVIOUS_CORRUPT", error.message, {
    cause: error,
    metadata: error.metadata,
  });
}
