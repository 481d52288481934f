/**
 * Records read in pieces, in the memory of one piece. A record that fits a piece is
 * read at once and verified before anything of it is shown. Of a larger one
 *
 *     header | key | tag, length | value ...                | version, times
 *     `---- read and held against the index ----'            `-- the same --'
 *                                  read as it is taken, and held at its end,
 *                                  with all around it, against the frame's checksum
 *
 * A download holds the segment that it reads, on a lease: who does not take anything
 * for five minutes is ended, and so is who still reads five minutes after a compaction
 * has replaced the segment. Frames do not change, so it does not matter what is written
 * meanwhile.
 */
import { KvixError } from "../base/kvix-error.js";
import { crc32 } from "../format/checksum.js";
import type { Clock } from "../host/host.js";
import type { SegmentSet } from "../storage/segment-set.js";
import type { DamageRegister } from "./damage.js";
import { type Lease, Leases } from "./leases.js";
import { type DownloadPlace, PiecewiseRecord } from "./piecewise-record.js";
import type { Hold, Pins } from "./pins.js";
import { type RecordReader, recordCorrupt } from "./record-reader.js";
import type { Download, StoredRecord } from "./store.js";

/** The most bytes of a piece. */
export const DOWNLOAD_PIECE_BYTES = 256 * 1024;
/** How many may be under way: each holds a segment. */
const DOWNLOADS_MAX = 1024;
/** How long a segment is held for a download from which nothing is taken. */
const DOWNLOAD_LEASE_MS = 5 * 60_000;

/** What downloads work with. */
export interface DownloadsContext {
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly pins: Pins;
  readonly damage: DamageRegister;
  readonly clock: Clock;
}

/** All downloads of a store. */
export class Downloads {
  readonly #context: DownloadsContext;
  readonly #leases: Leases;
  readonly #underWay = new Set<HeldDownload>();

  constructor(context: DownloadsContext) {
    this.#context = context;
    this.#leases = new Leases(context.clock);
  }

  /** Begins one. Throws OVERLOADED, RECORD_CORRUPT, READ_FAILED. */
  async begin(place: DownloadPlace, signal: AbortSignal | undefined): Promise<Download> {
    const { reader, pins, damage } = this.#context;
    const { key, segment, offset, length, version } = place;
    if (this.#underWay.size >= DOWNLOADS_MAX) {
      const detail = `${DOWNLOADS_MAX} downloads are under way`;
      throw new KvixError("OVERLOADED", detail, { outcome: "none" });
    }
    if (length <= DOWNLOAD_PIECE_BYTES) {
      return new WholeDownload(await reader.read(segment, offset, length, key, version));
    }
    const hold = pins.hold(segment);
    if (hold === undefined) throw new Error("the index names a segment that is being taken away");
    // The caller may use its key's memory again.
    const record = new PiecewiseRecord({ ...place, key: new Uint8Array(key) }, () =>
      recordCorrupt(damage, segment, offset, length, version),
    );
    const download = new HeldDownload(record, {
      hold,
      pins,
      leases: this.#leases,
      signal,
      onOver: (over) => this.#underWay.delete(over),
    });
    this.#underWay.add(download);
    await download.begin();
    return download;
  }

  /** Ends all: the files go now. */
  close(): void {
    for (const download of this.#underWay) download.end(new KvixError("STORE_CLOSING", "", NONE));
  }
}

const NONE = { outcome: "none" } as const;

/** A record that is in memory, and verified. */
class WholeDownload implements Download {
  readonly bare: Uint8Array;
  readonly version: number;
  readonly expiresAtMs: number;
  readonly valueBytes: number;
  readonly checksum: number;
  readonly chunks: AsyncIterable<Uint8Array>;

  constructor(record: StoredRecord) {
    const { payload, value } = record;
    const end = value.byteOffset - payload.byteOffset + value.byteLength;
    this.bare =
      value.byteLength === 0
        ? payload
        : Buffer.concat([payload.subarray(0, valueFieldStart(record)), payload.subarray(end)]);
    this.version = record.version;
    this.expiresAtMs = record.expiresAtMs;
    this.valueBytes = value.byteLength;
    this.checksum = value.byteLength === 0 ? 0 : crc32(value);
    this.chunks = (async function* () {
      if (value.byteLength > 0) yield value;
    })();
  }

  close(): void {
    // It holds nothing.
  }
}

/** What a download holds, and where it says that it is over. */
interface HeldSeams {
  readonly hold: Hold;
  readonly pins: Pins;
  readonly leases: Leases;
  readonly signal: AbortSignal | undefined;
  readonly onOver: (download: HeldDownload) => void;
}

/** A record that is read as it is taken. */
class HeldDownload implements Download {
  readonly #record: PiecewiseRecord;
  readonly #seams: HeldSeams;
  readonly #lease: Lease;
  #endedBecause: unknown;
  #isOver = false;
  readonly #onAbort = (): void => this.end(cancelled(this.#seams.signal));

  constructor(record: PiecewiseRecord, seams: HeldSeams) {
    this.#record = record;
    this.#seams = seams;
    this.#lease = seams.leases.take(DOWNLOAD_LEASE_MS, () => {
      this.end(new KvixError("SNAPSHOT_ENDED", "the record was taken too slowly"));
    });
    seams.signal?.addEventListener("abort", this.#onAbort);
    if (seams.signal?.aborted === true) this.#onAbort();
  }

  get bare(): Uint8Array {
    return this.#record.bare;
  }

  get version(): number {
    return this.#record.version;
  }

  get expiresAtMs(): number {
    return this.#record.expiresAtMs;
  }

  get valueBytes(): number {
    return this.#record.valueBytes;
  }

  get checksum(): number {
    return this.#record.valueChecksum;
  }

  get chunks(): AsyncIterable<Uint8Array> {
    return this.#pieces();
  }

  /** Reads what lies around the value. */
  async begin(): Promise<void> {
    await this.#during(() => this.#record.readAround());
  }

  close(): void {
    this.end(undefined);
  }

  /** Lets go of the segment; who takes more is told why. */
  end(why: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#endedBecause = why;
    const { hold, leases, signal, onOver } = this.#seams;
    hold.release();
    leases.giveUp(this.#lease);
    signal?.removeEventListener("abort", this.#onAbort);
    onOver(this);
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    try {
      while (!this.#record.isAtEnd) {
        yield await this.#during(() => this.#record.readPiece(DOWNLOAD_PIECE_BYTES));
      }
    } finally {
      this.close();
    }
  }

  async #during<Result>(read: () => Promise<Result>): Promise<Result> {
    const { pins, leases } = this.#seams;
    this.#requireUnderWay();
    // What a compaction has replaced must go, however slowly it is read.
    if (!this.#record.segment.isRemoved) leases.renew(this.#lease, DOWNLOAD_LEASE_MS);
    // The lease may end while the disk is slow.
    const ticket = pins.enter();
    let result: Result;
    try {
      result = await read();
    } catch (error) {
      // The files of a store that closes are closed under the read.
      this.#requireUnderWay();
      this.end(error);
      throw error;
    } finally {
      ticket.leave();
    }
    this.#requireUnderWay();
    return result;
  }

  #requireUnderWay(): void {
    if (!this.#isOver) return;
    throw this.#endedBecause ?? new Error("a download that is over is gone on with");
  }
}

/** Where the value field of a record begins in its encoding: its tag stands there. */
function valueFieldStart({ payload, value }: StoredRecord): number {
  const at = value.byteOffset - payload.byteOffset;
  const length = value.byteLength;
  return at - 1 - (length < 2 ** 7 ? 1 : length < 2 ** 14 ? 2 : length < 2 ** 21 ? 3 : 4);
}

function cancelled(signal: AbortSignal | undefined): KvixError {
  return new KvixError("CANCELLED", "", { cause: signal?.reason, outcome: "none" });
}
