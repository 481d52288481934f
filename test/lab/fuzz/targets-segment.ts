/**
 * A segment as those read it that are to agree: the loader of an opening, the
 * walk of `kvix inspect`, and the reader of a compaction. None reads by another's
 * code but for the frame itself.
 */
import { KvixError } from "../../../src/base/kvix-error.js";
import { DamagedVictim, VictimReader } from "../../../src/engine/compaction/victim-reader.js";
import { DamageRegister } from "../../../src/engine/damage.js";
import type { LoadedEntry, LoadedRequest } from "../../../src/engine/index-loader.js";
import { SegmentReader } from "../../../src/engine/segment-recovery.js";
import { walkSegment } from "../../../src/engine/segment-walk.js";
import type { File } from "../../../src/host/file-system.js";
import type { Segment } from "../../../src/storage/segment.js";
import { type FuzzTarget, requireThat } from "./fuzz-target.js";
import { runsOfFrames, sampleSegment, sealFrames } from "./targets-records.js";

/** A file that is bytes in memory, and only read. */
class BytesFile implements File {
  readonly path = "/store/segments/fuzz.seg";
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  async size(): Promise<number> {
    return this.#bytes.length;
  }

  readSync(target: Uint8Array, position: number): number {
    const piece = this.#bytes.subarray(position, position + target.length);
    target.set(piece);
    return piece.length;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return this.readSync(target, position);
  }

  async close(): Promise<void> {}
  closeSync(): void {}

  writeSync(): never {
    throw new TypeError("a decoder writes");
  }

  write(): never {
    throw new TypeError("a decoder writes");
  }

  truncate(): never {
    throw new TypeError("a decoder cuts");
  }

  async syncData(): Promise<void> {}
}

/** A record as each of the three names it. */
const nameOf = (offset: number, length: number, version: number): string =>
  `${offset}+${length}@${version}`;

/** Three readers of one segment. */
export const segmentTarget: FuzzTarget = {
  name: "segment",
  sentence:
    "a segment's file: loader, walk and compaction find the same records, damage lies inside the file, and what a compaction takes whole is whole",
  lengthMax: 900,
  executions: 1500,
  seeds: runsOfFrames,
  seal: sealFrames,
  async execute(bytes) {
    const segment = Object.assign(sampleSegment(), { file: new BytesFile(bytes) });
    segment.length = bytes.length;
    const loaded = await load(segment, bytes.length);
    const walked = await walk(segment, bytes.length);
    const copied = await copy(segment);
    if (loaded === "too new") {
      requireThat(walked.hasUnknown, "the loader refuses what the walk knows");
      requireThat(copied === "damaged", "a compaction takes what an opening refuses");
      return;
    }
    requireThat(loaded.sound.join() === walked.records.join(), "loader and walk differ");
    requireThat((copied === "damaged") === loaded.isDamaged, "compaction and loader differ");
    if (copied !== "damaged") {
      requireThat(copied.join() === loaded.sound.join(), "a compaction has other records");
    }
  },
};

async function load(
  segment: Segment,
  fileLength: number,
): Promise<{ sound: string[]; isDamaged: boolean } | "too new"> {
  const sound: string[] = [];
  const damage = new DamageRegister();
  const load = (_: Segment, { offset, length, version, isLost }: LoadedEntry): void => {
    requireThat(offset + length <= fileLength, "an entry lies outside the file");
    if (!isLost) sound.push(nameOf(offset, length, version));
  };
  const loadRequest = (_: Segment, { requestId, offset, length }: LoadedRequest): void => {
    requireThat(offset + length <= fileLength, "a request lies outside the file");
    requireThat(requestId.length > 0, "a request has no id");
  };
  const versionCeiling = Number.POSITIVE_INFINITY;
  const reading = { segment, fileLength, syncedLength: fileLength, versionCeiling };
  try {
    const { length } = await new SegmentReader(reading, { load, loadRequest }, damage).read();
    requireThat(length === fileLength, "a tail is torn where all was synced");
  } catch (error) {
    if (error instanceof KvixError && error.reason === "FORMAT_TOO_NEW") return "too new";
    throw error;
  }
  for (const { offset, length, firstVersion, lastVersion } of damage.toStats()) {
    requireThat(length > 0 && offset + length <= fileLength, "damage lies outside the file");
    requireThat(firstVersion <= lastVersion, "damage with versions out of order");
  }
  return { sound, isDamaged: damage.count > 0 };
}

async function walk(
  segment: Segment,
  length: number,
): Promise<{ records: string[]; hasUnknown: boolean }> {
  const records: string[] = [];
  let hasUnknown = false;
  let end = 0;
  for await (const items of walkSegment(segment, length, true)) {
    for (const item of items) {
      requireThat(item.offset === end, "the walk leaves bytes out");
      end = item.offset + item.length;
      hasUnknown ||= item.kind === "unknown";
      if (item.kind !== "frame") continue;
      for (const each of item.records) records.push(nameOf(each.offset, each.length, each.version));
    }
  }
  requireThat(end === length, "the walk ends early");
  return { records, hasUnknown };
}

/** Everything lives. */
async function copy(segment: Segment): Promise<string[] | "damaged"> {
  let asked = 0;
  const channel = {
    post: (message: unknown) => {
      asked = (message as { count: number }).count;
    },
    receive: async () => ({ keep: new Uint8Array(asked).fill(1) }),
  } as unknown as ConstructorParameters<typeof VictimReader>[3];
  const { file } = segment;
  if (file === undefined) return "damaged";
  const reader = new VictimReader(segment, file, 0, channel);
  const records: string[] = [];
  try {
    for (await reader.advance(); reader.head !== undefined; await reader.advance()) {
      const { offset, length, version } = reader.head;
      records.push(nameOf(offset, length, version));
      await reader.frameOf(reader.head);
    }
  } catch (error) {
    if (error instanceof DamagedVictim) return "damaged";
    throw error;
  }
  return records;
}
