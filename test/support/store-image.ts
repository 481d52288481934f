/**
 * The files of a store as a map of bytes: taken from one simulated machine,
 * changed as a test likes, and laid on the disk of the next. All of it is
 * durable there, so what an opening does with it depends on the bytes alone.
 *
 *     image = imageOf(host.files)  ->  damage(image)  ->  hostOf(image)
 *
 * Also the other way round: which frames and records lie where in a segment.
 */
import { strict as assert } from "node:assert";
import type { Segment as ListedSegment, Manifest } from "../../gen/kvix/v1/kvix_pb.js";
import { parseBatch } from "../../src/format/batch.js";
import { FrameFlag, readFrame, segmentSalt } from "../../src/format/frame.js";
import { decodeManifest, encodeManifest } from "../../src/format/manifest.js";
import { newRecordFields, parseRecord } from "../../src/format/record.js";
import { hintFileName, segmentFileName } from "../../src/format/segment-name.js";
import { SimBytes } from "./sim-bytes.js";
import type { SimClock } from "./sim-clock.js";
import { SimDirectory, SimDisk, SimInode } from "./sim-disk.js";
import { SimFileSystem } from "./sim-file-system.js";
import { type SimHost, simHost } from "./sim-host.js";

/** Bytes by path; a path that ends with a slash is an empty directory. */
export type StoreImage = ReadonlyMap<string, Uint8Array>;

export const dataDir = "/store";
export const segmentDir = "/store/segments";
export const manifestPath = "/store/MANIFEST";

const decoder = new TextDecoder();

/** What programs see on the disk. */
export function imageOf(files: SimFileSystem): StoreImage {
  const image = new Map<string, Uint8Array>();
  const collect = (directory: SimDirectory, path: string): void => {
    for (const [name, node] of directory.current) {
      if (node.kind === "file") image.set(`${path}/${name}`, node.current.copy());
      else collect(node, `${path}/${name}`);
    }
    if (directory.current.size === 0) image.set(`${path}/`, new Uint8Array(0));
  };
  collect(files.disk.root, "");
  return image;
}

/** A machine whose disk holds the image, every byte of it durable. */
export function hostOf(image: StoreImage, clock?: SimClock, seed = 1): SimHost {
  const root = new SimDirectory();
  for (const [path, bytes] of image) {
    const names = path.split("/").slice(1);
    const last = names.pop() as string;
    let directory = root;
    for (const name of names) directory = childOf(directory, name);
    if (last === "") continue;
    const file = new SimInode(new SimBytes(bytes), new SimBytes(bytes));
    directory.current.set(last, file);
    directory.durable.set(last, file);
  }
  const files = new SimFileSystem({ seed }, new SimDisk(2 ** 40, root));
  return simHost({ seed, files, clock });
}

function childOf(directory: SimDirectory, name: string): SimDirectory {
  const known = directory.current.get(name);
  if (known?.kind === "directory") return known;
  const child = new SimDirectory();
  directory.current.set(name, child);
  directory.durable.set(name, child);
  return child;
}

/** The image with one file replaced, or taken away. */
export function withFile(image: StoreImage, path: string, bytes?: Uint8Array): StoreImage {
  const next = new Map(image);
  if (bytes === undefined) next.delete(path);
  else next.set(path, bytes);
  return next;
}

/** The file at `path`, which is there. */
export function fileOf(image: StoreImage, path: string): Uint8Array {
  const bytes = image.get(path);
  assert.ok(bytes, `the image has ${path}`);
  return bytes;
}

/** The image without any hint. */
export function withoutHints(image: StoreImage): StoreImage {
  return new Map([...image].filter(([path]) => !path.endsWith(".hint")));
}

/** The bytes with one bit inverted: bit `bit & 7` of byte `bit >> 3`. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}

export function manifestOf(image: StoreImage): Manifest {
  const verdict = decodeManifest(fileOf(image, manifestPath));
  assert.equal(verdict.kind, "manifest");
  return (verdict as Extract<typeof verdict, { kind: "manifest" }>).manifest;
}

/** The image with its manifest edited. */
export function withManifest(image: StoreImage, edit: (manifest: Manifest) => void): StoreImage {
  const manifest = manifestOf(image);
  edit(manifest);
  return withFile(image, manifestPath, encodeManifest(manifest));
}

/** The path of a listed segment's file. */
export function segmentPathOf({ prefix, id, timestamp }: ListedSegment): string {
  return `${segmentDir}/${segmentFileName(prefix, id, timestamp)}`;
}

/** The path of its hint. */
export function hintPathOf({ prefix, id, timestamp }: ListedSegment): string {
  return `${segmentDir}/${hintFileName(prefix, id, timestamp)}`;
}

/** A record, on its own or in a batch, and where its frame lies. */
export interface PlacedRecord {
  readonly offset: number;
  readonly length: number;
  readonly key: string;
  readonly value: string;
  readonly version: number;
  readonly expiresAtMs: number;
  readonly isTombstone: boolean;
}

/** A frame of a segment with the records in it. */
export interface PlacedFrame {
  readonly offset: number;
  readonly length: number;
  readonly isBarrier: boolean;
  readonly isBatch: boolean;
  readonly records: readonly PlacedRecord[];
}

/** What the checksums of a listed segment start from. */
export function saltOf(image: StoreImage, listed: ListedSegment): number {
  return segmentSalt(manifestOf(image).storeId, listed.id, listed.timestamp);
}

/** The frames of a listed segment, all of them sound. */
export function framesOf(image: StoreImage, listed: ListedSegment): PlacedFrame[] {
  const bytes = fileOf(image, segmentPathOf(listed));
  return readFrames(bytes, 0, bytes.length, saltOf(image, listed));
}

/** The frames of a segment's file up to the first that is none: what is behind, a crash has left. */
export function soundFramesIn(
  bytes: Uint8Array,
  { storeId, id, timestamp }: Pick<Manifest, "storeId"> & Pick<ListedSegment, "id" | "timestamp">,
): PlacedFrame[] {
  return soundFrames(bytes, 0, bytes.length, segmentSalt(storeId, id, timestamp)).frames;
}

function readFrames(bytes: Uint8Array, from: number, to: number, salt: number): PlacedFrame[] {
  const { frames, end } = soundFrames(bytes, from, to, salt);
  assert.equal(end, to, `a sound frame at ${end}`);
  return frames;
}

function soundFrames(
  bytes: Uint8Array,
  from: number,
  to: number,
  salt: number,
): { frames: PlacedFrame[]; end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: PlacedFrame[] = [];
  let offset = from;
  while (offset < to) {
    const frame = readFrame(bytes, view, offset, to, salt);
    if (frame.kind !== "frame") break;
    const { flags, payloadStart, payloadEnd, frameBytes: length } = frame;
    const isBatch = (flags & FrameFlag.BATCH) !== 0;
    const isBarrier = (flags & FrameFlag.BARRIER) !== 0;
    const isTombstone = (flags & FrameFlag.TOMBSTONE) !== 0;
    const place = { offset, length };
    const records = isBatch
      ? membersOf(bytes, payloadStart, payloadEnd, salt)
      : [{ ...place, ...recordOf(bytes, payloadStart, payloadEnd), isTombstone }];
    frames.push({ ...place, isBarrier, isBatch, records });
    offset += length;
  }
  return { frames, end: offset };
}

function membersOf(bytes: Uint8Array, start: number, end: number, salt: number): PlacedRecord[] {
  const batch = parseBatch(bytes, start, end);
  assert.ok(batch, "a batch");
  const members = readFrames(bytes, batch.framesStart, batch.framesEnd, salt);
  return members.flatMap((member) => member.records);
}

function recordOf(bytes: Uint8Array, start: number, end: number) {
  const fields = newRecordFields();
  assert.ok(parseRecord(bytes, start, end, fields), "a record");
  return {
    key: decoder.decode(bytes.subarray(fields.keyStart, fields.keyEnd)),
    value: decoder.decode(bytes.subarray(fields.valueStart, fields.valueEnd)),
    version: fields.version,
    expiresAtMs: fields.expiresAtMs,
  };
}
