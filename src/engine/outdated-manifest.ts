/**
 * Telling a manifest that somebody put back from the one that was there last.
 *
 * A segment gets its first frame only after the manifest that names it is
 * durable, and the manifest remembers the highest timestamp it ever gave. So a
 * file with a frame of this store and a higher timestamp was begun under a later
 * manifest, and this one knows nothing of what was written since: to believe it
 * would be to serve older values.
 *
 * A file of such a name without a frame is what a rotation that was cut short has
 * left, or a stranger's, and says nothing.
 */
import type { Manifest } from "../../gen/kvix/v1/kvix_pb.js";
import { parseSegmentFileName } from "../format/segment-name.js";
import { errorCode, type File } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import type { StoreDirectories } from "../storage/layout.js";
import { SegmentName } from "../storage/segment.js";
import { findFrame } from "../storage/segment-scan.js";

/** The name of a segment of the store that is younger than the manifest; undefined: there is none. */
export async function findYoungerSegment(
  host: Host,
  directories: StoreDirectories,
  manifest: Readonly<Manifest>,
): Promise<string | undefined> {
  const { storeId, segmentTimestamp } = manifest;
  for (const { name } of await host.files.list(directories.segments)) {
    const parsed = parseSegmentFileName(name);
    if (parsed?.kind !== "segment" || parsed.timestampNs <= segmentTimestamp) continue;
    const { prefix, id, timestampNs } = parsed;
    const segment = new SegmentName(directories, storeId, prefix, id, timestampNs);
    if (await hasFrame(host, segment)) return name;
  }
  return undefined;
}

/** How far a file is searched: the first frame of a segment stands at its start, unless it rotted. */
const SEARCHED_BYTES_MAX = 64 * 1024 * 1024;

/** What says nothing of the file: another time it opens. Any other refusal is for ever, and no frame. */
const PASSING_CODES: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EIO"]);

/** Whether a frame of the segment lies in its file. */
async function hasFrame(host: Host, { path, salt }: SegmentName): Promise<boolean> {
  let file: File;
  try {
    file = await host.files.open(path, "read");
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || PASSING_CODES.has(code)) throw error;
    return false;
  }
  try {
    const to = Math.min(await file.size(), SEARCHED_BYTES_MAX);
    const found = await findFrame({ file, salt, from: 0, to });
    return found.kind === "frame";
  } finally {
    await file.close();
  }
}
