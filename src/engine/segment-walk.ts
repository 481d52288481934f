/**
 * What lies in a segment, from its first byte to its last, for somebody who
 * looks at it: sound frames with their records, and runs of bytes that are
 * none. It reads only, needs no lock, believes nothing, and works on a segment
 * that is being written.
 *
 *     frame ... | damage | frame ... | tail
 *
 * Items come in bunches of bounded size, so that a segment of any length is
 * walked in bounded memory and no faster than they are taken (V11).
 */
import { FRAME_HEADER_BYTES, FrameFlag } from "../format/frame.js";
import { newRecordFields, parseRecord } from "../format/record.js";
import type { Segment } from "../storage/segment.js";
import { findFrame, type ScannedFrame, scanFrames } from "../storage/segment-scan.js";
import { visitFrame } from "./frame-loader.js";

/** A record in a frame of its own, or in a batch. */
export interface WalkedRecord {
  readonly offset: number;
  /** Of its frame, in bytes. */
  readonly length: number;
  /** FrameFlag bits. */
  readonly flags: number;
  readonly key: Uint8Array;
  readonly valueBytes: number;
  /** Only if values were asked for. */
  readonly value: Uint8Array | undefined;
  readonly version: number;
  readonly updatedAtMs: number;
  /** Unix milliseconds; 0: never. */
  readonly expiresAtMs: number;
}

/** A sound frame. */
export interface WalkedFrame {
  readonly kind: "frame";
  readonly offset: number;
  readonly length: number;
  /** FrameFlag bits. */
  readonly flags: number;
  /** When it was accepted, in Unix milliseconds. */
  readonly timestampMs: number;
  /** One, or the members of a batch. */
  readonly records: readonly WalkedRecord[];
}

/** Bytes that are no sound frame of this kvix. */
export interface WalkedDamage {
  /**
   * "damage": a sound frame follows. "tail": none does: a torn tail, damage, or
   * a write under way. "unknown": a sound frame of another kvix. "given-up":
   * too many false starts, so what follows is not known.
   */
  readonly kind: "damage" | "tail" | "unknown" | "given-up";
  readonly offset: number;
  readonly length: number;
}

/** What a walk meets. */
export type WalkItem = WalkedFrame | WalkedDamage;

/** A bunch ends after so many records, or so many bytes of keys and values. */
const BUNCH_RECORDS_MAX = 4096;
const BUNCH_BYTES_MAX = 4 * 1024 * 1024;

const fields = newRecordFields();

/** Walks the first `length` bytes of a segment whose file is open. */
export async function* walkSegment(
  segment: Segment,
  length: number,
  withValues: boolean,
): AsyncGenerator<readonly WalkItem[]> {
  const { file } = segment;
  if (file === undefined) return;
  let from = 0;
  while (from < length) {
    const bunch = new Bunch(segment, withValues);
    const range = { file, salt: segment.name.salt, from, to: length };
    const stop = await scanFrames(range, (scanned) => bunch.take(scanned));
    from = stop.offset;
    const isWhole = stop.kind === "end" && bunch.unreadable === undefined;
    if (!isWhole) {
      const at = bunch.unreadable ?? stop.offset;
      const damage = await measure(segment, at, length, stop.kind !== "damage");
      bunch.items.push(damage);
      from = damage.offset + damage.length;
    }
    yield bunch.items;
  }
}

/** How far bytes that are no frame go. */
async function measure(
  segment: Segment,
  offset: number,
  to: number,
  isUnknown: boolean,
): Promise<WalkedDamage> {
  const { file } = segment;
  if (file === undefined) throw new Error("a missing segment cannot be read");
  const next = await findFrame({ file, salt: segment.name.salt, from: offset + 1, to });
  if (next.kind === "gave-up") return { kind: "given-up", offset, length: to - offset };
  const end = next.kind === "frame" ? next.offset : to;
  const kind = isUnknown ? "unknown" : next.kind === "frame" ? "damage" : "tail";
  return { kind, offset, length: end - offset };
}

/** The items of one bunch; what is kept of the window is copied. */
class Bunch {
  readonly items: WalkItem[] = [];
  /** Where a frame starts whose checksum is right and whose payload is not one of ours. */
  unreadable: number | undefined;
  readonly #segment: Segment;
  readonly #withValues: boolean;
  #records = 0;
  #bytes = 0;

  constructor(segment: Segment, withValues: boolean) {
    this.#segment = segment;
    this.#withValues = withValues;
  }

  /** Takes a frame; false: the bunch ends behind it. */
  take(scanned: ScannedFrame): boolean {
    const { offset, frame } = scanned;
    const records: WalkedRecord[] = [];
    const isOurs = visitFrame(scanned, this.#segment, {
      entry: (entry) => records.push(this.#record(scanned, entry)),
    });
    if (!isOurs) {
      this.unreadable = offset;
      return false;
    }
    const { frameBytes: length, flags, timestampMs } = frame;
    this.items.push({ kind: "frame", offset, length, flags, timestampMs, records });
    this.#records += records.length;
    return this.#records < BUNCH_RECORDS_MAX && this.#bytes < BUNCH_BYTES_MAX;
  }

  #record(
    { bytes, at, offset: frameOffset }: ScannedFrame,
    { offset, length, flags }: { offset: number; length: number; flags: number },
  ): WalkedRecord {
    const start = at + offset - frameOffset;
    parseRecord(bytes, start + FRAME_HEADER_BYTES, start + length, fields);
    const { keyStart, keyEnd, valueStart, valueEnd } = fields;
    const key = bytes.slice(keyStart, keyEnd);
    const value = this.#withValues ? bytes.slice(valueStart, valueEnd) : undefined;
    this.#bytes += key.length + (value?.length ?? 0);
    return {
      offset,
      length,
      flags,
      key,
      valueBytes: valueEnd - valueStart,
      value,
      version: fields.version,
      updatedAtMs: fields.updatedAtMs,
      expiresAtMs: fields.expiresAtMs,
    };
  }
}

/** What a frame or a record is, in words: "value", "batch, barrier". */
export function describeFlags(flags: number): string {
  const what =
    (flags & FrameFlag.BATCH) !== 0
      ? "batch"
      : (flags & FrameFlag.EXPIRED) !== 0
        ? "expired"
        : (flags & FrameFlag.TOMBSTONE) !== 0
          ? "tombstone"
          : "value";
  return (flags & FrameFlag.BARRIER) !== 0 ? `${what}, barrier` : what;
}
