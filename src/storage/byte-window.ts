/**
 * A window that moves over a file: sequential reads in large pieces, and a
 * larger piece only when a frame needs one and the file has the bytes for it.
 *
 * Blocks that the disk refuses to read (EIO) come as zeros, which no checksum
 * takes for a frame: an unreadable sector is damage, and no reason to refuse
 * all the others. Who writes down for good what was found there reads without such
 * holes, and gets the error: another time the disk may read them.
 */
import { errorCode, type File } from "../host/file-system.js";

/** What a disk that cannot read a sector gives up at a time. */
const BLOCK_BYTES = 4096;

/** How many bytes a window reads at a time. */
const WINDOW_BYTES = 1024 * 1024;

/** A readable stretch of a file. `start` and `end` are positions in the file. */
export class ByteWindow {
  readonly #file: File;
  readonly #limit: number;
  readonly #refusesHoles: boolean;
  #buffer: Uint8Array;
  bytes: Uint8Array;
  view: DataView;
  start = 0;
  end = 0;
  /** Where stretches begin that came as zeros, for the disk could not read them; each to its block's end. */
  holes: number[] = [];

  /** Covers the bytes before `limit` of `file`; a file that ends before simply has fewer. */
  constructor(file: File, limit: number, refusesHoles = false) {
    this.#file = file;
    this.#limit = limit;
    this.#refusesHoles = refusesHoles;
    this.#buffer = new Uint8Array(Math.min(WINDOW_BYTES, Math.max(limit, 1)));
    this.bytes = this.#buffer.subarray(0, 0);
    this.view = new DataView(this.#buffer.buffer);
  }

  /** Whether the window holds everything up to its limit. */
  get isAtLimit(): boolean {
    return this.end >= this.#limit;
  }

  /**
   * Moves the window so that it starts at `position` and holds at least
   * `need` bytes, or all that there are; answers how many it holds.
   */
  async moveTo(position: number, need: number): Promise<number> {
    const held = this.end - position;
    if (position >= this.start && held >= Math.min(need, this.#limit - position)) {
      return Math.max(held, 0);
    }
    const wanted = Math.min(Math.max(need, WINDOW_BYTES), Math.max(this.#limit - position, 0));
    if (wanted > this.#buffer.length || this.#buffer.length > 4 * Math.max(wanted, WINDOW_BYTES)) {
      this.#buffer = new Uint8Array(Math.max(wanted, 1));
      this.view = new DataView(this.#buffer.buffer);
    }
    const read = await this.#read(this.#buffer.subarray(0, wanted), position);
    this.bytes = this.#buffer.subarray(0, read);
    this.start = position;
    this.end = position + read;
    return read;
  }

  async #read(target: Uint8Array, position: number): Promise<number> {
    this.holes = [];
    try {
      return await this.#file.read(target, position);
    } catch (error) {
      if (this.#refusesHoles || errorCode(error) !== "EIO") throw error;
    }
    let filled = 0;
    while (filled < target.length) {
      const toBlockEnd = BLOCK_BYTES - ((position + filled) % BLOCK_BYTES);
      const block = target.subarray(filled, Math.min(target.length, filled + toBlockEnd));
      const read = await this.#readBlock(block, position + filled);
      filled += read;
      if (read < block.length) break;
    }
    return filled;
  }

  async #readBlock(block: Uint8Array, position: number): Promise<number> {
    try {
      return await this.#file.read(block, position);
    } catch (error) {
      if (errorCode(error) !== "EIO") throw error;
      block.fill(0);
      this.holes.push(position);
      return Math.min(block.length, Math.max((await this.#file.size()) - position, 0));
    }
  }
}

/** Whether the disk can read all bytes of a file from `from` to `to`. */
export async function isReadable(file: File, from: number, to: number): Promise<boolean> {
  const window = new ByteWindow(file, to);
  for (let position = from; position < to; position = window.end) {
    if ((await window.moveTo(position, 1)) === 0) break;
    if (window.holes.length > 0) return false;
  }
  return true;
}

/**
 * The bytes of a file from `from` to `to`, piece by piece, without those that
 * the disk cannot read. A piece is good until the next is asked for.
 */
export async function* readableBytes(
  file: File,
  from: number,
  to: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly position: number }> {
  const window = new ByteWindow(file, to);
  for (let position = from; position < to; position = window.end) {
    if ((await window.moveTo(position, 1)) === 0) {
      throw new Error(`${file.path} has become shorter while it was read`);
    }
    let start = position;
    for (const hole of [...window.holes, window.end]) {
      const bytes = window.bytes.subarray(start - window.start, hole - window.start);
      if (hole > start) yield { bytes, position: start };
      start = hole + BLOCK_BYTES - (hole % BLOCK_BYTES);
    }
  }
}
