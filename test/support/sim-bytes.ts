/** The bytes of a simulated file: like a file, it grows on write and reads zeros in holes. */

/** Growable bytes. */
export class SimBytes {
  #room: Uint8Array;
  #length = 0;

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#room = bytes.slice();
    this.#length = bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  /** A copy of all. */
  copy(): Uint8Array {
    return this.#room.slice(0, this.#length);
  }

  /** Whether these bytes stand in it somewhere. */
  includes(bytes: Uint8Array): boolean {
    const { buffer, byteOffset } = this.#room;
    return Buffer.from(buffer, byteOffset, this.#length).indexOf(bytes) !== -1;
  }

  clone(): SimBytes {
    return new SimBytes(this.#room.subarray(0, this.#length));
  }

  /** Copies into `target` from `position` on; how many bytes there were. */
  read(target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.#length - position));
    if (count > 0) target.set(this.#room.subarray(position, position + count));
    return count;
  }

  write(source: Uint8Array, position: number): void {
    if (source.length === 0) return;
    this.#reserve(position + source.length);
    this.#room.set(source, position);
    this.#length = Math.max(this.#length, position + source.length);
  }

  truncate(length: number): void {
    if (length > this.#length) this.#reserve(length);
    else this.#room.fill(0, length, this.#length);
    this.#length = length;
  }

  /** Room beyond the length is always zero, so growth by a hole needs no filling. */
  #reserve(length: number): void {
    if (length <= this.#room.length) return;
    const room = new Uint8Array(Math.max(length, this.#room.length * 2, 256));
    room.set(this.#room.subarray(0, this.#length));
    this.#room = room;
  }
}
