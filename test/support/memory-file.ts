/** A file in memory to read from, with blocks that the disk refuses. */
import type { File } from "../../src/host/file-system.js";

const blockBytes = 4096;

/** A file in memory; a read that touches one of the bad blocks is refused by the disk. */
export class MemoryFile {
  readonly path = "memory";
  readonly reads: [number, number][] = [];
  content: Uint8Array;
  readonly #badBlocks: ReadonlySet<number>;
  readonly #code: string;

  constructor(content: Uint8Array, badBlocks: readonly number[] = [], code = "EIO") {
    this.content = content;
    this.#badBlocks = new Set(badBlocks);
    this.#code = code;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.reads.push([position, target.length]);
    const bytes = this.content.subarray(position, position + target.length);
    for (const block of this.#badBlocks) {
      const start = block * blockBytes;
      if (start >= position + bytes.length || start + blockBytes <= position) continue;
      throw Object.assign(new Error("the disk cannot read it"), { code: this.#code });
    }
    target.set(bytes);
    return bytes.length;
  }

  async size(): Promise<number> {
    return this.content.length;
  }

  asFile(): File {
    return this as unknown as File;
  }
}
