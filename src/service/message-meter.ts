/**
 * Finds the messages in the bytes of a gRPC stream as they pass by.
 *
 *     flag u8 (1: compressed) | length u32, big-endian | message | flag ...
 *
 * It keeps five bytes at most. What it is given may be cut anywhere.
 */

const PREFIX_BYTES = 5;
const LENGTH_OFFSET = 1;

/** Hears of a message as soon as its length is known. */
export type OnMessage = (lengthBytes: number, isCompressed: boolean) => void;

/** One direction of one stream. */
export class MessageMeter {
  readonly #prefix = Buffer.allocUnsafe(PREFIX_BYTES);
  readonly #onMessage: OnMessage;
  #prefixBytes = 0;
  #remaining = 0;
  #messages = 0;

  constructor(onMessage: OnMessage) {
    this.#onMessage = onMessage;
  }

  /** Whether bytes of a message, or of its prefix, are still to come. */
  get isInside(): boolean {
    return this.#remaining > 0 || this.#prefixBytes > 0;
  }

  /** How many messages have begun. */
  get messages(): number {
    return this.#messages;
  }

  /** Takes the next bytes of the stream. */
  take(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#remaining > 0) {
        const skipped = Math.min(this.#remaining, chunk.byteLength - at);
        this.#remaining -= skipped;
        at += skipped;
        continue;
      }
      this.#prefix[this.#prefixBytes++] = chunk[at++] as number;
      if (this.#prefixBytes === PREFIX_BYTES) this.#begin();
    }
  }

  #begin(): void {
    this.#prefixBytes = 0;
    this.#remaining = this.#prefix.readUInt32BE(LENGTH_OFFSET);
    this.#messages += 1;
    this.#onMessage(this.#remaining, this.#prefix[0] !== 0);
  }
}
