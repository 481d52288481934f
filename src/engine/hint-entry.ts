/** From frames to the entries of a hint. */
import { FrameFlag } from "../format/frame.js";
import { HintFlag } from "../format/hint-layout.js";
import type { HintWriter } from "../format/hint-writer.js";
import type { FrameEntry } from "./frame-loader.js";
import type { LostFrame } from "./salvage.js";

/** A key whose frame is known to be unreadable: a read of it is DATA_LOSS after the next opening, too. */
export function addLostToHint(writer: HintWriter, lost: LostFrame): Uint8Array | undefined {
  const { bytes, fields, offset, isCertain } = lost;
  return writer.add(
    bytes,
    fields.keyStart,
    fields.keyEnd,
    offset,
    bytes.length,
    fields.version,
    isCertain ? fields.expiresAtMs : 0,
    HintFlag.DAMAGED,
  );
}

/** A record or a tombstone; `offset` is where its frame starts in the segment of the hint. */
export function addToHint(
  writer: HintWriter,
  entry: FrameEntry,
  offset: number = entry.offset,
): Uint8Array | undefined {
  const isTombstone = (entry.flags & FrameFlag.TOMBSTONE) !== 0;
  const isExpired = (entry.flags & FrameFlag.EXPIRED) !== 0;
  const flags = (isTombstone ? HintFlag.TOMBSTONE : 0) | (isExpired ? HintFlag.EXPIRED : 0);
  return writer.add(
    entry.bytes,
    entry.keyStart,
    entry.keyEnd,
    offset,
    entry.length,
    entry.version,
    entry.expiresAtMs,
    flags,
  );
}
