/**
 * A snapshot: the store as it was at one version, however much is written
 * meanwhile.
 *
 *   open --close()--> closed
 *     `--lease up, or too much replaced--> ended: every read is SNAPSHOT_ENDED
 *
 * What the index has with a newer version, or not at all, is looked up in the
 * undo list. A record that a compaction moved is still the same record: the
 * index tells of its new place, the undo list of its old one, and the snapshot's
 * ticket keeps every segment that either can name until it is over.
 *
 * Expiry is judged by the wall clock at the time it was opened, so that a walk
 * does not lose keys on its way.
 */
import type { KvixError } from "../../base/kvix-error.js";
import { FRAME_HEADER_BYTES } from "../../format/frame.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import { hasExpired, keyTextOf } from "../accepted-state.js";
import { boundsOf } from "../key-range.js";
import { type Keydir, NO_ENTRY } from "../keydir/keydir.js";
import type { RecordReader } from "../record-reader.js";
import { requireKey } from "../request-rules.js";
import type { KeyRange, StoredRecord } from "../store.js";
import { SnapshotCursor, type SnapshotEntry, type SnapshotView } from "./snapshot-cursor.js";
import type { UndoEntry, UndoList } from "./undo-list.js";

/** What a snapshot reads. */
export interface SnapshotContext {
  readonly keydir: Keydir;
  readonly segments: SegmentSet;
  readonly reader: RecordReader;
  readonly undo: () => UndoList;
}

/** One point in time. */
export class Snapshot implements SnapshotView {
  readonly #context: SnapshotContext;
  readonly #onClose: (snapshot: Snapshot) => void;
  #isClosed = false;
  #endedBecause: KvixError | undefined;
  /** Is called when it is ended from outside, so that who waits for something else hears of it. */
  onEnd: (() => void) | undefined;
  /** All that is published up to this version is seen, and nothing else. */
  readonly version: number;
  /** The wall clock when it was opened, in Unix milliseconds. */
  readonly openedAtMs: number;

  constructor(
    context: SnapshotContext,
    version: number,
    openedAtMs: number,
    onClose: (snapshot: Snapshot) => void,
  ) {
    this.#context = context;
    this.version = version;
    this.openedAtMs = openedAtMs;
    this.#onClose = onClose;
  }

  /** Whether it can be read. */
  get isOpen(): boolean {
    return !this.#isClosed && this.#endedBecause === undefined;
  }

  /** What has ended it from outside; undefined: nothing has. */
  get endedBecause(): KvixError | undefined {
    return this.#endedBecause;
  }

  /** What a key had. Throws KEY_EMPTY, KEY_TOO_LARGE, SNAPSHOT_ENDED, STORE_CLOSING. */
  get(key: Uint8Array): SnapshotEntry | undefined {
    this.requireOpen();
    requireKey(key);
    return this.look(new Uint8Array(key), undefined, this.#context.keydir.find(key));
  }

  /**
   * A walk over a range in key order, from its other end if `reverse`. Throws
   * FIELD_INVALID for a range that makes no sense, SNAPSHOT_ENDED, STORE_CLOSING.
   */
  cursor(range: KeyRange = {}, reverse = false): SnapshotCursor {
    this.requireOpen();
    const { keydir, undo } = this.#context;
    return new SnapshotCursor(this, keydir, undo, boundsOf(range), reverse);
  }

  /**
   * The record of an entry of this snapshot; a promise only if it is read off
   * the event loop. Throws RECORD_CORRUPT, READ_FAILED, SNAPSHOT_ENDED, STORE_CLOSING.
   */
  read(entry: SnapshotEntry): StoredRecord | Promise<StoredRecord> {
    this.requireOpen();
    const { segments, reader } = this.#context;
    const { segment, offset, recordBytes, key, version } = entry;
    const length = recordBytes + FRAME_HEADER_BYTES;
    return reader.read(segments.at(segment), offset, length, key, version);
  }

  /** Lets go of all it keeps. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose(this);
  }

  /** Ends it: whoever reads it on is told why. */
  end(why: KvixError): void {
    if (this.#isClosed || this.#endedBecause !== undefined) return;
    this.#endedBecause = why;
    this.onEnd?.();
  }

  requireOpen(): void {
    if (this.#isClosed) throw new Error("a closed snapshot is read");
    if (this.#endedBecause !== undefined) throw this.#endedBecause;
  }

  look(key: Uint8Array, keyText: string | undefined, entry: number): SnapshotEntry | undefined {
    const { keydir } = this.#context;
    if (entry === NO_ENTRY || keydir.versionOf(entry) > this.version) {
      const undo = this.#context.undo();
      if (undo.count === 0) return undefined;
      const found = undo.find(keyText ?? keyTextOf(key), this.version);
      return found && this.#visible(key, found);
    }
    return this.#visible(key, {
      version: keydir.versionOf(entry),
      expiresAtMs: keydir.expiresAtMsOf(entry),
      length: keydir.lengthOf(entry),
      segment: keydir.segmentOf(entry),
      offset: keydir.offsetOf(entry),
    });
  }

  #visible(
    key: Uint8Array,
    place: Pick<UndoEntry, "version" | "expiresAtMs" | "length" | "segment" | "offset">,
  ): SnapshotEntry | undefined {
    const { version, expiresAtMs, length, segment, offset } = place;
    if (hasExpired(expiresAtMs, this.openedAtMs)) return undefined;
    const recordBytes = length - FRAME_HEADER_BYTES;
    return { key, version, expiresAtMs, recordBytes, segment, offset };
  }
}
