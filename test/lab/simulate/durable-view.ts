/**
 * What the disk would still have if the power went now: asked at the moment of every
 * acknowledgement, so that each is a crash test of its own (V1, D1, D2, V14).
 *
 * A record is there if its encoded key, value and version stand in the durable bytes
 * of a segment file that has a durable name.
 */
import type { SimDirectory, SimDisk, SimInode } from "../../support/sim-disk.js";

const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
const VERSION_TAG = 0x18;

const encoder = new TextEncoder();

/** Looks for records in the durable bytes of a disk. */
export class DurableView {
  readonly #disk: () => SimDisk;
  readonly #segmentDir: readonly string[];

  constructor(disk: () => SimDisk, segmentDir: string) {
    this.#disk = disk;
    this.#segmentDir = segmentDir.split("/").filter((name) => name !== "");
  }

  /** Whether a record, or with value undefined its tombstone, would survive. */
  has(key: string, value: string | undefined, version: number): boolean {
    const needle = encoded(key, value, version);
    // The newest file has the newest records.
    return this.#segments()
      .reverse()
      .some((file) => file.durable.includes(needle));
  }

  #segments(): SimInode[] {
    let directory: SimDirectory = this.#disk().root;
    for (const name of this.#segmentDir) {
      const next = directory.durable.get(name);
      if (next?.kind !== "directory") return [];
      directory = next;
    }
    const files: SimInode[] = [];
    for (const [name, node] of directory.durable) {
      if (node.kind === "file" && name.endsWith(".seg")) files.push(node);
    }
    return files;
  }
}

/** The encoding of a record up to its version, by the rules of docs/format.md. */
function encoded(key: string, value: string | undefined, version: number): Uint8Array {
  const bytes: number[] = [];
  putText(bytes, KEY_TAG, key);
  if (value !== undefined && value !== "") putText(bytes, VALUE_TAG, value);
  bytes.push(VERSION_TAG);
  putVarint(bytes, version);
  return Uint8Array.from(bytes);
}

function putText(bytes: number[], tag: number, text: string): void {
  const content = encoder.encode(text);
  bytes.push(tag);
  putVarint(bytes, content.length);
  for (const byte of content) bytes.push(byte);
}

function putVarint(bytes: number[], value: number): void {
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  bytes.push(left);
}
