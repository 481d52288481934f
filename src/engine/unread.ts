/**
 * What an opening could not read, though another one may: a record that the disk refuses
 * today, or in a file that is away, may be newer than what the index has of its key. Users
 * write over it as they like, and a delete of a key that seems absent leaves a tombstone,
 * lest the record be back; what the store does by itself leaves alone what is as old.
 */
import type { Manifest } from "../../gen/kvix/v1/kvix_pb.js";
import type { File } from "../host/file-system.js";
import { isReadable } from "../storage/byte-window.js";
import type { Segment } from "../storage/segment.js";
import type { Damage, DamageRegister } from "./damage.js";

/**
 * The newest version that may lie in bytes which are not in the index and may be read
 * another time; 0: there are none. Of damage that was met for the first time nobody knows
 * whether it is rot or a disk that refused once; of what the manifest knew the disk is
 * asked again.
 */
export async function newestUnread(
  segments: Iterable<Segment>,
  damage: DamageRegister,
  { damagedRanges }: Pick<Manifest, "damagedRanges">,
): Promise<number> {
  const files = new Set(
    damage.toStats().flatMap(({ file, keysUnknown }) => (keysUnknown ? [file] : [])),
  );
  const isKnown = ({ segment, offset, length }: Damage): boolean =>
    damagedRanges.some(
      (range) =>
        range.segmentTimestamp === segment.timestampNs &&
        range.keysUnknown &&
        range.offset <= offset &&
        range.offset + range.length >= offset + length,
    );
  let newest = 0;
  for (const { name, file } of segments) {
    if (!files.has(name.fileName)) continue;
    for (const range of damage.of(name)) {
      if (!range.keysUnknown || range.lastVersion <= newest) continue;
      if (!isKnown(range) || !(await isThere(file, range))) newest = range.lastVersion;
    }
  }
  return newest;
}

async function isThere(file: File | undefined, { offset, length }: Damage): Promise<boolean> {
  if (file === undefined || (await file.size()) < offset + length) return false;
  return await isReadable(file, offset, offset + length);
}
