/**
 * What the disk would still have if the power went now: asked at the moment of every
 * acknowledgement, so that each is a crash test of its own (V1, D1, D2, V14); and what it
 * might have, asked at the moment of every refusal (D6, B3).
 *
 * A record is there if its encoded key, value and version stand in the durable bytes
 * of a segment file that has a durable name.
 */
import type { SimDisk, SimInode } from "../../support/sim-disk.js";
import { directoryAt, type Names } from "./disk-places.js";

const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
const VERSION_TAG = 0x18;

const encoder = new TextEncoder();

/** Looks for records in the durable bytes of a disk. */
export class DurableView {
  readonly #disk: () => SimDisk;
  readonly #segmentDir: string;

  constructor(disk: () => SimDisk, segmentDir: string) {
    this.#disk = disk;
    this.#segmentDir = segmentDir;
  }

  /**
   * Whether a record, or with value undefined its tombstone, would survive; in one of these
   * files, if they are said.
   */
  has(
    key: string,
    value: string | undefined,
    version: number,
    within?: ReadonlySet<string>,
  ): boolean {
    const needle = encoded(key, value, version);
    return this.#segments("durable", within).some((file) => file.durable.includes(needle));
  }

  /** Whether a record with this value may survive, of whatever version: also by bytes that nobody has synced. */
  mayHave(key: string, value: string): boolean {
    const needle = encoded(key, value);
    return this.#segments("current").some(({ durable, pending }) => {
      if (durable.includes(needle)) return true;
      return pending.some(
        (change) => change.kind === "write" && Buffer.from(change.bytes).indexOf(needle) !== -1,
      );
    });
  }

  /** The newest file comes first: it has the newest records. */
  #segments(names: Names, within?: ReadonlySet<string>): SimInode[] {
    const directory = directoryAt(this.#disk(), this.#segmentDir, names);
    const files: SimInode[] = [];
    for (const [name, node] of directory?.[names] ?? []) {
      const isMeant = within === undefined ? name.endsWith(".seg") : within.has(name);
      if (node.kind === "file" && isMeant) files.push(node);
    }
    return files.reverse();
  }
}

/** The encoding of a record up to its version, by the rules of docs/format.md; or up to its value. */
function encoded(key: string, value: string | undefined, version?: number): Uint8Array {
  const bytes: number[] = [];
  putText(bytes, KEY_TAG, key);
  if (value !== undefined && value !== "") putText(bytes, VALUE_TAG, value);
  if (version !== undefined) {
    bytes.push(VERSION_TAG);
    putVarint(bytes, version);
  }
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
