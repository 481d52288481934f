/**
 * The half of a compaction that touches the disk, in a thread of its own: it
 * reads victims, asks the engine which records live, and writes these to one
 * output in the order of their versions. Like every segment, an output ascends by
 * version: what salvage says of damage rests on that.
 */
import { FrameFlag } from "../../format/frame.js";
import { errorCode, type File, type FileSystem } from "../../host/file-system.js";
import type { Channel, Message, WorkerJob } from "../../host/worker.js";
import { type CopyOrder, type ExamineOrder, type SegmentRef, segmentOf } from "./copier-orders.js";
import { OutputWriter } from "./output-writer.js";
import { TombstoneCheck } from "./tombstones.js";
import { CopyStopped, DamagedVictim, VictimReader } from "./victim-reader.js";

/** The job, for a thread to run. */
export const workerJob: WorkerJob = {
  url: new URL("./copier-thread.js", import.meta.url).href,
  run,
};

async function run(channel: Channel, files: FileSystem): Promise<void> {
  for (let order = await channel.receive(); order !== undefined; order = await channel.receive()) {
    try {
      channel.post(await obey(order as unknown as CopyOrder | ExamineOrder, channel, files));
    } catch (error) {
      if (error instanceof CopyStopped) return;
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      channel.post({ kind: "failed", message, code: errorCode(error) });
    }
  }
}

async function obey(
  order: CopyOrder | ExamineOrder,
  channel: Channel,
  files: FileSystem,
): Promise<Message> {
  const check = new TombstoneCheck(order, files);
  if (order.kind === "examine") {
    await check.learn([order.subject]);
    return { kind: "examined", droppableBytes: await check.droppableBytes(order.subject) };
  }
  await check.learn(order.victims);
  const output = await OutputWriter.create(files, segmentOf(order.output, order), {
    storeId: order.storeId,
    // What lives is copied as it is.
    bytesMax: order.victims.reduce((sum, { length }) => sum + length, 0),
  });
  const inputs: File[] = [];
  try {
    const readers: VictimReader[] = [];
    for (const victim of order.victims) {
      const { reader, file } = await openVictim(victim, readers.length, order, channel, files);
      inputs.push(file);
      readers.push(reader);
    }
    await merge(readers, output, check);
    return await output.finish();
  } catch (error) {
    await output.abandon().catch(() => undefined);
    if (!(error instanceof DamagedVictim)) throw error;
    return { kind: "damaged", victim: error.victim, offset: error.offset };
  } finally {
    for (const file of inputs) await file.close();
  }
}

async function openVictim(
  victim: SegmentRef,
  index: number,
  order: CopyOrder,
  channel: Channel,
  files: FileSystem,
): Promise<{ reader: VictimReader; file: File }> {
  const segment = segmentOf(victim, order);
  const file = await files.open(segment.name.path, "read");
  return { reader: new VictimReader(segment, file, index, channel), file };
}

/** Writes what survives, lowest version first. Throws DamagedVictim. */
async function merge(
  readers: readonly VictimReader[],
  output: OutputWriter,
  check: TombstoneCheck,
): Promise<void> {
  for (const reader of readers) await reader.advance();
  for (;;) {
    const reader = lowestOf(readers);
    const record = reader?.head;
    if (reader === undefined || record === undefined) return;
    const { bytes, keyStart, keyEnd, version } = record;
    const isTombstone = (record.flags & FrameFlag.TOMBSTONE) !== 0;
    const isNeeded = !isTombstone || !check.mayGo(bytes, keyStart, keyEnd, version);
    if (isNeeded) await output.add(record, await reader.frameOf(record));
    await reader.advance();
  }
}

/** The reader whose next record has the lowest version; undefined: all are at their end. */
function lowestOf(readers: readonly VictimReader[]): VictimReader | undefined {
  let lowest: VictimReader | undefined;
  let version = Number.POSITIVE_INFINITY;
  for (const reader of readers) {
    const { head } = reader;
    if (head === undefined || head.version >= version) continue;
    lowest = reader;
    version = head.version;
  }
  return lowest;
}
