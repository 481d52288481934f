/**
 * Pointing the index at an output, once the manifest names it. The hint of the
 * output tells what lies where in it. A version names one record for ever (V15),
 * so an entry is moved if it still has the version of the copy, and is left alone
 * if it was written anew or removed meanwhile (M3).
 */
import { HintFlag } from "../../format/hint-layout.js";
import type { HintBlock } from "../../format/hint-reader.js";
import type { FileSystem } from "../../host/file-system.js";
import { loadHint } from "../../storage/hint-file.js";
import type { Segment } from "../../storage/segment.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import { type Keydir, NO_ENTRY } from "../keydir/keydir.js";
import type { Pacer } from "./pacer.js";

/** How many entries are moved between two looks at the time. */
const STRIDE = 32;

/** What a redirection works with. */
export interface RedirectContext {
  readonly files: FileSystem;
  readonly storeId: Uint8Array;
  readonly keydir: Keydir;
  readonly segments: SegmentSet;
  readonly pacer: Pacer;
  /** The store closes: what is not moved by then will not be. */
  readonly signal: AbortSignal;
}

/** Moves the entries of all records that lie in `output` now. Throws if its hint cannot be read. */
export async function redirect(context: RedirectContext, output: Segment): Promise<void> {
  const { files, storeId } = context;
  const hint = await loadHint(files, storeId, output, (block) =>
    redirectBlock(context, output, block),
  );
  if (hint.kind !== "loaded") throw new Error(`the hint of ${output.name.fileName} cannot be read`);
}

async function redirectBlock(
  { keydir, segments, pacer, signal }: RedirectContext,
  output: Segment,
  block: HintBlock,
): Promise<void> {
  let keyStart = 0;
  for (let index = 0; index < block.count; index += 1) {
    if (index % STRIDE === 0 && !pacer.hasTime()) await pacer.turn();
    if (signal.aborted) throw new Error("the store closes");
    const keyEnd = keyStart + block.keyLengths[index]!;
    const entry = keydir.findIn(block.keys, keyStart, keyEnd);
    keyStart = keyEnd;
    if (entry === NO_ENTRY || (block.flags[index]! & HintFlag.TOMBSTONE) !== 0) continue;
    const version = block.versionsHigh[index]! * 2 ** 32 + block.versionsLow[index]!;
    if (keydir.versionOf(entry) !== version) continue;
    const length = keydir.lengthOf(entry);
    segments.at(keydir.segmentOf(entry)).release(keydir.offsetOf(entry), length);
    keydir.moveFrame(entry, output.name.id, block.offsets[index]!);
    output.liveBytes += length;
  }
}
