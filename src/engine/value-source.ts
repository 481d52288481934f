/**
 * Where a Touch has the value from that it appends anew:
 *
 *     newest accepted write is pending    -> its frame, still in memory
 *     the same, and it is an upload       -> its staging file, off the event loop
 *     it is published, the read is quick  -> read in the turn of the acceptance
 *     it is published, large or cold      -> read off the event loop; until then
 *                                            the Touch holds its place in the line
 *
 * Nothing is accepted while the first of the line waits for its read, so what
 * stands cannot change under it but by expiry: one read is enough for each
 * Touch, two if the record changed while it stood further back.
 *
 * Bounds (V11): reads ahead of the first of the line hold 16 MiB together; the
 * first reads in any case, so one record more.
 */
import { KvixError } from "../base/kvix-error.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import { newRecordFields, parseRecord } from "../format/record.js";
import type { SegmentSet } from "../storage/segment-set.js";
import { isMet } from "./acceptance-rules.js";
import type { AcceptedKey, AcceptedState } from "./accepted-state.js";
import type { RecordReader } from "./record-reader.js";
import { StagingFault } from "./staged-value.js";
import type { StoredRecord } from "./store.js";
import type { FetchedRecord, PendingEntry, RecordPlace, WriteOp } from "./write-op.js";

/** How many bytes of records may be read ahead of the first of the line. */
const AHEAD_BYTES_MAX = 16 * 1024 * 1024;

/** What must be read before it can be had. */
interface UnreadRecord {
  readonly version: number;
  /** What it takes of memory. */
  readonly bytes: number;
  readonly read: () => Pick<StoredRecord, "value"> | Promise<Pick<StoredRecord, "value">>;
}

const fields = newRecordFields();

/** Finds the values of records that stand. */
export class ValueSource {
  readonly #state: AcceptedState;
  readonly #segments: SegmentSet;
  readonly #reader: RecordReader;
  readonly #wallMs: () => number;
  #aheadBytes = 0;
  /** Is called when a read is done that a Touch waits for. */
  onRead: () => void = () => undefined;

  constructor(
    state: AcceptedState,
    segments: SegmentSet,
    reader: RecordReader,
    wallMs: () => number,
  ) {
    this.#state = state;
    this.#segments = segments;
    this.#reader = reader;
    this.#wallMs = wallMs;
  }

  /** Whether `op` can be accepted now; if not, its read is under way. */
  isReady(op: WriteOp): boolean {
    const unread = this.#unread(op);
    if (unread === undefined) return true;
    if (op.fetched?.version !== unread.version) this.#fetch(op, unread);
    return op.fetched?.reading === undefined;
  }

  /** Begins the read of an operation that is not the first of the line, if there is room. */
  readAhead(op: WriteOp): void {
    const unread = this.#unread(op);
    if (unread === undefined || op.fetched !== undefined) return;
    if (this.#aheadBytes + unread.bytes <= AHEAD_BYTES_MAX) this.#fetch(op, unread);
  }

  /** Resolves when the read that `op` waits for is done. */
  async untilRead(op: WriteOp | undefined): Promise<void> {
    await op?.fetched?.reading;
  }

  /** Forgets what was read for an operation that is accepted, or has left. */
  release(op: WriteOp): void {
    if (op.fetched === undefined) return;
    this.#aheadBytes -= op.fetched.bytes;
    op.fetched = undefined;
  }

  /** The value of the record that stands, good until the next turn. Throws "not applied". */
  take({ fetched }: WriteOp, standing: AcceptedKey): Uint8Array {
    const { place } = standing;
    const isInMemory = place?.kind === "pending" && place.entry.staged === undefined;
    if (isInMemory) return pendingValue(place.entry);
    if (fetched?.version === standing.version) {
      if (fetched.record !== undefined) return fetched.record.value;
      throw notTouched(fetched.error);
    }
    // It stood on a write that is taken back now, and goes with it.
    throw new KvixError("WRITE_FAILED", "the write that it stood on was taken back");
  }

  /** The record that `op` needs read; undefined: none. */
  #unread({ request }: WriteOp): UnreadRecord | undefined {
    if (request.kind !== "touch") return undefined;
    const standing = this.#state.look(request.key, this.#wallMs());
    if (!standing.isVisible || !isMet(request.condition, standing)) return undefined;
    const { place, version } = standing;
    return place === undefined ? undefined : this.#unreadAt(place, version);
  }

  #unreadAt(place: RecordPlace, version: number): UnreadRecord | undefined {
    if (place.kind === "pending") {
      const { staged } = place.entry;
      if (staged === undefined) return undefined;
      const read = async () => ({ value: await staged.read() });
      return { version, bytes: staged.bytes, read };
    }
    const { offset, length } = place;
    const segment = this.#segments.at(place.segment);
    const read = () => this.#reader.read(segment, offset, length, undefined, version);
    return { version, bytes: length, read };
  }

  #fetch(op: WriteOp, { version, bytes, read }: UnreadRecord): void {
    this.release(op);
    const fetched: FetchedRecord = {
      version,
      bytes,
      reading: undefined,
      record: undefined,
      error: undefined,
    };
    op.fetched = fetched;
    this.#aheadBytes += bytes;
    try {
      const record = read();
      if (record instanceof Promise) fetched.reading = this.#finish(fetched, record);
      else fetched.record = record;
    } catch (error) {
      fetched.error = error;
    }
  }

  async #finish(fetched: FetchedRecord, read: Promise<Pick<StoredRecord, "value">>): Promise<void> {
    try {
      fetched.record = await read;
    } catch (error) {
      fetched.error = error;
    }
    fetched.reading = undefined;
    this.onRead();
  }
}

/** The value in the frame of a write that is not published yet. */
function pendingValue({ source, at, length }: PendingEntry): Uint8Array {
  if (!parseRecord(source, at + FRAME_HEADER_BYTES, at + length, fields)) {
    throw new Error("a pending record does not parse");
  }
  return source.subarray(fields.valueStart, fields.valueEnd);
}

/** A record that cannot be read is not touched. */
function notTouched(error: unknown): unknown {
  if (error instanceof StagingFault) return error.toError();
  if (!(error instanceof KvixError)) return error;
  const { reason, metadata } = error;
  return new KvixError(reason, "the record was not touched", {
    cause: error,
    metadata,
    outcome: "not-applied",
  });
}
