/**
 * Pointing the index at an output, once the manifest names it. The hint of the
 * output tells what lies where in it, or its frames if the hint cannot be read. A
 * version names one record for ever (V15), so an entry is moved if it still has the
 * version of the copy, and is left alone if it was written anew or removed meanwhile
 * (M3). To do it twice does no harm.
 */
import { FrameFlag } from "../../format/frame.js";
import { HintFlag } from "../../format/hint-layout.js";
import type { HintBlock } from "../../format/hint-reader.js";
import type { FileSystem } from "../../host/file-system.js";
import { loadHint } from "../../storage/hint-file.js";
import type { Segment } from "../../storage/segment.js";
import { scanFrames } from "../../storage/segment-scan.js";
import type { SegmentSet } from "../../storage/segment-set.js";
import { visitFrame } from "../frame-loader.js";
import { type Keydir, NO_ENTRY } from "../keydir/keydir.js";
import type { Pace } from "./pacer.js";

/** How many entries are moved between two looks at the time. */
const STRIDE = 32;
/** And how many frames are read, where the hint does not help. */
const SLICE_FRAMES = 1024;

/** What a redirection works with. */
export interface RedirectContext {
  readonly files: FileSystem;
  readonly storeId: Uint8Array;
  readonly keydir: Keydir;
  readonly segments: SegmentSet;
  readonly pacer: Pace;
  /** The store closes: what is not moved by then will not be. */
  readonly signal: AbortSignal;
}

/** Moves the entries of all records that lie in `output` now. Throws if neither hint nor frames can be read. */
export async function redirect(context: RedirectContext, output: Segment): Promise<void> {
  const { files, storeId } = context;
  const hint = await loadHint(files, storeId, output, (block) =>
    redirectBlock(context, output, block),
  );
  if (hint.kind !== "loaded") await redirectByFrames(context, output);
}

async function redirectBlock(
  context: RedirectContext,
  output: Segment,
  block: HintBlock,
): Promise<void> {
  const { keydir, pacer, signal } = context;
  let keyStart = 0;
  for (let index = 0; index < block.count; index += 1) {
    if (index % STRIDE === 0 && !pacer.hasTime()) await pacer.turn();
    if (signal.aborted) throw new Error("the store closes");
    const keyEnd = keyStart + block.keyLengths[index]!;
    const entry = keydir.findIn(block.keys, keyStart, keyEnd);
    keyStart = keyEnd;
    if ((block.flags[index]! & HintFlag.TOMBSTONE) !== 0) continue;
    const version = block.versionsHigh[index]! * 2 ** 32 + block.versionsLow[index]!;
    move(context, output, entry, version, block.offsets[index]!);
  }
}

/** The same, slice by slice, by what lies in the output itself. */
async function redirectByFrames(context: RedirectContext, output: Segment): Promise<void> {
  const { keydir, pacer, signal } = context;
  const { file, name, length } = output;
  if (file === undefined) throw new Error(`${name.fileName} is missing`);
  for (let from = 0; from < length; ) {
    await pacer.turn();
    if (signal.aborted) throw new Error("the store closes");
    let frames = 0;
    const stop = await scanFrames({ file, salt: name.salt, from, to: length }, (scanned) => {
      visitFrame(scanned, output, {
        entry: ({ bytes, keyStart, keyEnd, version, offset, flags }) => {
          if ((flags & FrameFlag.TOMBSTONE) !== 0) return;
          move(context, output, keydir.findIn(bytes, keyStart, keyEnd), version, offset);
        },
      });
      frames += 1;
      return frames < SLICE_FRAMES;
    });
    if (stop.kind !== "end") throw new Error(`neither ${name.fileName} nor its hint can be read`);
    from = stop.offset;
  }
}

function move(
  { keydir, segments }: RedirectContext,
  output: Segment,
  entry: number,
  version: number,
  offset: number,
): void {
  if (entry === NO_ENTRY || keydir.versionOf(entry) !== version) return;
  const length = keydir.lengthOf(entry);
  segments.at(keydir.segmentOf(entry)).release(keydir.offsetOf(entry), length);
  keydir.moveFrame(entry, output.name.id, offset);
  output.liveBytes += length;
}
