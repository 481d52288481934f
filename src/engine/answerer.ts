/**
 * Answers: what an operation resolves to, with what it carries of the log: the
 * record that it was asked for, the records that stood in its way, or what the
 * first request with its id was answered.
 */
import { KvixError } from "../base/kvix-error.js";
import type { MemberResult } from "../format/batch-result.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { RecordReader } from "./record-reader.js";
import type { RepeatReader } from "./requests/repeat-reader.js";
import type { StoredRecord } from "./store.js";
import type { UnmetReader } from "./unmet-reader.js";
import type { Answer, CommitRequest, RecordPlace, WriteOp, WriteResult } from "./write-op.js";

/** What answers are read with. */
export interface AnswererContext {
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly repeats: RepeatReader;
  readonly unmet: UnmetReader;
}

/** Resolves operations whose answer may be given now. */
export class Answerer {
  readonly #context: AnswererContext;
  /** Answers that are being read. */
  #reading = 0;
  #idle: (() => void)[] = [];

  constructor(context: AnswererContext) {
    this.#context = context;
  }

  /** Resolves or rejects `op`. What it carries, if anything, is published by now. */
  answer(op: WriteOp): void {
    const { answer } = op;
    if (answer === undefined) throw new Error("an operation is answered before it is accepted");
    if (answer.kind === "refused") op.reject(answer.error);
    else if (op.readsLog) {
      this.#read(op, answer).then(
        (result) => op.resolve(result),
        (error: unknown) => op.reject(afterWrite(error, op)),
      );
    } else op.resolve(resultOf(op, answer, undefined));
  }

  /** Resolves when no answer is being read. */
  async idle(): Promise<void> {
    if (this.#reading > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #read(op: WriteOp, answer: Answer): Promise<WriteResult> {
    this.#reading += 1;
    try {
      return await this.#readAnswer(op, answer);
    } finally {
      this.#reading -= 1;
      if (this.#reading === 0) for (const wake of this.#idle.splice(0)) wake();
    }
  }

  async #readAnswer(op: WriteOp, answer: Answer): Promise<WriteResult> {
    if (answer.kind === "unmet") {
      const { unmetBytesMax } = op.request as CommitRequest;
      const unmet = await this.#context.unmet.read(answer.unmet, unmetBytesMax);
      return { applied: false, results: [], unmet, repeated: false };
    }
    if (answer.kind === "repeat") {
      if (op.identity === undefined) throw new Error("a repeat without a request id");
      const members = await this.#context.repeats.read(answer.first, op.identity);
      return membersResult(op, members, true);
    }
    const place = "place" in answer ? answer.place : undefined;
    return resultOf(op, answer, place && (await this.#readRecord(place)));
  }

  #readRecord(place: RecordPlace): StoredRecord | Promise<StoredRecord> {
    const { segments, reader } = this.#context;
    if (place.kind === "pending") {
      const { segment, offset, length, version } = place.entry;
      if (segment === undefined) throw new Error("a record is read before it is written");
      return reader.read(segment, offset, length, undefined, version);
    }
    const segment = segments.at(place.segment);
    return reader.read(segment, place.offset, place.length, undefined, place.version);
  }
}

function resultOf(op: WriteOp, answer: Answer, record: StoredRecord | undefined): WriteResult {
  switch (answer.kind) {
    case "set": {
      const { applied, version, expiresAtMs } = answer;
      // Written out: most answers are of this kind.
      const previous = applied ? record : undefined;
      const current = applied ? undefined : record;
      return { applied, version, expiresAtMs, previous, current };
    }
    case "delete": {
      const { applied, deleted, version } = answer;
      return { applied, deleted, version, ...carried(applied, record) };
    }
    case "touch": {
      const { applied, found, version, expiresAtMs } = answer;
      return { applied, found, version, expiresAtMs, current: record };
    }
    case "sets":
      return answer.result;
    case "members":
      return membersResult(op, answer.results, answer.repeated);
    case "done":
      return undefined;
    default:
      throw new Error("an answer of another kind");
  }
}

/** The answer to a Commit or an Increment that was applied. */
function membersResult(
  { request }: WriteOp,
  results: readonly MemberResult[],
  repeated: boolean,
): WriteResult {
  if (request.kind !== "increment") return { applied: true, results, unmet: [], repeated };
  const [member] = results;
  if (member === undefined) throw new Error("an increment without a result");
  const { value, version, expiresAtMs } = member;
  return { value, version, expiresAtMs, repeated };
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
