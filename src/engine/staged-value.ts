/**
 * A value that lies in a file of its own until its frame is in the log: that of an
 * upload. It is copied in slices, so its memory is that of two of them whatever its
 * length, and every copy is held against the checksum that was taken when the value
 * came: bytes that the disk has changed since never get into a sound frame.
 */
import { KvixError } from "../base/kvix-error.js";
import { crc32 } from "../format/checksum.js";
import type { File } from "../host/file-system.js";

/** What is read at once, in bytes: large enough that a system call costs little beside it. */
export const STAGED_SLICE_BYTES = 1024 * 1024;

/** The memory that values are copied through, one after the other. */
export type SlicePair = readonly [Uint8Array, Uint8Array];

/** Makes it. */
export function slicePair(): SlicePair {
  return [Buffer.allocUnsafeSlow(STAGED_SLICE_BYTES), Buffer.allocUnsafeSlow(STAGED_SLICE_BYTES)];
}

/** The file could not be read, or holds something else than it did. */
export class StagingFault extends Error {
  readonly value: StagedValue;

  constructor(value: StagedValue, message: string, cause?: unknown) {
    super(message, { cause });
    this.value = value;
  }

  /** The same for who asked for the write: it was not applied, and may be sent again. */
  toError(): KvixError {
    return new KvixError("WRITE_FAILED", this.message, { cause: this });
  }
}

/** A value of 1 byte or more in a file that holds nothing else. */
export class StagedValue {
  readonly file: File;
  /** In bytes. */
  readonly length: number;
  /** Its CRC-32. */
  readonly checksum: number;

  constructor(file: File, length: number, checksum: number) {
    this.file = file;
    this.length = length;
    this.checksum = checksum;
  }

  /**
   * Gives its bytes to `write`, slice after slice, in order. While one is written, its
   * checksum is taken and the next one is read. Throws StagingFault, with all written if
   * the bytes are not those that came, and what `write` throws. However it ends, nothing is
   * being read or written then: `buffers` may serve the next value.
   */
  async copy(buffers: SlicePair, write: (slice: Uint8Array) => Promise<void>): Promise<void> {
    let checksum = 0;
    let next = this.#read(buffers[0], 0);
    try {
      for (let position = 0, turn = 1; position < this.length; turn = 1 - turn) {
        const slice = await next;
        const written = write(slice);
        position += slice.length;
        if (position < this.length) next = this.#read(buffers[turn as 0 | 1], position);
        checksum = crc32(slice, checksum);
        // If the read fails meanwhile, that is told in the next round.
        next.catch(() => undefined);
        await written;
      }
    } finally {
      await next.catch(() => undefined);
    }
    if (checksum === this.checksum) return;
    throw new StagingFault(this, "the staging file is not what was written to it");
  }

  /** All of it in memory. Throws StagingFault. */
  async read(): Promise<Uint8Array> {
    const whole = Buffer.allocUnsafeSlow(this.length);
    await this.#read(whole, 0);
    if (crc32(whole) === this.checksum) return whole;
    throw new StagingFault(this, "the staging file is not what was written to it");
  }

  async #read(buffer: Uint8Array, position: number): Promise<Uint8Array> {
    const slice = buffer.subarray(0, Math.min(buffer.length, this.length - position));
    let read: number;
    try {
      read = await this.file.read(slice, position);
    } catch (cause) {
      throw new StagingFault(this, "the staging file could not be read", cause);
    }
    if (read === slice.length) return slice;
    throw new StagingFault(this, "the staging file has become shorter");
  }
}
