/**
 * Which records of a victim live, by the index.
 *
 *     value      the index points at it              lives, expired or not
 *                the index has a newer version       dead
 *                the index does not have the key     dead: a tombstone hides it
 *     tombstone  the index has a newer version       dead: that hides all it hid
 *                the index does not have the key     may be needed: tombstones.ts
 *
 * What hides a dead record is published, and it is durable before the victim goes:
 * the log is synced before every commit (V16).
 *
 * The index can never be older than a sealed segment. If it seems to be, it or the
 * segment is not what it should be, and nothing is compacted on its word.
 */
import type { Segment } from "../../storage/segment.js";
import { type Keydir, NO_ENTRY } from "../keydir/keydir.js";
import type { JudgeRequest } from "./copier-orders.js";
import type { Pace } from "./pacer.js";

/** How many look-ups are made between two looks at the time. */
const STRIDE = 32;

/** Thrown where index and segment do not fit together. */
export class IndexDisagrees extends Error {
  readonly segment: Segment;

  constructor(segment: Segment, why: string) {
    super(`${segment.name.fileName}: ${why}`);
    this.segment = segment;
  }
}

/** Judges a slice, and counts in `segment.judgement`. Throws IndexDisagrees. */
export async function judgeSlice(
  request: JudgeRequest,
  segment: Segment,
  keydir: Keydir,
  pacer: Pace,
): Promise<Uint8Array> {
  const { judgement } = segment;
  if (judgement === undefined) throw new Error("the segment is not being judged");
  const { count, offsets, lengths, versions, tombstones, keys, keyEnds } = request;
  const keep = new Uint8Array(count);
  let keyStart = 0;
  for (let index = 0; index < count; index += 1) {
    if (index % STRIDE === 0 && !pacer.hasTime()) await pacer.turn();
    const offset = offsets[index]!;
    const version = versions[index]!;
    const keyEnd = keyEnds[index]!;
    const known = keydir.findIn(keys, keyStart, keyEnd);
    keyStart = keyEnd;
    const isTombstone = tombstones[index] === 1;
    if (known === NO_ENTRY) {
      keep[index] = isTombstone ? 1 : 0;
    } else {
      const knownVersion = keydir.versionOf(known);
      const isItself =
        knownVersion === version &&
        keydir.segmentOf(known) === segment.name.id &&
        keydir.offsetOf(known) === offset;
      if (knownVersion < version || (isTombstone && knownVersion === version)) {
        throw new IndexDisagrees(segment, `the index does not know of the record at ${offset}`);
      }
      if (isItself) {
        keep[index] = 1;
        judgement.keptBytes += lengths[index]!;
      }
    }
    judgement.upTo = offset + 1;
  }
  judgement.upTo = request.upTo;
  return keep;
}

/** Whether every record that still lives in a victim was copied. */
export function isAccountedFor({ judgement, liveBytes }: Segment): boolean {
  return judgement !== undefined && liveBytes === judgement.keptBytes - judgement.diedBytes;
}
