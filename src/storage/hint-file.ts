/**
 * Hints on disk: found sound and read block by block, or written whole and
 * then named. A hint counts only for the sealed segment it was made from, told
 * by store, id, timestamp, length and checksum; any doubt, and it is as if it
 * were not there.
 */
import type { HintSummary } from "../../gen/kvix/v1/kvix_pb.js";
import {
  HINT_BLOCK_BYTES_MAX,
  HINT_HEAD_BYTES,
  HINT_TRAILER_BYTES,
} from "../format/hint-layout.js";
import {
  decodeHintBlock,
  decodeHintHead,
  decodeHintSummary,
  type HintBlock,
  HintCheck,
} from "../format/hint-reader.js";
import { errorCode, type File, type FileSystem } from "../host/file-system.js";
import { ByteWindow } from "./byte-window.js";
import { removeIfThere } from "./file-tools.js";
import { TEMPORARY_SUFFIX } from "./layout.js";
import type { Segment } from "./segment.js";

/** What became of the attempt to load a hint. */
export type HintLoad =
  | { readonly kind: "loaded"; readonly summary: HintSummary }
  | { readonly kind: "missing" }
  | { readonly kind: "doubtful"; readonly why: string };

/** A hint is synced as it grows: a sync of the log waits for what others have not synced. */
const SYNC_BYTES = 1024 * 1024;
/** How much of the end is read at first. */
const TAIL_BYTES = 64 * 1024;

/**
 * Visits the blocks of the hint of `segment`, each only after its checksum has
 * matched. "doubtful" may come after some blocks were visited: what they said
 * was true, but it is not all. A block is good until its visitor is done.
 */
export async function loadHint(
  files: FileSystem,
  storeId: Uint8Array,
  segment: Segment,
  visit: (block: HintBlock) => void | Promise<void>,
): Promise<HintLoad> {
  let file: File;
  try {
    file = await files.open(segment.name.hintPath, "read");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { kind: "missing" };
    return { kind: "doubtful", why: String(errorCode(error) ?? "it cannot be opened") };
  }
  try {
    return await readHint(file, storeId, segment, visit);
  } catch (error) {
    return { kind: "doubtful", why: String(errorCode(error) ?? "it cannot be read") };
  } finally {
    await file.close();
  }
}

async function readHint(
  file: File,
  storeId: Uint8Array,
  segment: Segment,
  visit: (block: HintBlock) => void | Promise<void>,
): Promise<HintLoad> {
  const fileBytes = await file.size();
  const front = new Uint8Array(HINT_HEAD_BYTES);
  const head = decodeHintHead(front.subarray(0, await file.read(front, 0)));
  if (head.kind === "damaged") return { kind: "doubtful", why: head.why };
  let end = decodeHintSummary(await readTail(file, fileBytes, TAIL_BYTES), fileBytes);
  if (end.kind === "short") {
    end = decodeHintSummary(await readTail(file, fileBytes, end.tailBytes), fileBytes);
  }
  if (end.kind !== "summary") {
    return { kind: "doubtful", why: end.kind === "damaged" ? end.why : "too short a file" };
  }
  const { summary, entriesEnd } = end;
  if (!isOf(summary, storeId, segment)) return { kind: "doubtful", why: "of another segment" };
  const check = new HintCheck(head, summary);
  const window = new ByteWindow(file, entriesEnd);
  let position = HINT_HEAD_BYTES;
  while (position < entriesEnd) {
    await window.moveTo(position, HINT_BLOCK_BYTES_MAX);
    const block = decodeHintBlock(window.bytes, position - window.start, window.bytes.length);
    if (block.kind === "damaged") return { kind: "doubtful", why: block.why };
    if (!check.accepts(block)) return { kind: "doubtful", why: "a block of another hint" };
    const visiting = visit(block);
    if (visiting !== undefined) await visiting;
    position = window.start + block.next;
  }
  if (!check.isComplete()) return { kind: "doubtful", why: "blocks are missing" };
  return { kind: "loaded", summary };
}

async function readTail(file: File, fileBytes: number, bytes: number): Promise<Uint8Array> {
  const tail = new Uint8Array(Math.min(Math.max(bytes, HINT_TRAILER_BYTES), fileBytes));
  return tail.subarray(0, await file.read(tail, fileBytes - tail.length));
}

function isOf(summary: HintSummary, storeId: Uint8Array, segment: Segment): boolean {
  return (
    Buffer.compare(summary.storeId, storeId) === 0 &&
    summary.segmentId === segment.name.id &&
    summary.segmentTimestamp === segment.name.timestampNs &&
    summary.segmentLength === BigInt(segment.length) &&
    summary.segmentChecksum === segment.checksum
  );
}

/** A hint being written: under another name until it is whole and synced. */
export class HintFile {
  readonly #files: FileSystem;
  readonly #segment: Segment;
  readonly #file: File;
  #position = 0;
  #unsyncedBytes = 0;

  private constructor(files: FileSystem, segment: Segment, file: File) {
    this.#files = files;
    this.#segment = segment;
    this.#file = file;
  }

  /** Starts the hint of a segment; an abandoned attempt is replaced. */
  static async create(files: FileSystem, segment: Segment): Promise<HintFile> {
    const path = segment.name.hintPath + TEMPORARY_SUFFIX;
    await removeIfThere(files, path);
    return new HintFile(files, segment, await files.open(path, "create"));
  }

  async append(piece: Uint8Array): Promise<void> {
    await this.#file.write(piece, this.#position);
    this.#position += piece.length;
    this.#unsyncedBytes += piece.length;
    if (this.#unsyncedBytes < SYNC_BYTES) return;
    await this.#file.syncData();
    this.#unsyncedBytes = 0;
  }

  /** Makes the hint's bytes durable and gives it its name; the directory is the caller's to sync. */
  async commit(): Promise<void> {
    await this.#file.syncData();
    await this.#file.close();
    await this.#files.rename(this.#file.path, this.#segment.name.hintPath);
  }

  /** Takes the attempt away again. */
  async abandon(): Promise<void> {
    await this.#file.close();
    await removeIfThere(this.#files, this.#file.path);
  }
}
