/**
 * Where a Touch, an Increment or a Commit has the values from that it builds on:
 *
 *     newest accepted write is pending    -> its frame, still in memory
 *     the same, and it is an upload       -> its staging file, off the event loop
 *     it is published, the read is quick  -> read in the turn of the acceptance
 *     it is published, large or cold,     -> read off the event loop; until then the
 *     or they are many                       operation holds its place in the line
 *
 * Nothing is accepted while the first of the line waits for its reads, so what
 * stands cannot change under it but by expiry, and by publication of what was
 * pending: one read is enough for each record, two if it changed while the
 * operation stood further back.
 *
 * Bounds (V11): reads ahead of the first of the line hold 16 MiB together; the
 * first reads in any case, so one record more, or those of one commit, which are
 * 128 MiB at most: one that could not be written is not read for. A number has few
 * bytes; what has more is none and is not read.
 */
import { KvixError } from "../base/kvix-error.js";
import { BATCH_BYTES_MAX } from "../base/limits.js";
import { FRAME_HEADER_BYTES } from "../format/frame.js";
import { newRecordFields, parseRecord } from "../format/record.js";
import type { Clock } from "../host/host.js";
import type { SegmentSet } from "../storage/segment-set.js";
import { isMet } from "./acceptance-rules.js";
import type { AcceptedKey, AcceptedState } from "./accepted-state.js";
import { appendedBytes, needsValue } from "./commit-size.js";
import type { Pins } from "./pins.js";
import type { RecordReader } from "./record-reader.js";
import { type StagedValue, StagingFault } from "./staged-value.js";
import type {
  CommitRequest,
  FetchedRecords,
  PendingEntry,
  ReadValue,
  WriteOp,
} from "./write-op.js";

/** How many bytes of records may be read ahead of the first of the line. */
const AHEAD_BYTES_MAX = 16 * 1024 * 1024;
/** How much is read in one turn; others get theirs then. */
const TURN_READS = 64;
const TURN_BYTES = 256 * 1024;

/** A record that stands and is not in memory. */
interface UnreadRecord {
  readonly version: number;
  /** What it takes of memory, in bytes. */
  readonly length: number;
  readonly read: () => ReadValue | Promise<ReadValue>;
}

/** What the source works with. */
export interface ValueSourceContext {
  readonly state: AcceptedState;
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly pins: Pins;
  readonly clock: Clock;
}

const fields = newRecordFields();
const NO_RECORDS: readonly UnreadRecord[] = [];

/** Finds the values of records that stand. */
export class ValueSource {
  readonly #context: ValueSourceContext;
  #aheadBytes = 0;
  /** Is called when the reads are done that an operation waits for. */
  onRead: () => void = () => undefined;

  constructor(context: ValueSourceContext) {
    this.#context = context;
  }

  /** Whether `op` can be accepted now; if not, its reads are under way. */
  isReady(op: WriteOp): boolean {
    if (op.fetched?.reading !== undefined) return false;
    const places = this.#placesToRead(op);
    if (places.length === 0) return true;
    const known = op.fetched?.byVersion;
    if (places.every(({ version }) => known?.has(version) === true)) return true;
    this.#fetch(op, places);
    return op.fetched?.reading === undefined;
  }

  /** Begins the reads of an operation that is not the first of the line, if there is room. */
  readAhead(op: WriteOp): void {
    if (op.fetched !== undefined) return;
    const places = this.#placesToRead(op);
    if (places.length === 0) return;
    if (this.#aheadBytes + bytesOf(places) <= AHEAD_BYTES_MAX) this.#fetch(op, places);
  }

  /** Resolves when the reads that `op` waits for are done. */
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
    const found = fetched?.byVersion.get(standing.version);
    if (found?.record !== undefined) return found.record.value;
    if (found !== undefined) throw notApplied(found.error);
    // It stood on a write that is taken back now, and goes with it.
    throw new KvixError("WRITE_FAILED", "the write that it stood on was taken back");
  }

  /** Where the records lie that `op` needs read; none: it can be accepted without. */
  #placesToRead({ request, identity }: WriteOp): readonly UnreadRecord[] {
    const { state, clock } = this.#context;
    if (request.kind === "touch") {
      const standing = state.look(request.key, clock.wallMs());
      if (!standing.isVisible || !isMet(request.condition, standing)) return NO_RECORDS;
      return this.#unread(standing);
    }
    if (request.kind !== "increment" && request.kind !== "commit") return NO_RECORDS;
    if (identity !== undefined && state.requests.find(identity) !== undefined) return NO_RECORDS;
    if (request.kind === "commit") return this.#placesOfCommit(request);
    const { mutation } = request;
    const standing = state.look(mutation.key, clock.wallMs());
    return needsValue(mutation, standing) ? this.#unread(standing) : NO_RECORDS;
  }

  #placesOfCommit({ conditions, mutations }: CommitRequest): readonly UnreadRecord[] {
    const isRead = mutations.some(({ kind }) => kind === "touch" || kind === "increment");
    if (!isRead) return NO_RECORDS;
    const { state, clock } = this.#context;
    const nowMs = clock.wallMs();
    const isUnmet = conditions.some(({ key, condition }) => {
      return !isMet(condition, state.look(key, nowMs));
    });
    if (isUnmet) return NO_RECORDS;
    const standings = mutations.map(({ key }) => state.look(key, nowMs));
    if (appendedBytes(mutations, standings) > BATCH_BYTES_MAX) return NO_RECORDS;
    const records: UnreadRecord[] = [];
    for (const [index, mutation] of mutations.entries()) {
      const standing = standings[index] as AcceptedKey;
      if (needsValue(mutation, standing)) records.push(...this.#unread(standing));
    }
    return records;
  }

  /** The record that stands, if it is not in memory. */
  #unread({ place, version }: AcceptedKey): readonly UnreadRecord[] {
    const { segments, reader } = this.#context;
    if (place?.kind === "pending") {
      const { entry } = place;
      const { staged } = entry;
      if (staged === undefined) return NO_RECORDS;
      const read = () => this.#readStaged(entry, staged);
      return [{ version, length: staged.length, read }];
    }
    if (place === undefined) return NO_RECORDS;
    const { segment, offset, length } = place;
    const read = () => reader.read(segments.at(segment), offset, length, undefined, version);
    return [{ version, length, read }];
  }

  async #readStaged(entry: PendingEntry, staged: StagedValue): Promise<ReadValue> {
    try {
      return { value: await staged.read() };
    } catch (error) {
      const { isSettled, segment, offset, length, version } = entry;
      if (!isSettled || segment === undefined) throw error;
      // It was published meanwhile, and its file is gone.
      return await this.#context.reader.read(segment, offset, length, undefined, version);
    }
  }

  #fetch(op: WriteOp, places: readonly UnreadRecord[]): void {
    const known = op.fetched?.byVersion;
    this.release(op);
    const fetched: FetchedRecords = {
      byVersion: new Map(),
      bytes: bytesOf(places),
      reading: undefined,
    };
    for (const { version } of places) {
      const found = known?.get(version);
      if (found !== undefined) fetched.byVersion.set(version, found);
    }
    op.fetched = fetched;
    this.#aheadBytes += fetched.bytes;
    const missing = places.filter(({ version }) => !fetched.byVersion.has(version));
    const rest = this.#readSome(fetched, missing);
    if (rest !== undefined) fetched.reading = this.#finish(fetched, missing, rest);
  }

  /** Reads what can be read at once, up to what a turn may take; answers what it waits for, if anything. */
  #readSome(
    fetched: FetchedRecords,
    places: readonly UnreadRecord[],
  ): Promise<unknown> | undefined {
    const { clock } = this.#context;
    let reads = 0;
    let bytes = 0;
    for (const { version, length, read: readRecord } of places) {
      if (fetched.byVersion.has(version)) continue;
      if (reads === TURN_READS || bytes > TURN_BYTES) {
        return new Promise<void>((resolve) => clock.soon(resolve));
      }
      reads += 1;
      bytes += length;
      try {
        const read = readRecord();
        if (read instanceof Promise) {
          return read.then(
            (record) => fetched.byVersion.set(version, { record }),
            (error: unknown) => fetched.byVersion.set(version, { error }),
          );
        }
        fetched.byVersion.set(version, { record: read });
      } catch (error) {
        fetched.byVersion.set(version, { error });
      }
    }
    return undefined;
  }

  async #finish(
    fetched: FetchedRecords,
    places: readonly UnreadRecord[],
    first: Promise<unknown>,
  ): Promise<void> {
    // The places were looked up in this turn; they are read in later ones.
    const ticket = this.#context.pins.enter();
    let waiting: Promise<unknown> | undefined = first;
    try {
      while (waiting !== undefined) {
        await waiting;
        waiting = this.#readSome(fetched, places);
      }
    } finally {
      ticket.leave();
      fetched.reading = undefined;
      this.onRead();
    }
  }
}

function bytesOf(places: readonly UnreadRecord[]): number {
  let bytes = 0;
  for (const { length } of places) bytes += length;
  return bytes;
}

/** The value in the frame of a write that is not published yet. */
function pendingValue({ source, at, length }: PendingEntry): Uint8Array {
  if (!parseRecord(source, at + FRAME_HEADER_BYTES, at + length, fields)) {
    throw new Error("a pending record does not parse");
  }
  return source.subarray(fields.valueStart, fields.valueEnd);
}

/** What cannot be read is not built on. */
function notApplied(error: unknown): unknown {
  if (error instanceof StagingFault) return error.toError();
  if (!(error instanceof KvixError)) return error;
  const { reason, metadata } = error;
  return new KvixError(reason, "nothing was changed", {
    cause: error,
    metadata,
    outcome: "not-applied",
  });
}
