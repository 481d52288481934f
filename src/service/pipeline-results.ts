/**
 * Results on their way into a PipelineResponse. An answer that was encoded for a
 * call of its own is spliced in as it is:
 *
 *     0a | length | 08 | id | tag of the answer | length | the answer
 *
 * Invariant: a message is larger than `bytesMax` only if one result alone is.
 */
import { varintBytes, writeVarint } from "../format/varint.js";

/** What lies around an answer of its own, at most: two tags and lengths, and the id. */
export const RESULT_OVERHEAD_BYTES_MAX = 24;

/** The field of an error; the others bear the numbers of their operations. */
export const ERROR_FIELD = 2;

/** Where the id of an operation lies in its message. */
export interface IdPlace {
  readonly idStart: number;
  readonly idEnd: number;
}

interface Piece {
  readonly source: Uint8Array;
  readonly idStart: number;
  readonly idEnd: number;
  readonly field: number;
  readonly answer: Uint8Array;
  /** The bytes of the PipelineResult. */
  readonly bytes: number;
}

/** The results that are not sent yet. */
export class PipelineResults {
  #pieces: Piece[] = [];
  #bytes = 0;

  /** The bytes of the message that would be sent now. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  /**
   * Takes a result in, whose id lies in `source`; how many bytes it makes the message
   * longer.
   */
  add(source: Uint8Array, { idStart, idEnd }: IdPlace, field: number, answer: Uint8Array): number {
    const idBytes = idStart === idEnd ? 0 : 1 + idEnd - idStart;
    const bytes = idBytes + 1 + varintBytes(answer.length) + answer.length;
    const costBytes = 1 + varintBytes(bytes) + bytes;
    this.#pieces.push({ source, idStart, idEnd, field, answer, bytes });
    this.#bytes += costBytes;
    return costBytes;
  }

  /** The message of all results; there are none afterwards. */
  take(): Uint8Array {
    const message = Buffer.allocUnsafe(this.#bytes);
    let at = 0;
    for (const { source, idStart, idEnd, field, answer, bytes } of this.#pieces) {
      message[at++] = (1 << 3) | 2;
      at = writeVarint(message, at, bytes);
      if (idStart < idEnd) {
        message[at++] = 1 << 3;
        for (let from = idStart; from < idEnd; from += 1) message[at++] = source[from] as number;
      }
      message[at++] = (field << 3) | 2;
      at = writeVarint(message, at, answer.length);
      message.set(answer, at);
      at += answer.length;
    }
    this.#pieces = [];
    this.#bytes = 0;
    return message;
  }
}
